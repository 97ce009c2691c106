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

#[cfg(test)]
mod tests {
    use super::super::Claim;
    use super::*;
    use crate::admission::Admission;
    use crate::desk::Reply;
    use plg_core::catalogue::EventType;
    use plg_core::event::{Command, NewEvent};
    use plg_core::ids::{EventId, UserId};
    use uuid::Uuid;

    const NO_LIMIT: usize = usize::MAX;

    /// A job of one command for each hotel, by its number. Its commands bear its name.
    fn job(name: &str, hotels: &[u128]) -> Job {
        let command = |hotel: &u128| {
            let event = NewEvent {
                event_type: EventType::UpgradeClick,
                hotel_id: HotelId(Uuid::from_u128(*hotel)),
                user_id: UserId(Uuid::nil()),
                session_id: None,
                event_id: Some(EventId::parse(name).unwrap()),
                dedup_key: None,
                event_data: None,
            };
            Command::try_from(event).unwrap()
        };
        Job {
            commands: hotels.iter().map(command).collect(),
            reply: Reply::here().0,
            claim: Claim::default(),
            place: Admission::of(1, 1, 1).admit(0).unwrap(),
        }
    }

    fn names(jobs: &[Job]) -> Vec<String> {
        let name = |job: &Job| job.commands[0].event().event_id.as_ref().unwrap().to_string();
        jobs.iter().map(name).collect()
    }

    /// Takes batches until nothing is left.
    fn batches(jobs: Vec<Job>, batch: usize, max_hotels: usize) -> Vec<Vec<String>> {
        let mut pending = VecDeque::from(jobs);
        let mut batches = Vec::new();
        while !pending.is_empty() {
            batches.push(names(&take_batch(&mut pending, batch, max_hotels)));
        }
        batches
    }

    #[actix_web::test]
    async fn whatever_waits_goes_together_up_to_the_bound() {
        let waiting = || vec![job("a", &[1]), job("b", &[2, 2]), job("c", &[3]), job("d", &[1])];
        assert_eq!(batches(waiting(), 9, NO_LIMIT), [vec!["a", "b", "c", "d"]]);
        assert_eq!(batches(waiting(), 3, NO_LIMIT), [vec!["a", "b"], vec!["c", "d"]]);
        assert_eq!(batches(waiting(), 2, NO_LIMIT), [vec!["a"], vec!["b"], vec!["c", "d"]]);
    }

    #[actix_web::test]
    async fn a_job_larger_than_the_bound_goes_alone() {
        let waiting = || vec![job("a", &[1]), job("large", &[1, 1, 1]), job("b", &[1])];
        for max_hotels in [NO_LIMIT, 1, 2] {
            assert_eq!(batches(waiting(), 2, max_hotels), [vec!["a"], vec!["large"], vec!["b"]]);
        }
    }

    #[actix_web::test]
    async fn a_batch_holds_no_more_hotels_than_it_may() {
        let waiting = || vec![job("a1", &[1]), job("b1", &[2]), job("a2", &[1]), job("c1", &[3])];
        assert_eq!(batches(waiting(), 9, 1), [vec!["a1", "a2"], vec!["b1"], vec!["c1"]]);
        assert_eq!(batches(waiting(), 9, 2), [vec!["a1", "b1", "a2"], vec!["c1"]]);
        assert_eq!(batches(waiting(), 9, 3), [vec!["a1", "b1", "a2", "c1"]]);
    }

    #[actix_web::test]
    async fn a_job_of_more_hotels_than_a_batch_may_hold_goes_alone() {
        let waiting = vec![job("many", &[1, 2, 3]), job("a", &[1]), job("b", &[2])];
        assert_eq!(batches(waiting, 9, 1), [vec!["many"], vec!["a"], vec!["b"]]);
    }

    #[actix_web::test]
    async fn no_job_overtakes_another_of_its_hotels() {
        // "both" does not fit beside "a1"; "b1" would, but comes after it.
        let waiting = vec![job("a1", &[1]), job("both", &[1, 2]), job("b1", &[2]), job("a2", &[1])];
        assert_eq!(batches(waiting, 9, 1), [vec!["a1"], vec!["both"], vec!["b1"], vec!["a2"]]);

        // Nor where it was the bound of commands that stopped the earlier one.
        let waiting = vec![job("a1", &[1]), job("a2", &[1, 1]), job("a3", &[1])];
        assert_eq!(batches(waiting, 2, 1), [vec!["a1"], vec!["a2"], vec!["a3"]]);
    }
}
