//! One lane: a connection, the batches that it records one after the other, and what to do when it fails.

use super::queue::{Attendance, Queue, Turn};
use super::{Job, Shared, WriteError, WriteResult};
use crate::desk::deliver;
use crate::metrics::BatchOutcome;
use futures_util::FutureExt as _;
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_store::commit::{CommitError, Written};
use plg_store::connect::{self, Planning};
use plg_store::{Recorder, StoreError};
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long, and how far apart, the outcome of a lost COMMIT is asked for: as long as a request still
/// waits for it.
const OUTCOME_DEADLINE: Duration = Duration::from_millis(2_000);
const OUTCOME_PAUSE: Duration = Duration::from_millis(100);
/// How long plans are kept: made for a handful of hotels, they would read all of the thousands that have come since.
const PLANS_KEPT: Duration = Duration::from_secs(60);
/// How long a transaction that is begun waits for its batch. It has no lock and no snapshot, and so is in nobody's way.
const BEGUN_KEPT: Duration = Duration::from_millis(100);
/// How often a batch waits in vain for hotels that others keep, before all of it is given up.
const LOCK_ATTEMPTS: u32 = 3;
/// How long a lane without a database waits before it tries again, while another lane has one.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// So many hotels that others keep are remembered.
const KEPT_MAX: usize = 1_000;

pub(super) struct Lane {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    attendance: Attendance,
    recorder: Option<Recorder>,
    planned_at: Duration,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, queue: Arc<Queue>) -> Self {
        let (attendance, planned_at) = (queue.attend(), Duration::ZERO);
        Self { shared, queue, attendance, recorder: None, planned_at }
    }

    /// Works until the writer is gone and the queue is empty.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.connect().await {
            tracing::warn!(%error, "a writer lane starts without its database");
            self.fail_waiting(self.queue.recorded());
        }
        while let Some((jobs, turn)) = self.next_batch().await {
            self.process_safely(jobs, turn).await;
        }
        if let Some(recorder) = self.recorder.take() {
            // The transactions are done; a failure to say goodbye loses nothing.
            let _ = recorder.close().await;
        }
    }

    /// A transaction is begun for it already, and kept for a while.
    async fn next_batch(&mut self) -> Option<(Vec<Job>, Turn)> {
        // Nobody fails here who could be recorded there.
        while self.recorder.is_none() && self.attendance.others_are_connected() {
            self.queue.call();
            if let Err(error) = self.connect().await {
                tracing::warn!(%error, "a writer lane has no database, and another has one");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
        if let Ok(next) = tokio::time::timeout(BEGUN_KEPT, self.queue.next()).await {
            return next;
        }
        self.rest().await;
        self.queue.next().await
    }

    /// Nobody comes: no transaction is left open.
    async fn rest(&mut self) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.rest().await
        {
            tracing::warn!(%error, "database lost while nothing was recorded");
            self.drop_connection();
        }
    }

    /// A mistake in the service costs the batch that hits it, and no more: a lane that died would leave
    /// its hotels without service.
    async fn process_safely(&mut self, jobs: Vec<Job>, turn: Turn) {
        let done = turn.of(AssertUnwindSafe(self.process(jobs)).catch_unwind()).await;
        // What the panic left behind is dropped: the connection, with whatever it was doing.
        if done.is_err() {
            tracing::error!("a batch was given up: a bug, please report what the log says above");
            self.drop_connection();
        }
    }

    async fn process(&mut self, mut jobs: Vec<Job>) {
        let recorded = self.queue.recorded();
        jobs.retain(|job| job.claim.take());
        let mut commands = Vec::with_capacity(jobs.len());
        let mut replies = Vec::with_capacity(jobs.len());
        let mut places = Vec::with_capacity(jobs.len());
        for job in jobs {
            replies.push((job.commands.len(), job.reply));
            places.push(job.place);
            commands.extend(job.commands);
        }
        if commands.is_empty() {
            return;
        }
        let mut results = self.commit_free(&commands, LOCK_ATTEMPTS).await.into_iter();
        if self.recorder.is_none() {
            // Before anybody hears of it: who comes again at once may find a database.
            self.fail_waiting(recorded);
        }
        deliver(replies.into_iter().map(|(count, reply)| {
            let results = results.by_ref().take(count).collect();
            (reply, results)
        }));
        drop(places);
    }

    /// Without a database, whoever waits behind a failed batch would only wait for the next failure, unless another lane
    /// has recorded something since: a connection that was not used may be lost, too.
    fn fail_waiting(&self, since: u64) {
        if self.attendance.others_are_connected() && self.queue.recorded() > since {
            return;
        }
        deliver(self.attendance.give_up().into_iter().map(|job| {
            let unavailable = |_: &Command| Err(WriteError::Unavailable);
            (job.reply, job.commands.iter().map(unavailable).collect())
        }));
    }

    /// One result for each command. Hotels that another transaction is known to keep are left out: their neighbours
    /// would wait with them, and be answered as they are.
    async fn commit_free(&mut self, commands: &[Command], lock_attempts: u32) -> Vec<WriteResult> {
        let known = self.kept_of(commands);
        if known.is_empty() {
            return self.commit(commands, lock_attempts).await;
        }
        self.ask_who_is_kept(known).await;
        if self.recorder.is_none() {
            // Whoever keeps it, there is no database. To try again at once would take as long again.
            return commands.iter().map(|_| Err(WriteError::Unavailable)).collect();
        }
        let kept = self.kept_of(commands);
        let is_free = |command: &&Command| !kept.contains(&command.hotel_id());
        let free: Vec<Command> = commands.iter().filter(is_free).cloned().collect();
        let kept: Vec<bool> = commands.iter().map(|command| !is_free(&command)).collect();
        let results =
            if free.is_empty() { Vec::new() } else { self.commit(&free, lock_attempts).await };
        let mut results = results.into_iter();
        let result = |is_kept| {
            if is_kept { Some(Err(WriteError::HotelLocked)) } else { results.next() }
        };
        kept.into_iter().filter_map(result).collect()
    }

    /// Those of their hotels that another transaction is known to keep.
    fn kept_of(&self, commands: &[Command]) -> BTreeSet<HotelId> {
        let kept = self.queue.kept();
        commands.iter().map(Command::hotel_id).filter(|hotel| kept.contains(hotel)).collect()
    }

    /// Remembers which of these hotels another transaction keeps at this moment.
    async fn ask_who_is_kept(&mut self, hotels: BTreeSet<HotelId>) {
        let kept = match self.connect().await {
            Ok(recorder) => recorder.kept_by_others(&hotels).await,
            error => error.map(|_| BTreeSet::new()),
        };
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "cannot ask which hotels are locked");
                self.drop_connection();
                return;
            }
        };
        let mut known = self.queue.kept();
        if known.union(&kept).count() > KEPT_MAX {
            // Those of which nobody sends anything would stay for ever.
            known.clear();
        }
        for hotel in hotels {
            if kept.contains(&hotel) {
                if known.insert(hotel) {
                    tracing::warn!(%hotel, "another transaction keeps this hotel locked: it is answered 503");
                }
            } else if known.remove(&hotel) {
                tracing::info!(%hotel, "this hotel is not locked any more");
            }
        }
    }

    /// One result for each command.
    async fn commit(&mut self, commands: &[Command], lock_attempts: u32) -> Vec<WriteResult> {
        let mut results = Vec::with_capacity(commands.len());
        // The next one last.
        let mut parts = vec![commands];
        let mut was_lost = false;
        while let Some(part) = parts.pop() {
            match self.try_commit(part).await {
                Ok(answers) => {
                    for (command, answer) in part.iter().zip(&answers) {
                        let event_type = command.event().event_type;
                        self.shared.metrics.decided(event_type.name(), answer);
                    }
                    results.extend(answers.into_iter().map(Ok));
                }
                // One bad command must not fail its neighbours: halve the batch until it is alone.
                Err(WriteError::Store(error)) if part.len() > 1 && is_about_data(&error) => {
                    tracing::warn!(%error, commands = part.len(), "splitting a refused batch");
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                // One of them is kept by another transaction: which?
                Err(WriteError::Store(StoreError::Locked(cause))) if lock_attempts > 1 => {
                    tracing::debug!(%cause, commands = part.len(), "a batch waited in vain for a lock");
                    self.ask_who_is_kept(part.iter().map(Command::hotel_id).collect()).await;
                    let again = Box::pin(self.commit_free(part, lock_attempts - 1)).await;
                    results.extend(again);
                }
                // It was lost on its way, is not recorded and never will be; and there is a database again.
                Err(WriteError::Unavailable) if self.recorder.is_some() && !was_lost => {
                    was_lost = true;
                    parts.push(part);
                }
                Err(WriteError::Store(error)) if part.len() == 1 => results.push(Err(error.into())),
                Err(error) => {
                    if let WriteError::Store(error) = &error {
                        tracing::error!(%error, commands = part.len(), "a batch failed");
                    }
                    results.extend(part.iter().map(|_| Err(error.of_another())));
                }
            }
            if self.recorder.is_none() {
                // The rest would only wait for the next failure.
                break;
            }
        }
        results.resize_with(commands.len(), || Err(WriteError::Unavailable));
        results
    }

    /// All or nothing.
    async fn try_commit(&mut self, commands: &[Command]) -> Result<Vec<Answer>, WriteError> {
        let shared = Arc::clone(&self.shared);
        if let Err(error) = self.connect().await {
            tracing::warn!(%error, "no database");
            return Err(WriteError::Unavailable);
        }
        let Some(recorder) = &mut self.recorder else { return Err(WriteError::Unavailable) };
        let now = || shared.clock.now();
        let began = Instant::now();
        let result = recorder.record(now, commands).await;
        let took = began.elapsed();
        shared.metrics.batch(BatchOutcome::of(&result), commands.len(), took);
        if let Some(supposition) = recorder.supposition() {
            shared.metrics.supposed(supposition);
        }
        match result {
            Ok(answers) => {
                self.queue.served(commands.len(), took);
                Ok(answers)
            }
            Err(CommitError::Failed(StoreError::Unavailable(cause))) => {
                tracing::warn!(%cause, "database lost");
                self.drop_connection();
                Err(WriteError::Unavailable)
            }
            Err(CommitError::Failed(error)) => Err(error.into()),
            Err(CommitError::Unknown { cause, written }) => {
                tracing::warn!(%cause, "database lost while committing");
                self.drop_connection();
                let outcome = self.find_out(written);
                match tokio::time::timeout(OUTCOME_DEADLINE, outcome).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        self.drop_connection();
                        Err(WriteError::OutcomeUnknown)
                    }
                }
            }
        }
    }

    /// What became of a transaction whose COMMIT was not answered.
    async fn find_out(&mut self, written: Written) -> Result<Vec<Answer>, WriteError> {
        loop {
            if let Ok(recorder) = self.connect().await {
                match recorder.was_committed(&written).await {
                    Ok(true) => return Ok(written.answers),
                    Ok(false) => return Err(WriteError::Unavailable),
                    Err(error) => {
                        tracing::warn!(%error, "cannot ask for the outcome");
                        self.drop_connection();
                    }
                }
            }
            tokio::time::sleep(OUTCOME_PAUSE).await;
        }
    }

    async fn connect(&mut self) -> Result<&mut Recorder, StoreError> {
        let now = self.shared.clock.passed();
        if let Some(recorder) = &mut self.recorder
            && now - self.planned_at >= PLANS_KEPT
        {
            let renewed = recorder.plan_anew().await;
            self.planned_at = now;
            if let Err(error) = renewed {
                self.drop_connection();
                if connect::is_silence(&error) {
                    return Err(error.into());
                }
                tracing::warn!(%error, "database lost while nothing was recorded, connecting again");
            }
        }
        if self.recorder.is_none() {
            let db = connect::single(&self.shared.url, Planning::Keyed).await?;
            let Shared { plans, memory, .. } = &*self.shared;
            let recorder = Recorder::new(db, Arc::clone(plans), Arc::clone(memory)).await?;
            self.recorder = Some(recorder);
            self.attendance.set_connected(true);
            self.planned_at = now;
        }
        self.recorder.as_mut().ok_or_else(|| StoreError::Unavailable("not connected".into()))
    }

    /// In the background: a connection that is stuck takes its time to close.
    fn drop_connection(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            self.attendance.set_connected(false);
            tokio::spawn(recorder.close());
        }
    }
}

/// What the batch asks for, or what is stored of one of its hotels.
const fn is_about_data(error: &StoreError) -> bool {
    matches!(error, StoreError::Data(_) | StoreError::Database(_) | StoreError::Corrupt { .. })
}
