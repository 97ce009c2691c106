//! One lane: a queue, a connection of its own, and what to do when it fails.

use super::packing::take_batch;
use super::{Job, Shared, WriteError, WriteResult};
use crate::admission::Admission;
use crate::desk::deliver;
use crate::metrics::BatchOutcome;
use futures_util::FutureExt as _;
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_store::commit::{CommitError, Written, was_committed};
use plg_store::connect::{self, Planning};
use plg_store::{StoreError, record_batch};
use sea_orm::DatabaseConnection;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long, and how far apart, the outcome of a lost COMMIT is asked for: as long as a request still
/// waits for it.
const OUTCOME_DEADLINE: Duration = Duration::from_millis(2_000);
const OUTCOME_PAUSE: Duration = Duration::from_millis(100);
/// How long plans are kept: made for a handful of hotels, they would read all of the thousands that have come since.
const PLANS_KEPT: Duration = Duration::from_secs(60);

pub(super) struct Lane {
    shared: Arc<Shared>,
    queue: mpsc::UnboundedReceiver<Job>,
    pending: VecDeque<Job>,
    admission: Arc<Admission>,
    connection: Option<DatabaseConnection>,
    planned_at: Duration,
}

impl Lane {
    pub(super) const fn new(
        shared: Arc<Shared>,
        queue: mpsc::UnboundedReceiver<Job>,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            shared,
            queue,
            pending: VecDeque::new(),
            admission,
            connection: None,
            planned_at: Duration::ZERO,
        }
    }

    /// Works until the writer is gone and the queue is empty.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.connect().await {
            tracing::warn!(%error, "a writer lane starts without its database");
            self.fail_waiting();
        }
        loop {
            if self.pending.is_empty() {
                match self.queue.recv().await {
                    Some(job) => self.pending.push_back(job),
                    None => break,
                }
            }
            while let Ok(job) = self.queue.try_recv() {
                self.pending.push_back(job);
            }
            let jobs = take_batch(
                &mut self.pending,
                self.shared.batch,
                self.shared.hotels_per_transaction,
            );
            self.process_safely(jobs).await;
        }
        if let Some(connection) = self.connection.take() {
            // The transactions are done; a failure to say goodbye loses nothing.
            let _ = connection.close().await;
        }
    }

    /// A mistake in the service costs the batch that hits it, and no more: a lane that died would leave
    /// its hotels without service.
    async fn process_safely(&mut self, jobs: Vec<Job>) {
        // What the panic left behind is dropped: the connection, with whatever it was doing.
        if AssertUnwindSafe(self.process(jobs)).catch_unwind().await.is_err() {
            tracing::error!("a batch was given up: a bug, please report what the log says above");
            self.drop_connection();
        }
    }

    async fn process(&mut self, mut jobs: Vec<Job>) {
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
        let mut results = self.commit(&commands).await.into_iter();
        deliver(replies.into_iter().map(|(count, reply)| {
            let results = results.by_ref().take(count).collect();
            (reply, results)
        }));
        drop(places);
        if self.connection.is_none() {
            self.fail_waiting();
        }
    }

    /// Without a database, whoever waits behind a failed batch would only wait for the next failure.
    fn fail_waiting(&mut self) {
        while let Ok(job) = self.queue.try_recv() {
            self.pending.push_back(job);
        }
        deliver(self.pending.drain(..).map(|job| {
            let unavailable = |_: &Command| Err(WriteError::Unavailable);
            (job.reply, job.commands.iter().map(unavailable).collect())
        }));
    }

    /// One result for each command.
    async fn commit(&mut self, commands: &[Command]) -> Vec<WriteResult> {
        let mut results = Vec::with_capacity(commands.len());
        // The next one last.
        let mut parts = vec![commands];
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
                Err(WriteError::Store(error)) if part.len() == 1 => results.push(Err(error.into())),
                Err(error) => {
                    if let WriteError::Store(error) = &error {
                        tracing::error!(%error, commands = part.len(), "a batch failed");
                    }
                    results.extend(part.iter().map(|_| Err(error.of_another())));
                }
            }
            if self.connection.is_none() {
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
        let connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "no database");
                return Err(WriteError::Unavailable);
            }
        };
        let now = || shared.clock.now();
        let began = Instant::now();
        let result = record_batch(connection, &shared.plans, now, commands).await;
        let took = began.elapsed();
        shared.metrics.batch(BatchOutcome::of(&result), commands.len(), took);
        match result {
            Ok(answers) => {
                self.admission.served(commands.len(), took);
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
            if let Ok(connection) = self.connect().await {
                match was_committed(connection, &written).await {
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

    async fn connect(&mut self) -> Result<&DatabaseConnection, StoreError> {
        let now = self.shared.clock.passed();
        if let Some(connection) = &self.connection
            && now - self.planned_at >= PLANS_KEPT
        {
            let renewed = connect::plan_anew(connection).await;
            self.planned_at = now;
            if let Err(error) = renewed {
                self.drop_connection();
                if connect::is_silence(&error) {
                    return Err(error.into());
                }
                tracing::warn!(%error, "database lost while nothing was recorded, connecting again");
            }
        }
        if self.connection.is_none() {
            self.connection = Some(connect::single(&self.shared.url, Planning::Keyed).await?);
            self.planned_at = now;
        }
        self.connection.as_ref().ok_or_else(|| StoreError::Unavailable("not connected".into()))
    }

    /// In the background: a connection that is stuck takes its time to close.
    fn drop_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            tokio::spawn(connection.close());
        }
    }
}

/// What the batch asks for, or what is stored of one of its hotels.
const fn is_about_data(error: &StoreError) -> bool {
    matches!(error, StoreError::Data(_) | StoreError::Database(_) | StoreError::Corrupt { .. })
}
