//! Finding the hotel-months and counting their events, ahead of the writing.
//!
//! The search is one statement with one snapshot. It runs far ahead: as long as it waits for its
//! reader, PostgreSQL cannot clear away old versions of rows that live traffic updates all the
//! time, and SQLite cannot shorten its log. Counting is a chunk ahead, so that it does not wait for commits.

use crate::chunk::patiently;
use crate::connections::Connections;
use crate::pace::Pace;
use crate::run::Options;
use futures_util::TryStreamExt as _;
use futures_util::stream::FuturesOrdered;
use plg_core::reconcile::{Verdict, reconcile as decide};
use plg_store::StoreError;
use plg_store::rollup::{self, HotelMonth, Reading, Scope};
use sea_orm::DatabaseConnection;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Hotel-months found but not yet counted, 20 bytes each.
const MAX_KEYS_AHEAD: usize = 1_000_000;
/// Chunks counted that wait to be written, besides the one that is being counted.
const COUNTED_AHEAD: usize = 1;
/// How long the search may take to find the next chunk. It reads tables of any size, so that it has
/// no deadline in the database; this one is for a database that has gone away without a word.
const SEARCH_DEADLINE: Duration = Duration::from_secs(600);

/// Chunks that a task makes ahead of whoever takes them. Dropping it ends the task.
pub(crate) struct Ahead<T> {
    chunks: mpsc::Receiver<T>,
    task: JoinSet<Result<(), StoreError>>,
}

impl<T> Ahead<T> {
    fn start<F>(most: usize, make: impl FnOnce(mpsc::Sender<T>) -> F) -> Self
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let (made, chunks) = mpsc::channel(most.max(1));
        let mut task = JoinSet::new();
        task.spawn(make(made));
        Self { chunks, task }
    }

    /// The next chunk; `None` after the last one. Nothing is lost if it is not waited for.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, StoreError> {
        if let Some(chunk) = self.chunks.recv().await {
            return Ok(Some(chunk));
        }
        // The channel closes at the end of the task, which may be an early one.
        match self.task.join_next().await {
            Some(Ok(end)) => end.map(|()| None),
            Some(Err(panic)) => Err(StoreError::Unavailable(panic.to_string())),
            None => Ok(None),
        }
    }
}

/// A chunk as it is counted and decided.
type Chunk = Vec<(Reading, Verdict)>;

/// Counts the events of all hotel-months in scope, in order of their keys, chunk by chunk, and decides.
pub(crate) fn count(db: &Connections, options: &Options, pace: Pace) -> Ahead<Chunk> {
    let size = options.read_chunk.max(1);
    let mut found = find(&db.search, &options.scope, size);
    let (connections, full) = (db.count.clone(), options.scope.full);
    Ahead::start(COUNTED_AHEAD, move |counted| async move {
        // Whoever is free, in turn: the chunks leave in the order in which they came.
        let mut free = connections.iter().cycle();
        let mut counting = FuturesOrdered::new();
        loop {
            let next = timeout(SEARCH_DEADLINE, found.next()).await.map_err(|_| {
                let seconds = SEARCH_DEADLINE.as_secs();
                StoreError::Unavailable(format!("the search gave no answer within {seconds} s"))
            })?;
            let Some(keys) = next? else { break };
            let mut left = keys.as_slice();
            while let Some(keys) = pace.take(&mut left, size) {
                while counting.len() >= pace.at_once(connections.len())
                    && let Some(chunk) = counting.try_next().await?
                {
                    if counted.send(chunk).await.is_err() {
                        // The run has ended.
                        return Ok(());
                    }
                }
                counting.extend(free.next().map(|db| count_chunk(db, keys.to_vec(), full)));
            }
        }
        while let Some(chunk) = counting.try_next().await? {
            if counted.send(chunk).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    })
}

async fn count_chunk(
    db: &DatabaseConnection,
    keys: Vec<HotelMonth>,
    full: bool,
) -> Result<Chunk, StoreError> {
    let mut readings = patiently(|| rollup::read(db, &keys, full)).await?;
    // The database answers in any order.
    readings.sort_unstable_by_key(|reading| reading.key);
    Ok(readings.into_iter().map(|reading| (reading, decide(&reading.facts))).collect())
}

/// Searches on a connection that nobody else uses meanwhile.
fn find(db: &DatabaseConnection, scope: &Scope, size: usize) -> Ahead<Vec<HotelMonth>> {
    let (db, scope) = (db.clone(), scope.clone());
    Ahead::start(MAX_KEYS_AHEAD / size, move |found| search(db, scope, size, found))
}

async fn search(
    db: DatabaseConnection,
    scope: Scope,
    size: usize,
    found: mpsc::Sender<Vec<HotelMonth>>,
) -> Result<(), StoreError> {
    let mut keys = pin!(rollup::candidates(&db, &scope).await?);
    let mut chunk = Vec::with_capacity(size);
    while let Some(key) = keys.try_next().await? {
        chunk.push(key);
        if chunk.len() == size {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(size));
            if found.send(full).await.is_err() {
                return Ok(());
            }
        }
    }
    if !chunk.is_empty() {
        // Nobody to send it to means that the run has ended.
        let _ = found.send(chunk).await;
    }
    Ok(())
}
