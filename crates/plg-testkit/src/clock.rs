//! A clock that stands still until time passes, or somebody sets it.

use chrono::{DateTime, TimeDelta, Utc};
use plg_service::{Clock, SharedClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Shared by a test and the application it tests.
#[derive(Debug, Clone)]
pub struct TestClock {
    /// In microseconds since 1970.
    now: Arc<AtomicI64>,
    /// In microseconds.
    passed: Arc<AtomicU64>,
}

impl TestClock {
    /// Stands at an instant written as RFC 3339.
    pub fn at(instant: &str) -> Self {
        let clock = Self { now: Arc::default(), passed: Arc::default() };
        clock.set(instant.parse().expect("an RFC 3339 instant"));
        clock
    }

    /// Is set to an instant: no time passes.
    pub fn set(&self, instant: DateTime<Utc>) {
        self.now.store(instant.timestamp_micros(), Ordering::SeqCst);
    }

    /// Is set to an instant written as RFC 3339.
    pub fn set_to(&self, instant: &str) {
        self.set(instant.parse().expect("an RFC 3339 instant"));
    }

    /// Time passes.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().and_then(|micros| u64::try_from(micros).ok());
        self.passed.fetch_add(micros.expect("time does not run backwards"), Ordering::SeqCst);
        self.set(self.now() + by);
    }

    /// As the application wants it.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now.load(Ordering::SeqCst)).expect("in range")
    }

    fn passed(&self) -> Duration {
        Duration::from_micros(self.passed.load(Ordering::SeqCst))
    }
}
