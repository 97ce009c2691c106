//! A clock that stands still until it is moved.

use chrono::{DateTime, TimeDelta, Utc};
use plg_service::{Clock, SharedClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Shared by a test and the application it tests.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Stands at an instant written as RFC 3339.
    pub fn at(instant: &str) -> Self {
        let clock = Self(Arc::new(AtomicI64::new(0)));
        clock.set(instant.parse().expect("an RFC 3339 instant"));
        clock
    }

    /// Moves to an instant.
    pub fn set(&self, instant: DateTime<Utc>) {
        self.0.store(instant.timestamp_micros(), Ordering::SeqCst);
    }

    /// Moves to an instant written as RFC 3339.
    pub fn set_to(&self, instant: &str) {
        self.set(instant.parse().expect("an RFC 3339 instant"));
    }

    /// Moves on.
    pub fn advance(&self, by: TimeDelta) {
        self.set(self.now() + by);
    }

    /// As the application wants it.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).expect("in range")
    }
}
