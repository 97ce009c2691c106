//! Who may wait: as many as are served in the time that one may wait.
//!
//! At the entrance of a queue, for events, and at that of the service, for requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many jobs may wait whatever the pace: a handful of large arrays is no crowd.
const JOBS_ALWAYS: usize = 16;

/// How many may wait. A job is one or several of what is counted: a queue's jobs have events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long one may wait.
    pub(crate) max_wait: Duration,
    /// So many at the most, however fast they are served.
    pub(crate) most: usize,
    /// So many may always wait, or who was slow once would never show that it is not.
    pub(crate) always: usize,
}

/// An entrance that is told how fast those are served who came in.
#[derive(Debug)]
pub(crate) struct Admission {
    bounds: Bounds,
    state: Mutex<State>,
}

/// How much one batch changes what is thought of the pace: one that met a checkpoint says little.
const LAST_COUNTS: f64 = 0.125;

#[derive(Debug)]
struct State {
    jobs: usize,
    waiting: usize,
    /// How long one takes, in seconds. It begins with none: who has just begun opens months.
    pace: f64,
}

/// What a job takes up until it is done.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    size: usize,
}

impl Admission {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, state: Mutex::new(State { jobs: 0, waiting: 0, pace: 0.0 }) })
    }

    /// Lets a job of this size in, if it fits, and those before it will be done in time.
    pub(crate) fn admit(self: &Arc<Self>, size: usize) -> Option<Place> {
        let mut state = self.state();
        let Bounds { most, .. } = self.bounds;
        let waiting = state.waiting + size;
        let is_late = state.waiting >= self.in_time(state.pace);
        if waiting > most || (is_late && state.jobs >= JOBS_ALWAYS) {
            return None;
        }
        state.waiting = waiting;
        state.jobs += 1;
        drop(state);
        Some(Place { admission: Arc::clone(self), size })
    }

    /// So many were served one behind the other, in so long. The time of few is that of the round trips, which
    /// nobody had to wait for: it says only that the pace is no slower.
    pub(crate) fn served(&self, count: usize, took: Duration) {
        let is_few = count < self.bounds.always.div_ceil(2);
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        let sample = took.as_secs_f64() / count as f64;
        let mut state = self.state();
        if is_few && sample >= state.pace {
            return;
        }
        state.pace += (sample - state.pace) * LAST_COUNTS;
    }

    /// How many wait, or are being served.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// How many may.
    pub(crate) fn limit(&self) -> usize {
        self.in_time(self.state().pace)
    }

    /// How many are served in time at that pace.
    fn in_time(&self, pace: f64) -> usize {
        let Bounds { max_wait, most, always } = self.bounds;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two bounds in the end; of no pace as many as may be"
        )]
        let in_time = (max_wait.as_secs_f64() / pace).round() as usize;
        in_time.max(always).min(most)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Admission {
    pub(crate) fn of(most: usize, always: usize, max_wait_ms: u64) -> Arc<Self> {
        Self::new(Bounds { max_wait: Duration::from_millis(max_wait_ms), most, always })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.waiting -= self.size;
        state.jobs -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: usize = 8_000;
    const BATCH: usize = 500;

    /// A lane that has long recorded batches like the first, and then the others.
    fn after(batches: &[(usize, u64)]) -> Arc<Admission> {
        let admission = Admission::of(QUEUE, BATCH, 200);
        let long = batches.first().into_iter().cycle().take(100);
        for (events, millis) in long.chain(batches.iter().skip(1)) {
            admission.served(*events, Duration::from_millis(*millis));
        }
        admission
    }

    /// How many of such jobs are let in, of a thousand more than fit.
    fn admitted(admission: &Arc<Admission>, events: usize) -> Vec<Place> {
        (0..QUEUE / events + 1_000).filter_map(|_| admission.admit(events)).collect()
    }

    #[test]
    fn as_many_may_wait_as_are_recorded_in_time() {
        assert_eq!(after(&[(500, 50)]).limit(), 2_000);
        assert_eq!(after(&[(250, 50)]).limit(), 1_000);
        assert_eq!(after(&[(1_000, 50)]).limit(), 4_000);
        assert_eq!(admitted(&after(&[(500, 50)]), 1).len(), 2_000);
    }

    #[test]
    fn one_slow_batch_says_little_and_many_say_all() {
        let slow_at_first = Admission::of(QUEUE, BATCH, 200);
        slow_at_first.served(500, Duration::from_millis(200));
        assert_eq!(slow_at_first.limit(), 4_000);
        assert_eq!(after(&[(500, 50), (500, 450)]).limit(), 1_000);
        let slower: Vec<_> = [(500, 50)].into_iter().chain([(500, 100); 64]).collect();
        assert_eq!(after(&slower).limit(), 1_000);
    }

    #[test]
    fn the_queue_has_an_end() {
        for admission in [after(&[]), after(&[(500, 1)]), after(&[(500, 0)])] {
            assert_eq!(admission.limit(), QUEUE);
            assert_eq!(admitted(&admission, 1).len(), QUEUE);
        }
        assert_eq!(admitted(&after(&[(500, 2_000)]), 1_000).len(), 8);
    }

    #[test]
    fn a_lane_that_was_slow_is_given_a_batch_to_show_that_it_is_not() {
        assert_eq!(admitted(&after(&[(500, 2_000)]), 1).len(), BATCH);
    }

    #[test]
    fn small_batches_do_not_say_that_it_is_slow() {
        assert_eq!(after(&[(249, 1_000)]).limit(), QUEUE);
        assert_eq!(after(&[(500, 50), (1, 1_000)]).limit(), 2_000);
    }

    #[test]
    fn a_lane_that_was_slow_shows_by_small_batches_that_it_is_not() {
        let fast_again: Vec<_> = [(500, 2_000)].into_iter().chain([(20, 2); 64]).collect();
        assert_eq!(after(&fast_again[..1]).limit(), BATCH);
        assert!(after(&fast_again).limit() > 1_900);
    }

    #[test]
    fn an_array_waits_for_those_before_it_only() {
        let admission = after(&[(500, 100)]);
        let mut singles: Vec<_> = (0..999).filter_map(|_| admission.admit(1)).collect();
        assert!(admission.admit(1_000).is_some());
        singles.extend(admission.admit(1));
        assert_eq!(singles.len(), 1_000);
        assert!(admission.admit(1_000).is_none());
    }

    #[test]
    fn a_handful_of_arrays_waits_longer() {
        let admission = after(&[(500, 100)]);
        let arrays = admitted(&admission, 400);
        assert_eq!(arrays.len(), JOBS_ALWAYS);
        assert!(admission.admit(1).is_none());
        drop(arrays);
        assert_eq!((admission.waiting(), admitted(&admission, 1).len()), (0, 1_000));
    }
}
