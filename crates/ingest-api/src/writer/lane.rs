//! One lane: a queue, a connection of its own, and what to do when it fails.

use super::packing::take_batch;
use super::{Job, Shared, WriteError, WriteResult};
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_store::commit::{CommitError, was_committed};
use plg_store::{StoreError, connect, record_batch};
use sea_orm::DatabaseConnection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often, and how far apart, the outcome of a lost COMMIT is asked for.
const OUTCOME_ATTEMPTS: u32 = 5;
const OUTCOME_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Lane {
    shared: Arc<Shared>,
    queue: mpsc::UnboundedReceiver<Job>,
    pending: VecDeque<Job>,
    connection: Option<DatabaseConnection>,
}

impl Lane {
    pub(super) const fn new(shared: Arc<Shared>, queue: mpsc::UnboundedReceiver<Job>) -> Self {
        Self { shared, queue, pending: VecDeque::new(), connection: None }
    }

    /// Works until the writer is gone and the queue is empty.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.connect().await {
            tracing::warn!(%error, "a writer lane starts without its database");
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
            self.process(jobs).await;
        }
        if let Some(connection) = self.connection.take() {
            // The transactions are done; a failure to say goodbye loses nothing.
            let _ = connection.close().await;
        }
    }

    async fn process(&mut self, jobs: Vec<Job>) {
        let mut commands = Vec::with_capacity(jobs.len());
        let mut receivers = Vec::with_capacity(jobs.len());
        for job in jobs {
            receivers.push((job.commands.len(), job.reply, job._places));
            commands.extend(job.commands);
        }
        let mut results = self.commit(&commands).await.into_iter();
        for (count, reply, _places) in receivers {
            // Whoever has hung up does not need the answer.
            let _ = reply.send(results.by_ref().take(count).collect());
        }
        if self.connection.is_none() {
            self.fail_waiting();
        }
    }

    /// Without a database, whoever waits behind a failed batch would only wait for the next failure.
    fn fail_waiting(&mut self) {
        while let Ok(job) = self.queue.try_recv() {
            self.pending.push_back(job);
        }
        for job in self.pending.drain(..) {
            let unavailable = |_: &Command| Err(WriteError::Unavailable);
            let _ = job.reply.send(job.commands.iter().map(unavailable).collect());
        }
    }

    /// One result for each command.
    async fn commit(&mut self, commands: &[Command]) -> Vec<WriteResult> {
        match self.try_commit(commands).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One bad command must not fail its neighbours: each for itself.
            Err(WriteError::Store(error)) if commands.len() > 1 && is_about_data(&error) => {
                tracing::warn!(%error, commands = commands.len(), "splitting a refused batch");
                let mut results = Vec::with_capacity(commands.len());
                for command in commands {
                    let one = self.try_commit(std::slice::from_ref(command)).await;
                    results.push(one.and_then(first));
                }
                results
            }
            Err(WriteError::Store(error)) if commands.len() == 1 => {
                vec![Err(WriteError::Store(error))]
            }
            Err(error) => {
                if let WriteError::Store(error) = &error {
                    tracing::error!(%error, commands = commands.len(), "a batch failed");
                }
                commands.iter().map(|_| Err(same(&error))).collect()
            }
        }
    }

    /// All or nothing. A lost COMMIT is looked up, and the batch done again if it had not come
    /// through.
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
        match record_batch(connection, &shared.plans, now, commands).await {
            Ok(answers) => Ok(answers),
            Err(CommitError::Failed(StoreError::Unavailable(cause))) => {
                tracing::warn!(%cause, "database lost");
                self.drop_connection();
                Err(WriteError::Unavailable)
            }
            Err(CommitError::Failed(error)) => Err(error.into()),
            Err(CommitError::Unknown { cause, transaction_id, answers }) => {
                tracing::warn!(%cause, transaction_id, "database lost while committing");
                self.drop_connection();
                self.find_out(transaction_id, answers).await
            }
        }
    }

    async fn find_out(
        &mut self,
        transaction_id: i64,
        answers: Vec<Answer>,
    ) -> Result<Vec<Answer>, WriteError> {
        for attempt in 0..OUTCOME_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(OUTCOME_PAUSE).await;
            }
            let Ok(connection) = self.connect().await else { continue };
            match was_committed(connection, transaction_id).await {
                Ok(Some(true)) => return Ok(answers),
                Ok(Some(false)) => return Err(WriteError::Unavailable),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, transaction_id, "cannot ask for the outcome");
                    self.drop_connection();
                }
            }
        }
        Err(WriteError::OutcomeUnknown)
    }

    async fn connect(&mut self) -> Result<&DatabaseConnection, StoreError> {
        if self.connection.is_none() {
            self.connection = Some(connect::single(&self.shared.url).await?);
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

const fn is_about_data(error: &StoreError) -> bool {
    matches!(error, StoreError::Data(_) | StoreError::Database(_))
}

fn first(answers: Vec<Answer>) -> Result<Answer, WriteError> {
    answers.into_iter().next().ok_or(WriteError::ShuttingDown)
}

/// The same error for another command of the batch. Its cause has been logged.
fn same(error: &WriteError) -> WriteError {
    match error {
        WriteError::Store(_) | WriteError::Unavailable => WriteError::Unavailable,
        WriteError::Overloaded => WriteError::Overloaded,
        WriteError::OutcomeUnknown => WriteError::OutcomeUnknown,
        WriteError::ShuttingDown => WriteError::ShuttingDown,
    }
}
