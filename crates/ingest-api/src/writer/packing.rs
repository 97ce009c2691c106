//! Which waiting jobs go into the next transaction.

use super::Job;
use plg_core::ids::HotelId;
use std::collections::{BTreeSet, VecDeque};

/// Takes jobs from the front: at most `batch` commands (one larger job goes alone) of at most
/// `max_hotels` hotels. A job of other hotels is passed over, and no later job of its hotels
/// overtakes it.
pub(super) fn take_batch(pending: &mut VecDeque<Job>, batch: usize, max_hotels: usize) -> Vec<Job> {
    let mut taken = Vec::new();
    let mut commands = 0;
    if max_hotels == usize::MAX {
        while let Some(job) = pending.front() {
            if commands > 0 && commands + job.commands.len() > batch {
                break;
            }
            commands += job.commands.len();
            taken.extend(pending.pop_front());
        }
        return taken;
    }

    let mut hotels: BTreeSet<HotelId> = BTreeSet::new();
    let mut passed_over: BTreeSet<HotelId> = BTreeSet::new();
    let mut left = VecDeque::with_capacity(pending.len());
    for job in pending.drain(..) {
        let its: BTreeSet<_> = job.commands.iter().map(|command| command.hotel_id()).collect();
        let fits = taken.is_empty()
            || (commands + job.commands.len() <= batch
                && hotels.union(&its).count() <= max_hotels
                && passed_over.is_disjoint(&its));
        if fits {
            commands += job.commands.len();
            hotels.extend(its);
            taken.push(job);
        } else {
            passed_over.extend(its);
            left.push_back(job);
        }
    }
    *pending = left;
    taken
}
