//! Reads of what hotels use, many in one statement.
//!
//! A quota check is one lookup by key, of which the database does many at once in little more time
//! than one. So a check takes part in the next statement: alone when nobody else asks, with all who
//! wait when many do. Each is answered with what was committed before its statement began, which is
//! after the check arrived.

use super::READ_DEADLINE;
use crate::desk::{Reply, deliver};
use crate::problem::{Code, Problem};
use plg_core::ids::HotelId;
use plg_store::StoreError;
use plg_store::usage::{Current, current};
use sea_orm::DatabaseConnection;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Checks waiting; one more is answered 503.
const QUEUE: usize = 8_192;
/// Checks answered by one statement.
const BATCH: usize = 256;
/// Statements under way at once: while the answers of one are being understood, the database works
/// on the next.
const STATEMENTS: usize = 2;

type Question = (HotelId, Reply<Result<Current, Problem>>);

/// The entrance.
#[derive(Clone)]
pub(super) struct UsageReader(mpsc::Sender<Question>);

impl UsageReader {
    /// Reads on the runtime, until it is dropped.
    pub(super) fn start(db: DatabaseConnection, runtime: &Handle) -> Self {
        let (asked, questions) = mpsc::channel(QUEUE);
        runtime.spawn(serve(db, questions));
        Self(asked)
    }

    pub(super) async fn read(&self, hotel_id: HotelId) -> Result<Current, Problem> {
        let (reply, answer) = Reply::here();
        self.0.try_send((hotel_id, reply)).map_err(|_| Problem::read_queue_full())?;
        // Counted from here: a question may wait behind statements that nobody answers.
        match timeout(READ_DEADLINE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Problem::new(Code::Internal, "the cause is in the service's log")),
            Err(_) => Err(late().into()),
        }
    }
}

fn late() -> StoreError {
    StoreError::Unavailable("no answer in time".to_owned())
}

async fn serve(db: DatabaseConnection, mut questions: mpsc::Receiver<Question>) {
    let statements = Arc::new(Semaphore::new(STATEMENTS));
    let mut batch = Vec::with_capacity(BATCH);
    // Whoever comes while all statements are under way waits in the queue, for the next one.
    while let Ok(statement) = Arc::clone(&statements).acquire_owned().await {
        if questions.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let mut batch = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
        batch.retain(|(_, reply)| !reply.is_closed());
        if batch.is_empty() {
            continue;
        }
        let db = db.clone();
        tokio::spawn(async move {
            answer(&db, batch).await;
            drop(statement);
        });
    }
}

async fn answer(db: &DatabaseConnection, batch: Vec<Question>) {
    let hotels: BTreeSet<HotelId> = batch.iter().map(|(hotel, _)| *hotel).collect();
    let read = timeout(READ_DEADLINE, current(db, &hotels)).await.unwrap_or_else(|_| Err(late()));
    // An error becomes a problem, and is logged, once for everyone who hears of it.
    let found = read.map_err(Problem::from).map(|found| {
        let problem =
            |(hotel, read): (_, Result<_, StoreError>)| (hotel, read.map_err(Problem::from));
        found.into_iter().map(problem).collect::<HashMap<_, _>>()
    });
    deliver(batch.into_iter().map(|(hotel, reply)| {
        let one = found.as_ref().map_err(Clone::clone).and_then(|found| {
            let none = || Err(Problem::new(Code::Internal, "the hotel was not read"));
            found.get(&hotel).cloned().unwrap_or_else(none)
        });
        (reply, one)
    }));
}
