//! Which waiting jobs go into the next transaction.

use super::Job;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use std::collections::{BTreeSet, HashSet, VecDeque};

/// What goes into a transaction at the most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Commands; one larger job goes alone.
    pub(super) commands: usize,
    /// Hotels; a job of more goes alone.
    pub(super) hotels: usize,
}

/// The hotels of a job, a hotel once for all of its commands that follow one another.
pub(super) fn hotels_of(job: &Job) -> impl Iterator<Item = HotelId> {
    let runs = job.commands.chunk_by(|one, next| one.hotel_id() == next.hotel_id());
    runs.filter_map(|run| run.first().map(Command::hotel_id))
}

/// Takes jobs from the front, of none of the hotels that are `taken`. Some are passed over, and no later job of their hotels
/// overtakes them.
pub(super) fn take_batch(
    waiting: &mut VecDeque<Job>,
    taken: &HashSet<HotelId>,
    limits: Limits,
) -> Vec<Job> {
    let mut batch = Vec::new();
    let mut commands = 0;
    if limits.hotels == usize::MAX && taken.is_empty() {
        while let Some(job) = waiting.front() {
            if commands > 0 && commands + job.commands.len() > limits.commands {
                break;
            }
            commands += job.commands.len();
            batch.extend(waiting.pop_front());
        }
        return batch;
    }

    let mut hotels: BTreeSet<HotelId> = BTreeSet::new();
    let mut passed_over: BTreeSet<HotelId> = BTreeSet::new();
    let mut left = Vec::new();
    while commands < limits.commands
        && let Some(job) = waiting.pop_front()
    {
        let its: BTreeSet<_> = hotels_of(&job).collect();
        let may_go =
            passed_over.is_disjoint(&its) && !its.iter().any(|hotel| taken.contains(hotel));
        let fits = batch.is_empty()
            || (commands + job.commands.len() <= limits.commands
                && (limits.hotels == usize::MAX || hotels.union(&its).count() <= limits.hotels));
        if may_go && fits {
            commands += job.commands.len();
            hotels.extend(its);
            batch.push(job);
        } else {
            passed_over.extend(its);
            left.push(job);
        }
    }
    for job in left.into_iter().rev() {
        waiting.push_front(job);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NO_LIMIT: usize = usize::MAX;

    fn names(jobs: &[Job]) -> Vec<String> {
        jobs.iter().map(Job::name).collect()
    }

    /// Takes batches until nothing is left.
    fn batches(jobs: Vec<Job>, batch: usize, max_hotels: usize) -> Vec<Vec<String>> {
        let mut pending = VecDeque::from(jobs);
        let mut batches = Vec::new();
        while !pending.is_empty() {
            let limits = Limits { commands: batch, hotels: max_hotels };
            batches.push(names(&take_batch(&mut pending, &HashSet::new(), limits)));
        }
        batches
    }

    #[actix_web::test]
    async fn whatever_waits_goes_together_up_to_the_bound() {
        let waiting = || {
            vec![
                Job::named("a", &[1]),
                Job::named("b", &[2, 2]),
                Job::named("c", &[3]),
                Job::named("d", &[1]),
            ]
        };
        assert_eq!(batches(waiting(), 9, NO_LIMIT), [vec!["a", "b", "c", "d"]]);
        assert_eq!(batches(waiting(), 3, NO_LIMIT), [vec!["a", "b"], vec!["c", "d"]]);
        assert_eq!(batches(waiting(), 2, NO_LIMIT), [vec!["a"], vec!["b"], vec!["c", "d"]]);
    }

    #[actix_web::test]
    async fn a_job_larger_than_the_bound_goes_alone() {
        let waiting =
            || vec![Job::named("a", &[1]), Job::named("large", &[1, 1, 1]), Job::named("b", &[1])];
        for max_hotels in [NO_LIMIT, 1, 2] {
            assert_eq!(batches(waiting(), 2, max_hotels), [vec!["a"], vec!["large"], vec!["b"]]);
        }
    }

    #[actix_web::test]
    async fn a_batch_holds_no_more_hotels_than_it_may() {
        let waiting = || {
            vec![
                Job::named("a1", &[1]),
                Job::named("b1", &[2]),
                Job::named("a2", &[1]),
                Job::named("c1", &[3]),
            ]
        };
        assert_eq!(batches(waiting(), 9, 1), [vec!["a1", "a2"], vec!["b1"], vec!["c1"]]);
        assert_eq!(batches(waiting(), 9, 2), [vec!["a1", "b1", "a2"], vec!["c1"]]);
        assert_eq!(batches(waiting(), 9, 3), [vec!["a1", "b1", "a2", "c1"]]);
    }

    #[actix_web::test]
    async fn a_job_of_more_hotels_than_a_batch_may_hold_goes_alone() {
        let waiting =
            vec![Job::named("many", &[1, 2, 3]), Job::named("a", &[1]), Job::named("b", &[2])];
        assert_eq!(batches(waiting, 9, 1), [vec!["many"], vec!["a"], vec!["b"]]);
    }

    #[actix_web::test]
    async fn no_job_overtakes_another_of_its_hotels() {
        // "both" does not fit beside "a1"; "b1" would, but comes after it.
        let waiting = vec![
            Job::named("a1", &[1]),
            Job::named("both", &[1, 2]),
            Job::named("b1", &[2]),
            Job::named("a2", &[1]),
        ];
        assert_eq!(batches(waiting, 9, 1), [vec!["a1"], vec!["both"], vec!["b1"], vec!["a2"]]);

        // Nor where it was the bound of commands that stopped the earlier one.
        let waiting =
            vec![Job::named("a1", &[1]), Job::named("a2", &[1, 1]), Job::named("a3", &[1])];
        assert_eq!(batches(waiting, 2, 1), [vec!["a1"], vec!["a2"], vec!["a3"]]);
    }

    #[actix_web::test]
    async fn a_hotel_that_another_lane_has_is_passed_over() {
        let take = |names: &mut VecDeque<Job>, taken: &[u128], commands| {
            let taken = taken.iter().map(|hotel| HotelId(Uuid::from_u128(*hotel))).collect();
            take_batch(names, &taken, Limits { commands, hotels: NO_LIMIT })
        };
        let mut waiting = VecDeque::from([
            Job::named("a1", &[1]),
            Job::named("both", &[1, 2]),
            Job::named("b1", &[2]),
            Job::named("c1", &[3]),
            Job::named("d1", &[4]),
            Job::named("a2", &[1]),
        ]);
        // "b1" would overtake "both".
        assert_eq!(names(&take(&mut waiting, &[1], 1)), ["c1"]);
        assert_eq!(names(&take(&mut waiting, &[1, 3], 9)), ["d1"]);
        assert!(take(&mut waiting, &[1], 9).is_empty());
        assert_eq!(names(&take(&mut waiting, &[], 9)), ["a1", "both", "b1", "a2"]);
    }
}
