//! Recording a batch of commands: lock, gate, decide, write, commit.
//!
//! [`record`] does the first four in a transaction that is the caller's own, so that an application
//! can commit its action, the event and the counter together. [`record_batch`] is the whole.

use crate::connect::{begin_write, is_postgres};
use crate::dialect::{Sql, execute_all};
use crate::error::StoreError;
use crate::{events, gates, seats, usage};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use plg_core::decide::{Answer, Batch, Decision, Snapshot};
use plg_core::event::Command;
use plg_core::plan::Plans;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, FromQueryResult};
use std::time::Duration;

/// How often a batch is tried when other transactions stand in its way.
const CONFLICT_ATTEMPTS: u32 = 5;
/// How long a batch may take until its COMMIT, and how long the COMMIT. A connection that was
/// silent for so long has to be dropped.
pub const TRANSACTION_DEADLINE: Duration = Duration::from_millis(2_000);

/// Records commands in a transaction that the caller has begun, and will commit or roll back.
///
/// The answers hold only if the caller commits. Commands take effect in their order; `now` is the
/// caller's clock. Their hotels stay locked until the transaction ends, in order of their ids: keep
/// it short, and when there are several such calls in one transaction, pass hotels in ascending
/// order. On SQLite the transaction has to be begun `IMMEDIATE`
/// ([`begin_write`](crate::connect::begin_write) does), on PostgreSQL as `READ COMMITTED`, its default.
///
/// ```no_run
/// # async fn example(
/// #     db: &sea_orm::DatabaseConnection,
/// #     plans: &plg_core::plan::Plans,
/// #     import: plg_core::event::Command,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use plg_core::decide::Outcome;
/// use sea_orm::ConnectionTrait;
///
/// let txn = plg_store::connect::begin_write(db).await?;
/// let answers = plg_store::record(&txn, plans, chrono::Utc::now(), &[import]).await?;
/// if answers[0].outcome == Outcome::Recorded {
///     txn.execute_unprepared("update import_job set state = 'done' where …").await?;
///     txn.commit().await?; // the job, its event and the counter, or none of them
/// } else {
///     txn.commit().await?; // a refused export has logged `export_blocked`
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the database does not play along; roll back then. [`StoreError::is_conflict`] says whether
/// doing it again will help.
pub async fn record(
    txn: &DatabaseTransaction,
    plans: &Plans,
    now: DateTime<Utc>,
    commands: &[Command],
) -> Result<Vec<Answer>, StoreError> {
    Ok(decide_and_write(txn, plans, now, commands).await?.0)
}

/// Records commands in a transaction of their own.
///
/// Nothing is written unless this answers `Ok`, or [`StoreError::OutcomeUnknown`] when the
/// connection is lost while the transaction is being committed: see [`was_committed`].
///
/// # Errors
/// When the database does not play along, after some attempts if others stood in the way.
pub async fn record_batch(
    db: &DatabaseConnection,
    plans: &Plans,
    now: impl Fn() -> DateTime<Utc>,
    commands: &[Command],
) -> Result<Vec<Answer>, CommitError> {
    let mut attempt = 1;
    loop {
        match try_batch(db, plans, now(), commands).await {
            Err(CommitError::Failed(error))
                if error.is_conflict() && attempt < CONFLICT_ATTEMPTS =>
            {
                tracing::debug!(%error, attempt, "batch stood in another's way, trying again");
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// A batch that was not, or perhaps not, recorded.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written.
    #[error(transparent)]
    Failed(#[from] StoreError),
    /// The connection died during COMMIT. If the transaction was committed, these are the answers.
    #[error("the outcome of a commit is unknown: {cause}")]
    Unknown {
        /// What the driver said.
        cause: StoreError,
        /// PostgreSQL's id of the transaction.
        transaction_id: i64,
        /// The answers, should it have been committed.
        answers: Vec<Answer>,
    },
}

async fn try_batch(
    db: &DatabaseConnection,
    plans: &Plans,
    now: DateTime<Utc>,
    commands: &[Command],
) -> Result<Vec<Answer>, CommitError> {
    let txn = in_time(begin_write(db)).await?;
    match in_time(decide_and_write(&txn, plans, now, commands)).await {
        Ok((answers, transaction_id)) => match in_time(txn.commit()).await {
            Ok(()) => Ok(answers),
            Err(cause @ StoreError::Unavailable(_)) if is_postgres(db) => {
                Err(CommitError::Unknown { cause, transaction_id, answers })
            }
            Err(cause) => Err(cause.into()),
        },
        Err(error) => {
            // What brought the connection down is in `error`; the rollback's failure says no more.
            let _ = in_time(txn.rollback()).await;
            Err(error.into())
        }
    }
}

async fn in_time<T, E: Into<StoreError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(TRANSACTION_DEADLINE, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer within {} ms",
            TRANSACTION_DEADLINE.as_millis()
        ))),
    }
}

async fn decide_and_write(
    txn: &DatabaseTransaction,
    plans: &Plans,
    now: DateTime<Utc>,
    commands: &[Command],
) -> Result<(Vec<Answer>, i64), StoreError> {
    if commands.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let now = to_microseconds(now);
    let hotels = commands.iter().map(Command::hotel_id).collect();
    let locked = usage::lock(txn, plans, &hotels, now).await?;
    let batch = Batch::new(now, locked.hotels, commands)?;
    let needs = batch.needs();
    let snapshot = Snapshot {
        gates: gates::read(txn, &needs.read).await?,
        held_seats: seats::held(txn, &needs.seats).await?,
        claimed: gates::claim(txn, &needs.claim, now).await?,
    };
    let decision = batch.decide(snapshot)?;
    execute_all(txn, writes(txn, &decision)).await?;
    Ok((decision.answers, locked.transaction_id))
}

/// Everything stored is to the microsecond, so that what is answered is what will be read.
fn to_microseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(at)
}

fn writes(db: &impl ConnectionTrait, decision: &Decision) -> Vec<Sql> {
    let mut writes = Vec::with_capacity(6);
    if !decision.events.is_empty() {
        writes.push(events::append(db, &decision.events));
    }
    if !decision.gates.is_empty() {
        writes.push(gates::put(db, &decision.gates));
    }
    if !decision.given_back.is_empty() {
        writes.push(gates::give_back(db, &decision.given_back));
    }
    if !decision.seats_added.is_empty() {
        writes.push(seats::add(db, &decision.seats_added));
    }
    if !decision.seats_removed.is_empty() {
        writes.push(seats::remove(db, &decision.seats_removed));
    }
    if !decision.hotels.is_empty() {
        writes.push(usage::set(db, &decision.hotels));
    }
    writes
}

/// Whether a transaction of [`CommitError::Unknown`] was committed after all. `None` while it is
/// still running.
///
/// # Errors
/// When the database cannot be asked.
pub async fn was_committed(
    db: &impl ConnectionTrait,
    transaction_id: i64,
) -> Result<Option<bool>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        status: Option<String>,
    }

    let select = Sql::new(db, "select pg_xact_status(cast(cast(")
        .bind(transaction_id)
        .text(" as text) as xid8)) as status");
    let row = Row::find_by_statement(select.statement()).one(db).await?;
    match row.and_then(|row| row.status).as_deref() {
        Some("committed") => Ok(Some(true)),
        Some("aborted") => Ok(Some(false)),
        _ => Ok(None),
    }
}
