//! Who may wait for a lane: as many events as it records in the time that one may wait.

use plg_service::settings::WriterSettings;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many jobs may wait whatever the lane's pace: a handful of large arrays is no crowd.
const JOBS_ALWAYS: usize = 16;

/// The entrance of a lane, which tells it how fast it is.
#[derive(Debug)]
pub(super) struct Admission {
    max_wait: Duration,
    queue: usize,
    batch: usize,
    state: Mutex<State>,
}

/// How much one batch changes what is thought of the lane's pace: one that met a checkpoint says little.
const LAST_COUNTS: f64 = 0.125;

#[derive(Debug)]
struct State {
    jobs: usize,
    events: usize,
    /// How long the lane takes for one event, in seconds. It begins with none: who has just begun opens months.
    pace: f64,
}

/// What a job takes up of the queue until it is done.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    events: usize,
}

impl Admission {
    pub(super) fn new(settings: &WriterSettings) -> Arc<Self> {
        let max_wait = Duration::from_millis(settings.max_wait_ms);
        let (queue, batch) = (settings.queue, settings.batch);
        let state = Mutex::new(State { jobs: 0, events: 0, pace: 0.0 });
        Arc::new(Self { max_wait, queue, batch, state })
    }

    /// Lets a job of so many events in, if they fit, and the lane will come to them in time.
    pub(super) fn admit(self: &Arc<Self>, events: usize) -> Option<Place> {
        let mut state = self.state();
        let waiting = state.events + events;
        if waiting > self.queue || (waiting > self.in_time(state.pace) && state.jobs >= JOBS_ALWAYS)
        {
            return None;
        }
        state.events = waiting;
        state.jobs += 1;
        drop(state);
        Some(Place { admission: Arc::clone(self), events })
    }

    /// The lane has recorded a batch. A small one says nothing: nobody had to wait behind it, and its time is
    /// that of the round trips.
    pub(super) fn recorded(&self, events: usize, took: Duration) {
        if events < self.batch.div_ceil(2) {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a thousand events")]
        let sample = took.as_secs_f64() / events as f64;
        let mut state = self.state();
        state.pace += (sample - state.pace) * LAST_COUNTS;
    }

    /// Events that wait, or are being recorded.
    pub(super) fn queued(&self) -> usize {
        self.state().events
    }

    /// Events that may.
    pub(super) fn limit(&self) -> usize {
        self.in_time(self.state().pace)
    }

    /// Events that a lane of that pace comes to in time. A batch's worth may always wait, or a lane that was
    /// slow once would never show that it is not.
    fn in_time(&self, pace: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two bounds in the end; of no pace as many as may be"
        )]
        let events = (self.max_wait.as_secs_f64() / pace).round() as usize;
        events.max(self.batch).min(self.queue)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Admission {
    pub(super) fn of(queue: usize, batch: usize, max_wait_ms: u64) -> Arc<Self> {
        let (lanes, hotels_per_transaction) = (1, 0);
        Self::new(&WriterSettings { lanes, queue, max_wait_ms, batch, hotels_per_transaction })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.events -= self.events;
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
            admission.recorded(*events, Duration::from_millis(*millis));
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
        slow_at_first.recorded(500, Duration::from_millis(200));
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
    fn small_batches_say_nothing() {
        assert_eq!(after(&[(249, 1_000)]).limit(), QUEUE);
        assert_eq!(after(&[(500, 50), (1, 1_000)]).limit(), 2_000);
    }

    #[test]
    fn a_handful_of_arrays_waits_longer() {
        let admission = after(&[(500, 100)]);
        let arrays = admitted(&admission, 400);
        assert_eq!(arrays.len(), JOBS_ALWAYS);
        assert!(admission.admit(1).is_none());
        drop(arrays);
        assert_eq!((admission.queued(), admitted(&admission, 1).len()), (0, 1_000));
    }
}
