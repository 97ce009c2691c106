//! The reconciliation's reads and writes. What follows from the facts is decided in
//! [`plg_core::reconcile`].
//!
//! Counting takes no lock: one statement sees a hotel-month's counters and its events in one
//! snapshot, and both were committed together. A verdict is written by comparing and setting the
//! row's `rollup_version`, and by *adding* corrections, so that what was recorded meanwhile stays,
//! and a second worker with the same verdict finds nothing to do.

mod apply;
mod facts;
pub mod overview;
pub mod runs;

pub(crate) use facts::NOT_RECONCILED;

pub use apply::{Applied, apply, apply_carrying};
pub use facts::{candidates, count_candidates, read};

use plg_core::calendar::Month;
use plg_core::ids::HotelId;
use plg_core::reconcile::Facts;

/// Which hotel-months a run covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only these hotels; all when empty.
    pub hotels: Vec<HotelId>,
    /// Only this month.
    pub month: Option<Month>,
    /// Every hotel-month from its first event, instead of those with something new to verify.
    pub full: bool,
}

impl Scope {
    /// Whether it leaves something out.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.hotels.is_empty() || self.month.is_some()
    }
}

/// Which hotel-month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HotelMonth {
    /// Whose.
    pub hotel_id: HotelId,
    /// Which month of theirs.
    pub month: Month,
}

/// A hotel-month to reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub key: HotelMonth,
    /// How many events there were to count when it was found.
    pub events: i64,
}

/// A hotel-month as one snapshot shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Which.
    pub key: HotelMonth,
    /// How often it has been reconciled.
    pub version: i64,
    /// Its counters and events.
    pub facts: Facts,
}
