//! Finding the hotel-months and counting their events, ahead of the writing.
//!
//! The search is one statement with one snapshot. It runs far ahead: as long as it waits for its
//! reader, PostgreSQL cannot clear away old versions of rows that live traffic updates all the
//! time, and SQLite cannot shorten its log. Counting is a chunk ahead, so that it does not wait for commits.

use crate::chunk::{ATTEMPT_DEADLINE, in_time};
use crate::connections::Connections;
use crate::pace::Pace;
use crate::run::Options;
use futures_util::TryStreamExt as _;
use futures_util::stream::FuturesOrdered;
use plg_core::reconcile::{Verdict, reconcile as decide};
use plg_store::StoreError;
use plg_store::retry;
use plg_store::rollup::{self, Candidate, HotelMonth, Reading, Scope};
use sea_orm::DatabaseConnection;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Hotel-months found but not yet counted, 32 bytes each.
const MAX_FOUND_AHEAD: usize = 1_000_000;
/// Events counted by one statement, unless they are all of one hotel-month: a second or two from memory, a minute from
/// a slow disk. A full recount has many hotel-months with tens of thousands.
const MAX_EVENTS: i64 = 1_000_000;
/// How long each event may take to be counted: more than sixty times what it takes from memory.
const EVENT_DEADLINE: Duration = Duration::from_micros(100);
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
            let Some(candidates) = next? else { break };
            let mut left = candidates.as_slice();
            while let Some(part) = take_part(&mut left, size, &pace) {
                while counting.len() >= pace.at_once(connections.len())
                    && let Some(chunk) = counting.try_next().await?
                {
                    if counted.send(chunk).await.is_err() {
                        // The run has ended.
                        return Ok(());
                    }
                }
                counting.extend(free.next().map(|db| count_chunk(db, part.to_vec(), full)));
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

/// Takes what is counted next of those that are left: no more than [`MAX_EVENTS`], or one hotel-month.
fn take_part<'a>(left: &mut &'a [Candidate], size: usize, pace: &Pace) -> Option<&'a [Candidate]> {
    let mut events = 0_i64;
    let fitting = left.iter().take_while(|candidate| {
        events = candidate.events.saturating_add(events);
        events <= MAX_EVENTS
    });
    let fitting = fitting.count().max(1);
    pace.take(left, fitting.min(size))
}

async fn count_chunk(
    db: &DatabaseConnection,
    candidates: Vec<Candidate>,
    full: bool,
) -> Result<Chunk, StoreError> {
    let keys: Vec<HotelMonth> = candidates.iter().map(|candidate| candidate.key).collect();
    let deadline = counting_deadline(&candidates);
    let mut readings =
        retry::on_conflict(|| in_time(deadline, rollup::read(db, &keys, full))).await?;
    // The database answers in any order.
    readings.sort_unstable_by_key(|reading| reading.key);
    Ok(readings.into_iter().map(|reading| (reading, decide(&reading.facts))).collect())
}

/// How long a statement that counts these may take: the database has no deadline for it.
fn counting_deadline(candidates: &[Candidate]) -> Duration {
    let events = candidates.iter().map(|candidate| candidate.events).sum::<i64>();
    ATTEMPT_DEADLINE + EVENT_DEADLINE.saturating_mul(u32::try_from(events).unwrap_or(u32::MAX))
}

/// Searches on a connection that nobody else uses meanwhile.
fn find(db: &DatabaseConnection, scope: &Scope, size: usize) -> Ahead<Vec<Candidate>> {
    let (db, scope) = (db.clone(), scope.clone());
    Ahead::start(MAX_FOUND_AHEAD / size, move |found| search(db, scope, size, found))
}

async fn search(
    db: DatabaseConnection,
    scope: Scope,
    size: usize,
    found: mpsc::Sender<Vec<Candidate>>,
) -> Result<(), StoreError> {
    let mut candidates = pin!(rollup::candidates(&db, &scope).await?);
    let mut chunk = Vec::with_capacity(size);
    while let Some(candidate) = candidates.try_next().await? {
        chunk.push(candidate);
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

#[cfg(test)]
mod tests {
    use super::*;
    use plg_core::ids::HotelId;

    fn candidates(events: &[i64]) -> Vec<Candidate> {
        let month = "2026-11".parse().unwrap();
        let key = HotelMonth { hotel_id: HotelId(uuid::Uuid::nil()), month };
        events.iter().map(|events| Candidate { key, events: *events }).collect()
    }

    #[test]
    fn what_is_counted_at_once_has_a_bound_or_is_one_hotel_month() {
        let found =
            candidates(&[MAX_EVENTS, 1, 0, MAX_EVENTS - 1, 1, 100 * MAX_EVENTS, 7, 0, 0, 0, 0]);
        let mut left = found.as_slice();
        let pace = Pace::new(None);
        let parts = std::iter::from_fn(|| take_part(&mut left, 4, &pace).map(<[_]>::len));
        assert_eq!(parts.collect::<Vec<_>>(), [1, 3, 1, 1, 4, 1]);
    }

    #[test]
    fn a_hotel_month_with_very_many_events_has_time_to_be_counted() {
        assert!(counting_deadline(&candidates(&[0])) < Duration::from_secs(100));
        // Some minutes from memory, and half an hour from a disk.
        let many = counting_deadline(&candidates(&[100_000_000]));
        assert!((7_200..36_000).contains(&many.as_secs()), "{many:?}");
    }
}
