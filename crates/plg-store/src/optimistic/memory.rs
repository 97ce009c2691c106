//! What is remembered of hotels.

use crate::months::Version;
use crate::session::Epoch;
use chrono::{DateTime, Utc};
use plg_core::decide::HotelState;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Hotels as they were written last, by whichever of the recorders that share it. They need the same plans: limits are
/// remembered, too. Where two of them write a hotel at the same time, one supposes wrongly.
#[derive(Debug, Default)]
pub struct HotelMemory {
    /// So many hotels at the most.
    pub(super) most: usize,
    known: Mutex<KnownHotels>,
}

/// Those of an epoch.
#[derive(Debug, Default)]
pub(super) struct KnownHotels {
    epoch: Epoch,
    by_id: HashMap<HotelId, Known>,
}

/// A hotel as it was written, or read.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) state: HotelState,
    pub(super) version: Version,
}

/// What is known of hotels, should the transaction be committed that has written them.
#[derive(Debug, Default)]
pub(crate) struct Learned(pub(super) Vec<Known>);

impl HotelMemory {
    /// Remembers so many hotels at the most; where that is none, everything is recorded under locks.
    #[must_use]
    pub fn of_at_most(most: usize) -> Self {
        Self { most, known: Mutex::default() }
    }

    /// What is remembered of this epoch: then nothing is of another.
    pub(super) fn of(&self, epoch: Epoch) -> MutexGuard<'_, KnownHotels> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.epoch != epoch {
            *known = KnownHotels { epoch, by_id: HashMap::new() };
        }
        known
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap().by_id.len()
    }
}

impl KnownHotels {
    /// Those of the hotels that are known, in their order.
    pub(super) fn these(&self, hotels: &BTreeSet<HotelId>) -> Vec<Known> {
        hotels.iter().filter_map(|hotel| self.by_id.get(hotel)).cloned().collect()
    }

    pub(super) fn learn(&mut self, learned: Learned) {
        self.by_id.extend(learned.0.into_iter().map(|known| (known.state.hotel_id, known)));
    }

    pub(super) fn forget(&mut self, commands: &[Command]) {
        for command in commands {
            self.by_id.remove(&command.hotel_id());
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_id.clear();
    }

    /// Those of the hotels that are not known. If there is no room for them among `most`, all others are forgotten.
    pub(super) fn make_room(
        &mut self,
        hotels: &BTreeSet<HotelId>,
        most: usize,
    ) -> BTreeSet<HotelId> {
        let is_unknown = |hotel: &HotelId| !self.by_id.contains_key(hotel);
        let unknown: BTreeSet<_> = hotels.iter().copied().filter(is_unknown).collect();
        if self.by_id.len() + unknown.len() <= most {
            return unknown;
        }
        self.clear();
        hotels.clone()
    }
}

impl Known {
    /// Whether another month has to be opened first.
    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.state.month_at(now) > self.state.month
    }
}
