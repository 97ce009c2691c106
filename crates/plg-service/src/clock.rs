//! The one source of time in a process. The shipped programs know only [`SystemClock`]; tests bring
//! their own.

use chrono::{DateTime, Utc};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// Time that has passed since some moment: it goes on evenly, whoever sets the clock.
    fn passed(&self) -> Duration;
}

/// A clock that the parts of a process share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn passed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}
