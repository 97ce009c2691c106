//! Finding the hotel-months, ahead of the counting.
//!
//! The search is one statement with one snapshot. It runs far ahead: as long as it waits for its
//! reader, PostgreSQL cannot clear away old versions of rows that live traffic updates all the
//! time, and SQLite cannot shorten its log.

use futures_util::TryStreamExt as _;
use plg_store::StoreError;
use plg_store::rollup::{self, HotelMonth, Scope};
use sea_orm::DatabaseConnection;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Hotel-months found but not yet counted, 20 bytes each.
const MAX_KEYS_AHEAD: usize = 1_000_000;
/// How long the search may take to find the next chunk. It reads tables of any size, so that it has
/// no deadline in the database; this one is for a database that has gone away without a word.
const SEARCH_DEADLINE: Duration = Duration::from_secs(600);

/// The hotel-months in scope, in order, chunk by chunk. Dropping it ends the search.
pub(crate) struct Keys {
    chunks: mpsc::Receiver<Vec<HotelMonth>>,
    search: JoinSet<Result<(), StoreError>>,
}

impl Keys {
    /// Begins to search on a connection that nobody else uses meanwhile.
    pub(crate) fn find(db: &DatabaseConnection, scope: &Scope, chunk: usize) -> Self {
        let (found, chunks) = mpsc::channel((MAX_KEYS_AHEAD / chunk.max(1)).max(1));
        let mut task = JoinSet::new();
        task.spawn(search(db.clone(), scope.clone(), chunk.max(1), found));
        Self { chunks, search: task }
    }

    /// The next chunk; `None` after the last one.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Vec<HotelMonth>>, StoreError> {
        let next = timeout(SEARCH_DEADLINE, self.chunks.recv()).await.map_err(|_| {
            let seconds = SEARCH_DEADLINE.as_secs();
            StoreError::Unavailable(format!("the search gave no answer within {seconds} s"))
        })?;
        if let Some(chunk) = next {
            return Ok(Some(chunk));
        }
        // The channel closes at the end of the search, which may be an early one.
        match self.search.join_next().await {
            Some(Ok(end)) => end.map(|()| None),
            Some(Err(panic)) => Err(StoreError::Unavailable(panic.to_string())),
            None => Ok(None),
        }
    }
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
