//! Who waits, and which lane takes them.
//!
//! A lane takes whatever waits. Another lane of the same queue begins beside it when as much waits as the first has: and
//! [many](MANY) at that, unless it has but [a few](FEW), or batches [wait](Overhead::is_waiting) more than they work. It
//! begins as well when a batch of them waits, or if the first takes long. Until then, more would come of waiting for its
//! commit than of a commit of one's own. A hotel is with one lane at a time, so its commands keep their order and meet no
//! other lane's locks.

use super::overhead::Overhead;
use super::packing::{Limits, hotels_of, take_batch};
use super::{Job, WriteError};
use crate::admission::Admission;
use plg_core::ids::HotelId;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long others wait for a batch that is under way.
const LONG: Duration = Duration::from_millis(50);

/// So many commands are worth a transaction beside another: smaller ones would share the processors with the first, and
/// each costs some 0.3 ms of them, whatever is in it.
const MANY: usize = 64;
/// Beside so few the processors have nothing to do: it is the disk that everybody waits for.
const FEW: usize = 4;

/// One queue, and what its lanes know of each other.
pub(super) struct Queue {
    admission: Arc<Admission>,
    limits: Limits,
    state: Mutex<State>,
    changed: Notify,
    /// Hotels that another transaction was found to keep: asked about before they are waited for again.
    kept: Mutex<BTreeSet<HotelId>>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Commands that may be taken: of hotels that no lane has, and that nobody before them waits for in vain.
    ready: usize,
    /// Hotels that a lane has.
    taken: HashSet<HotelId>,
    /// Hotels of those that wait for one which a lane has.
    blocked: HashSet<HotelId>,
    /// Lanes that have been at work for no long time.
    busy: usize,
    /// Commands that they have.
    under_way: usize,
    /// Lanes that there are.
    lanes: usize,
    /// Those of them that have a database.
    connected: usize,
    /// Batches that were recorded.
    recorded: u64,
    overhead: Overhead,
    /// A lane has been called, and has not looked yet.
    is_called: bool,
    is_closed: bool,
}

impl State {
    /// Whether a lane that is free should begin.
    fn is_due(&self, batch: usize) -> bool {
        let would_idle = self.under_way <= FEW || self.overhead.is_waiting();
        let is_enough = self.ready >= self.under_way && (would_idle || self.ready >= MANY);
        self.ready > 0 && (is_enough || self.ready >= batch)
    }

    /// Another waits.
    fn push(&mut self, job: Job) {
        self.ready += ready_of(&job, &self.taken, &mut self.blocked);
        self.waiting.push_back(job);
    }

    fn count_ready(&mut self) {
        let Self { waiting, taken, blocked, .. } = self;
        blocked.clear();
        self.ready = waiting.iter().map(|job| ready_of(job, taken, blocked)).sum();
    }
}

/// The commands of a job that comes behind these, or none: its hotels are blocked then, too.
fn ready_of(job: &Job, taken: &HashSet<HotelId>, blocked: &mut HashSet<HotelId>) -> usize {
    let is_free = |hotel: HotelId| !taken.contains(&hotel) && !blocked.contains(&hotel);
    if taken.is_empty() || hotels_of(job).all(is_free) {
        return job.commands.len();
    }
    blocked.extend(hotels_of(job));
    0
}

/// What a lane has taken, until it is done.
pub(super) struct Turn {
    queue: Arc<Queue>,
    hotels: Vec<HotelId>,
    /// How many commands others wait for: none once it takes long.
    commands: usize,
}

/// A lane that is there for its queue.
pub(super) struct Attendance {
    queue: Arc<Queue>,
    is_connected: bool,
}

impl Queue {
    pub(super) fn new(admission: Arc<Admission>, limits: Limits) -> Arc<Self> {
        let (state, changed, kept) = (Mutex::default(), Notify::new(), Mutex::default());
        Arc::new(Self { admission, limits, state, changed, kept })
    }

    /// A lane comes.
    pub(super) fn attend(self: &Arc<Self>) -> Attendance {
        self.state().lanes += 1;
        Attendance { queue: Arc::clone(self), is_connected: false }
    }

    /// Who may wait.
    pub(super) const fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Hotels that another transaction was found to keep.
    pub(super) fn kept(&self) -> MutexGuard<'_, BTreeSet<HotelId>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a job to the next lane.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn push(&self, job: Job) -> Result<(), WriteError> {
        let mut state = self.state();
        if state.lanes == 0 {
            return Err(WriteError::ShuttingDown);
        }
        state.push(job);
        self.call_if_due(&mut state);
        drop(state);
        Ok(())
    }

    /// Nobody comes any more.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    /// How many lanes there are.
    pub(super) fn lanes(&self) -> usize {
        self.state().lanes
    }

    /// The next batch for a lane: `None` when it is closed, and empty.
    pub(super) async fn next(self: &Arc<Self>) -> Option<(Vec<Job>, Turn)> {
        loop {
            {
                let mut state = self.state();
                state.is_called = false;
                if let Some(next) = self.take(&mut state) {
                    return Some(next);
                }
                if state.is_closed && state.waiting.is_empty() {
                    // One tells the other.
                    self.changed.notify_one();
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Has another lane look, as this one does not.
    pub(super) fn call(&self) {
        self.call_if_due(&mut self.state());
    }

    /// Batches that were recorded so far.
    pub(super) fn recorded(&self) -> u64 {
        self.state().recorded
    }

    /// So many were recorded in so long.
    pub(super) fn served(&self, count: usize, took: Duration) {
        let mut state = self.state();
        state.recorded += 1;
        state.overhead.learn(count, took);
        let busy = u32::try_from(state.busy).unwrap_or(1).max(1);
        drop(state);
        self.admission.served(count, took / busy);
    }

    fn take(self: &Arc<Self>, state: &mut State) -> Option<(Vec<Job>, Turn)> {
        if !state.is_due(self.limits.commands) {
            return None;
        }
        let State { waiting, taken, .. } = &mut *state;
        let jobs = take_batch(waiting, taken, self.limits);
        if jobs.is_empty() {
            return None;
        }
        let mut hotels = Vec::new();
        if state.lanes > 1 {
            hotels.extend(jobs.iter().flat_map(hotels_of));
            state.taken.extend(&hotels);
        }
        let commands = jobs.iter().map(|job| job.commands.len()).sum();
        state.busy += 1;
        state.under_way += commands;
        state.count_ready();
        self.call_if_due(state);
        if state.is_closed && state.waiting.is_empty() {
            // Whoever has looked before this is told that it is the end.
            self.changed.notify_one();
        }
        Some((jobs, Turn { queue: Arc::clone(self), hotels, commands }))
    }

    fn call_if_due(&self, state: &mut State) {
        if !state.is_called && state.is_due(self.limits.commands) {
            state.is_called = true;
            // The one that has just worked, if there is a choice.
            self.changed.notify_last();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Does the work. Others need not wait for it if it takes long.
    pub(super) async fn of<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        match timeout(LONG, &mut work).await {
            Ok(done) => done,
            Err(_) => {
                self.is_long();
                work.await
            }
        }
    }

    fn is_long(&mut self) {
        let queue = Arc::clone(&self.queue);
        let mut state = queue.state();
        self.leave(&mut state);
        queue.call_if_due(&mut state);
    }

    /// Nobody waits for it any more.
    fn leave(&mut self, state: &mut State) {
        let commands = std::mem::take(&mut self.commands);
        state.under_way -= commands;
        state.busy -= usize::from(commands > 0);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let queue = Arc::clone(&self.queue);
        let mut state = queue.state();
        self.leave(&mut state);
        for hotel in &self.hotels {
            state.taken.remove(hotel);
        }
        state.count_ready();
        // Nobody is called: its lane looks for more.
    }
}

impl Attendance {
    /// Whether it has a database.
    pub(super) fn set_connected(&mut self, is_connected: bool) {
        let was_connected = std::mem::replace(&mut self.is_connected, is_connected);
        let mut state = self.queue.state();
        state.connected += usize::from(is_connected);
        state.connected -= usize::from(was_connected);
    }

    /// Whether another lane of its queue has one.
    pub(super) fn others_are_connected(&self) -> bool {
        self.queue.state().connected > usize::from(self.is_connected)
    }

    /// All who wait, to be told that there is no database.
    pub(super) fn give_up(&self) -> Vec<Job> {
        let mut state = self.queue.state();
        let waiting = state.waiting.drain(..).collect();
        state.count_ready();
        waiting
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.set_connected(false);
        let mut state = self.queue.state();
        state.lanes -= 1;
        // Whoever waits is answered when nobody is left to do it.
        let left =
            if state.lanes == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        state.count_ready();
        self.queue.call_if_due(&mut state);
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::Reply;
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const BATCH: usize = 3;

    /// Lets a million in, or what is recorded in a second.
    fn unbounded() -> Arc<Admission> {
        Admission::of(1_000_000, 10, 1_000)
    }

    /// A queue of so many lanes.
    fn queue(lanes: usize) -> (Arc<Queue>, Vec<Attendance>) {
        let limits = Limits { commands: BATCH, hotels: usize::MAX };
        let queue = Queue::new(unbounded(), limits);
        let lanes = (0..lanes).map(|_| queue.attend()).collect();
        (queue, lanes)
    }

    fn push(queue: &Queue, name: &str, hotels: &[u128]) {
        queue.push(Job::named(name, hotels)).unwrap();
    }

    /// What a lane that asks is given at once.
    fn next(queue: &Arc<Queue>) -> Option<(Vec<String>, Turn)> {
        let (jobs, turn) = queue.next().now_or_never()??;
        Some((jobs.iter().map(Job::name).collect(), turn))
    }

    #[track_caller]
    fn take(queue: &Arc<Queue>, expected: &[&str]) -> Turn {
        let (names, turn) = next(queue).expect("something is due");
        assert_eq!(names, expected);
        turn
    }

    #[actix_web::test]
    async fn another_lane_begins_when_as_much_waits_as_is_under_way_or_fills_a_batch() {
        let (queue, _lanes) = queue(3);
        push(&queue, "a", &[1]);
        push(&queue, "b", &[2]);
        let first = take(&queue, &["a", "b"]);
        push(&queue, "c", &[3]);
        assert!(next(&queue).is_none(), "it waits for others to join");
        push(&queue, "d", &[4]);
        let second = take(&queue, &["c", "d"]);

        for (name, hotel) in [("e", 5), ("f", 6)] {
            push(&queue, name, &[hotel]);
            assert!(next(&queue).is_none(), "four are under way");
        }
        push(&queue, "g", &[7]);
        let third = take(&queue, &["e", "f", "g"]);

        push(&queue, "h", &[8]);
        drop((first, second));
        assert!(next(&queue).is_none(), "the third is under way");
        drop(third);
        drop(take(&queue, &["h"]));
    }

    /// How many have to wait before another lane begins beside a batch of so many.
    #[track_caller]
    fn needed_beside(queue: &Arc<Queue>, beside: usize, expected: usize) {
        push(queue, "first", &vec![1; beside]);
        let first = take(queue, &["first"]);
        for _ in 1..expected {
            push(queue, "other", &[2]);
            assert!(next(queue).is_none(), "{expected} are needed beside {beside}");
        }
        push(queue, "other", &[2]);
        drop(take(queue, &vec!["other"; expected]));
        drop(first);
    }

    #[actix_web::test]
    async fn beside_more_than_a_few_another_lane_begins_when_many_wait_and_as_many() {
        let limits = Limits { commands: usize::MAX, hotels: usize::MAX };
        let queue = Queue::new(unbounded(), limits);
        let _lanes = [queue.attend(), queue.attend()];
        for (beside, expected) in
            [(1, 1), (FEW, FEW), (FEW + 1, MANY), (MANY, MANY), (2 * MANY, 2 * MANY)]
        {
            needed_beside(&queue, beside, expected);
        }

        // Where the database is far away.
        for _ in 0..1_000 {
            queue.served(1, Duration::from_millis(3));
        }
        for beside in [1, FEW + 1, MANY, 2 * MANY] {
            needed_beside(&queue, beside, beside);
        }
    }

    #[actix_web::test]
    async fn nobody_waits_for_a_batch_that_takes_long() {
        tokio::time::pause();
        let (queue, _lanes) = queue(2);
        push(&queue, "a", &[1, 1]);
        let mut work = Box::pin(take(&queue, &["a"]).of(std::future::pending::<()>()));
        assert!(work.as_mut().now_or_never().is_none());
        push(&queue, "a2", &[1]);
        push(&queue, "b", &[2]);
        let mut other = Box::pin(queue.next());
        assert!(other.as_mut().now_or_never().is_none());

        tokio::time::advance(2 * LONG).await;
        assert!(work.as_mut().now_or_never().is_none());
        let (jobs, _turn) = other.await.unwrap();
        assert_eq!(jobs[0].name(), "b");
        assert_eq!(jobs.len(), 1, "its hotel is still with the first");
        drop(work);
        drop(take(&queue, &["a2"]));
    }

    #[actix_web::test]
    async fn a_hotel_is_with_one_lane_at_a_time() {
        let (queue, _lanes) = queue(2);
        push(&queue, "a1", &[1, 1, 1]);
        let first = take(&queue, &["a1"]);
        for (name, hotel) in [("a2", 1), ("b", 2), ("a3", 1), ("a4", 1), ("a5", 1), ("c", 3)] {
            push(&queue, name, &[hotel]);
            assert!(next(&queue).is_none(), "what waits for its hotel fills no batch");
        }
        push(&queue, "d", &[4]);
        let second = take(&queue, &["b", "c", "d"]);
        drop(first);
        assert!(next(&queue).is_some_and(|(names, _)| names == ["a2", "a3", "a4"]));
        drop(second);
        drop(take(&queue, &["a5"]));
    }

    #[actix_web::test]
    async fn the_lane_that_has_just_worked_is_called_first() {
        let (queue, _lanes) = queue(2);
        let (mut idle, mut used) = (Box::pin(queue.next()), Box::pin(queue.next()));
        assert!(idle.as_mut().now_or_never().is_none());
        assert!(used.as_mut().now_or_never().is_none());
        push(&queue, "a", &[1]);
        assert!(used.as_mut().now_or_never().is_some());
        assert!(idle.as_mut().now_or_never().is_none());
    }

    #[actix_web::test]
    async fn a_lane_that_dies_takes_nobody_with_it() {
        let (queue, mut lanes) = queue(2);
        push(&queue, "a1", &[1, 1]);
        let turn = take(&queue, &["a1"]);
        push(&queue, "a2", &[1]);
        push(&queue, "b", &[2]);
        let mut other = Box::pin(queue.next());
        assert!(other.as_mut().now_or_never().is_none());
        drop((turn, lanes.pop()));
        let (jobs, turn) = other.await.unwrap();
        assert_eq!((jobs.len(), queue.lanes()), (2, 1));

        let (reply, answer) = Reply::here();
        queue.push(Job { reply, ..Job::named("c", &[3]) }).unwrap();
        drop((turn, lanes));
        assert!(answer.await.is_err(), "whoever waits for nobody hears of it");
        let refused = queue.push(Job::named("d", &[4]));
        assert!(matches!(refused, Err(WriteError::ShuttingDown)));
    }

    #[actix_web::test]
    async fn all_lanes_end_when_everything_is_taken() {
        let (queue, _lanes) = queue(3);
        push(&queue, "a", &[1, 1]);
        let turn = take(&queue, &["a"]);
        push(&queue, "b", &[2]);
        let mut lanes: Vec<_> = (0..3).map(|_| Box::pin(queue.next())).collect();
        for lane in &mut lanes {
            assert!(lane.as_mut().now_or_never().is_none());
        }
        queue.close();
        for lane in &mut lanes {
            assert!(lane.as_mut().now_or_never().is_none(), "one waits");
        }
        drop(turn);
        // Whoever takes the last may never look again.
        let _last = take(&queue, &["b"]);
        assert!(join_all(lanes).await.iter().all(Option::is_none));
    }

    #[actix_web::test]
    async fn those_who_wait_are_given_up_when_no_lane_has_a_database() {
        let (queue, mut lanes) = queue(2);
        lanes[0].set_connected(true);
        lanes[0].set_connected(true);
        assert!(lanes[1].others_are_connected());
        assert!(!lanes[0].others_are_connected());
        lanes[0].set_connected(false);
        assert!(!lanes[1].others_are_connected());
        push(&queue, "a", &[1]);
        assert_eq!(lanes[1].give_up().len(), 1);
        assert!(next(&queue).is_none());
    }

    #[actix_web::test]
    async fn lanes_that_work_at_once_are_faster_together() {
        let (queue, _lanes) = queue(2);
        let alone = unbounded();
        alone.served(1_000, Duration::from_secs(1));
        let mut turns: Vec<_> = (0..2)
            .map(|lane| {
                push(&queue, "array", &[lane; BATCH]);
                next(&queue).unwrap()
            })
            .collect();
        queue.served(1_000, Duration::from_secs(2));
        assert_eq!(queue.admission().limit(), alone.limit());
        turns[0].1.is_long();
        alone.served(1_000, Duration::from_secs(2));
        queue.served(1_000, Duration::from_secs(2));
        assert_eq!(queue.admission().limit(), alone.limit());
        drop(turns);
        alone.served(1_000, Duration::from_secs(4));
        queue.served(1_000, Duration::from_secs(4));
        assert_eq!(queue.admission().limit(), alone.limit());
    }

    #[actix_web::test]
    async fn whoever_waits_behind_a_hotel_that_is_taken_calls_nobody() {
        let (queue, _lanes) = queue(2);
        push(&queue, "a", &[1]);
        let turn = take(&queue, &["a"]);
        push(&queue, "both", &[1, 2]);
        let mut other = Box::pin(queue.next());
        assert!(other.as_mut().now_or_never().is_none());
        for _ in 0..BATCH {
            push(&queue, "b", &[2]);
            assert!(!queue.state().is_called);
        }
        drop(turn);
        drop(take(&queue, &["both", "b"]));
    }

    /// How many commands of those who wait, by their hotels, may be taken.
    fn takeable(waiting: &[(String, Vec<u128>)], taken: impl Iterator<Item = HotelId>) -> usize {
        let mut blocked: HashSet<_> = taken.map(|HotelId(hotel)| hotel.as_u128()).collect();
        let mut commands = 0;
        for (_, hotels) in waiting {
            if hotels.iter().any(|hotel| blocked.contains(hotel)) {
                blocked.extend(hotels);
            } else {
                commands += hotels.len();
            }
        }
        commands
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u128>),
        Take,
        Long(usize),
        Done(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => prop::collection::vec(0..5_u128, 1..4).prop_map(Step::Push),
            3 => Just(Step::Take),
            1 => any::<usize>().prop_map(Step::Long),
            2 => any::<usize>().prop_map(Step::Done),
        ]
    }

    proptest! {
        /// Whatever comes, and however long lanes take: nobody is overtaken by another of his hotel, no hotel is with
        /// two lanes, lanes begin when they are due and only then, and everybody is taken.
        #[test]
        fn nobody_is_lost_or_overtaken(steps in prop::collection::vec(step(), 1..60)) {
            actix_web::rt::System::new().block_on(async {
                let (queue, lanes) = queue(3);
                let mut pushed: BTreeMap<u128, Vec<String>> = BTreeMap::new();
                let mut recorded: BTreeMap<u128, Vec<String>> = BTreeMap::new();
                let mut turns: Vec<(Turn, HashSet<HotelId>)> = Vec::new();
                let mut waiting: Vec<(String, Vec<u128>)> = Vec::new();
                let end = [Step::Done(0), Step::Take].into_iter().cycle().take(400);
                for (number, step) in steps.into_iter().chain(end).enumerate() {
                    match step {
                        Step::Push(mut hotels) => {
                            // As a request's commands are, by hotel.
                            hotels.sort_unstable();
                            let name = number.to_string();
                            push(&queue, &name, &hotels);
                            waiting.push((name.clone(), hotels.clone()));
                            hotels.dedup();
                            for hotel in hotels {
                                pushed.entry(hotel).or_default().push(name.clone());
                            }
                        }
                        Step::Take if turns.len() < lanes.len() => {
                            let Some(Some((jobs, turn))) = queue.next().now_or_never() else {
                                prop_assert!(waiting.is_empty() || !turns.is_empty());
                                prop_assert!(!queue.state().is_due(BATCH));
                                continue;
                            };
                            waiting.retain(|(name, _)| jobs.iter().all(|job| job.name() != *name));
                            let hotels: HashSet<_> = jobs.iter().flat_map(hotels_of).collect();
                            for job in &jobs {
                                for HotelId(hotel) in hotels_of(job) {
                                    recorded.entry(hotel.as_u128()).or_default().push(job.name());
                                }
                            }
                            for (_, others) in &turns {
                                prop_assert!(others.is_disjoint(&hotels));
                            }
                            turns.push((turn, hotels));
                        }
                        Step::Long(which) if !turns.is_empty() => {
                            let which = which % turns.len();
                            turns[which].0.is_long();
                        }
                        Step::Done(which) if !turns.is_empty() => {
                            turns.remove(which % turns.len());
                        }
                        Step::Take | Step::Long(_) | Step::Done(_) => {}
                    }
                    let taken = turns.iter().flat_map(|(_, hotels)| hotels.iter().copied());
                    prop_assert_eq!(queue.state().ready, takeable(&waiting, taken));
                }
                prop_assert_eq!(recorded, pushed);
                Ok(())
            })?;
        }
    }
}
