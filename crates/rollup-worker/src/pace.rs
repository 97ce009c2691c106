//! How fast a run goes: in whole chunks while it is alone, in small bites while the services are at work.
//!
//! A statement that counts thousands of hotel-months keeps a core busy for as long as a request may take in all, and a
//! night has time enough. So nobody has to notice a run: it looks around a few times a second.

use crate::chunk::{ATTEMPT_DEADLINE, in_time};
use plg_store::StoreError;
use plg_store::traffic::Traffic;
use sea_orm::DatabaseConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What is done at once while the services are at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bites {
    /// Hotel-months counted by one statement, and written in one transaction, at least 1.
    pub size: usize,
    /// Pause after each.
    pub pause: Duration,
    /// How often a run looks whether they are.
    pub look_every: Duration,
}

/// The pace of a run, for its counting and its writing.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    bites: Option<Bites>,
    is_busy: Arc<AtomicBool>,
}

impl Pace {
    pub(crate) fn new(bites: Option<Bites>) -> Self {
        Self { bites, is_busy: Arc::default() }
    }

    fn bites(&self) -> Option<Bites> {
        self.bites.filter(|_| self.is_busy.load(Ordering::Relaxed))
    }

    /// Takes the next part of what is left, of `usual` hotel-months at the most.
    pub(crate) fn take<'a, T>(&self, left: &mut &'a [T], usual: usize) -> Option<&'a [T]> {
        let size = self.bites().map_or(usual, |bites| bites.size.min(usual)).max(1);
        let (part, rest) = left.split_at(size.min(left.len()));
        *left = rest;
        (!part.is_empty()).then_some(part)
    }

    /// How many chunks are counted at once, of `most`.
    pub(crate) fn at_once(&self, most: usize) -> usize {
        if self.bites().is_some() { 1 } else { most }
    }

    /// How long to pause after each transaction.
    pub(crate) fn pause(&self, usual: Duration) -> Duration {
        self.bites().map_or(usual, |bites| bites.pause)
    }
}

/// Looks around, and sets the pace.
#[derive(Debug)]
pub(crate) struct Lookout {
    pace: Pace,
    traffic: Traffic,
    next: Instant,
}

impl Lookout {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, traffic: Traffic::default(), next: Instant::now() }
    }

    /// Looks, on the connection that writes. The first look cannot tell.
    pub(crate) async fn look(&mut self, db: &DatabaseConnection) -> Result<(), StoreError> {
        if let Some(bites) = self.pace.bites {
            let is_busy = in_time(ATTEMPT_DEADLINE, self.traffic.look(db)).await?;
            if self.pace.is_busy.swap(is_busy, Ordering::Relaxed) != is_busy {
                tracing::debug!(is_busy, "the services began, or ended, to be at work");
            }
            self.next = Instant::now() + bites.look_every;
        }
        Ok(())
    }

    /// Looks if it is time.
    pub(crate) async fn glance(&mut self, db: &DatabaseConnection) -> Result<(), StoreError> {
        if Instant::now() >= self.next { self.look(db).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITES: Bites = Bites {
        size: 25,
        pause: Duration::from_millis(10),
        look_every: Duration::from_millis(250),
    };

    #[test]
    fn beside_the_services_one_small_bite_is_counted_at_a_time() {
        let pace = Pace::new(Some(BITES));
        assert_eq!(
            (pace.take(&mut [0; 3_000].as_slice(), 2_000).unwrap().len(), pace.at_once(2)),
            (2_000, 2)
        );
        pace.is_busy.store(true, Ordering::Relaxed);
        assert_eq!(
            (pace.take(&mut [0; 3_000].as_slice(), 2_000).unwrap().len(), pace.at_once(2)),
            (25, 1)
        );
    }
}
