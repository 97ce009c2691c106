//! Recording a batch of commands: lock, gate, decide, write, commit.
//!
//! [`record`] does the first four in a transaction that is the caller's own, so that an application
//! can commit its action, the event and the counter together. [`record_batch`] is the whole, and a
//! [`Recorder`](crate::Recorder) does one after the other.

use crate::connect::{begin_write, is_postgres};
use crate::dialect::{Sql, execute_all};
use crate::error::StoreError;
use crate::months::Missing;
use crate::optimistic::{Found, Learned, Optimist, Unwritten};
use crate::session::Session;
use crate::{events, gates, months, seats};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use plg_core::decide::{Answer, Batch, Decision, Snapshot};
use plg_core::event::{Command, RecordedEvent};
use plg_core::plan::Plans;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a batch is tried when other transactions stand in its way.
const CONFLICT_ATTEMPTS: u32 = 5;
/// How long a batch may take, with all its attempts and its COMMIT. A connection that was silent for
/// so long has to be dropped.
pub const TRANSACTION_DEADLINE: Duration = Duration::from_millis(2_000);

/// Records commands in a transaction that the caller has begun, and will commit or roll back.
///
/// The answers hold only if the caller commits. Commands take effect in their order; `now` is the
/// caller's clock. Their hotels stay locked until the transaction ends, in order of their ids: keep
/// it short, and when there are several such calls in one transaction, pass hotels in ascending
/// order; where tables are distributed by hotel, one hotel a call. On SQLite the transaction has to be
/// begun `IMMEDIATE` ([`begin_write`] does), on PostgreSQL as `READ COMMITTED`, its default.
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
    let now = to_microseconds(now);
    Ok(decide_and_write(txn, plans, now, commands, Missing::Open).await?.answers)
}

/// Records commands in a transaction of their own.
///
/// Nothing is written unless this answers `Ok`, or [`CommitError::Unknown`] when the connection is
/// lost while the transaction is being committed: see [`was_committed`].
///
/// # Errors
/// When the database does not play along, after some attempts if others stood in the way.
pub async fn record_batch(
    db: &DatabaseConnection,
    plans: &Plans,
    now: impl Fn() -> DateTime<Utc>,
    commands: &[Command],
) -> Result<Vec<Answer>, CommitError> {
    let optimist = &mut Optimist::never();
    Recording { db, plans, kept: None, optimist }.run(now, commands).await
}

/// A batch on its way, with the connection that it is recorded on.
pub(crate) struct Recording<'a> {
    pub(crate) db: &'a DatabaseConnection,
    pub(crate) plans: &'a Plans,
    /// Where the connection is kept for the next batch, if it is.
    pub(crate) kept: Option<&'a mut Option<Session>>,
    pub(crate) optimist: &'a mut Optimist,
}

impl Recording<'_> {
    pub(crate) async fn run(
        mut self,
        now: impl Fn() -> DateTime<Utc>,
        commands: &[Command],
    ) -> Result<Vec<Answer>, CommitError> {
        let deadline = Instant::now() + TRANSACTION_DEADLINE;
        let mut attempt = 1;
        loop {
            match self.attempt(to_microseconds(now()), commands, deadline).await {
                // Who has waited for a lock in vain has waited long.
                Err(CommitError::Failed(error))
                    if error.is_conflict()
                        && !matches!(error, StoreError::Locked(_))
                        && attempt < CONFLICT_ATTEMPTS
                        && Instant::now() < deadline =>
                {
                    tracing::debug!(%error, attempt, "batch stood in another's way, trying again");
                    if matches!(error, StoreError::MonthNotOpened { .. }) {
                        // Somebody was faster: this may be met once for each hotel, and the deadline ends it.
                        let hotels = commands.iter().map(Command::hotel_id).collect();
                        before(deadline, months::open_missing(self.db, &hotels, now())).await?;
                    } else {
                        attempt += 1;
                    }
                }
                result => return result,
            }
        }
    }

    async fn attempt(
        &mut self,
        now: DateTime<Utc>,
        commands: &[Command],
        deadline: Instant,
    ) -> Result<Vec<Answer>, CommitError> {
        let kept = self.kept.as_mut().and_then(|kept| kept.take());
        let mut session = match kept {
            Some(session) => session,
            None => before(deadline, Session::open(self.db)).await?,
        };
        self.optimist.meet(&session);
        match self.suppose(&mut session, now, commands, deadline).await {
            Ok(None) => {}
            Ok(Some(written)) => {
                self.optimist.learn(written.learned);
                if let Some(kept) = &mut self.kept {
                    **kept = Some(session);
                }
                return Ok(written.answers);
            }
            Err(error) => return Err(self.give_up(session, error, deadline).await),
        }
        // SQLite's lock is all that there is to hold.
        let missing = if is_postgres(self.db) { Missing::Fail } else { Missing::Open };
        let work = async {
            session.ensure_begun().await?;
            self.optimist.meet(&session);
            decide_and_write(&session, self.plans, now, commands, missing).await
        };
        match before(deadline, work).await {
            Ok(written) => match before(deadline, self.commit(session)).await {
                Ok(()) => Ok(written.answers),
                Err(cause) => Err(self.uncommitted(cause, written)),
            },
            Err(error) => Err(self.give_up(session, error.into(), deadline).await),
        }
    }

    /// Records without a lock first, and commits, if all is as it is supposed. Otherwise nothing is written.
    async fn suppose(
        &mut self,
        session: &mut Session,
        now: DateTime<Utc>,
        commands: &[Command],
        deadline: Instant,
    ) -> Result<Option<Written>, CommitError> {
        let (guess, found) = loop {
            let guess = self.optimist.guess(session, self.plans, now, commands);
            let Some((guess, write)) = before(deadline, guess).await? else { return Ok(None) };
            if !self.optimist.can_write(session, deadline).await? {
                return Ok(None);
            }
            match self.optimist.write(session, write, deadline).await {
                Ok(Found::Repeated) if self.optimist.repeated(&guess) => {}
                found => break (guess, found),
            }
        };
        match found {
            Ok(Found::Held(writer)) => {
                let written = self.optimist.held(guess, writer);
                match before(deadline, session.commit()).await {
                    Ok(()) => Ok(Some(written)),
                    Err(cause) => Err(self.uncommitted(cause, written)),
                }
            }
            Ok(Found::Repeated | Found::Wrong) => {
                self.optimist.wrong(commands);
                Ok(None)
            }
            Err(Unwritten::Failed(error)) => Err(error.into()),
            Err(Unwritten::Refused(error)) => {
                tracing::debug!(%error, "a batch is begun anew, under locks");
                self.optimist.refused(commands);
                before(deadline, session.roll_back()).await?;
                Ok(None)
            }
            // What would have been answered was not found to be true.
            Err(Unwritten::Unanswered(error)) if guess.records_nothing() => Err(error.into()),
            Err(Unwritten::Unanswered(cause)) => {
                Err(CommitError::Unknown { cause, written: guess.written() })
            }
        }
    }

    async fn commit(&mut self, mut session: Session) -> Result<(), DbErr> {
        let Some(kept) = &mut self.kept else { return session.commit_and_release().await };
        session.commit_for_next().await?;
        **kept = Some(session);
        Ok(())
    }

    /// Citus says only that it could not commit when a node is lost that may have done it.
    fn uncommitted(&mut self, cause: StoreError, written: Written) -> CommitError {
        match cause {
            StoreError::Unavailable(_) | StoreError::Database(_) => {
                self.optimist.clear();
                CommitError::Unknown { cause, written }
            }
            cause => cause.into(),
        }
    }

    /// Nothing is left of the transaction. A connection that is lost, or given up, takes it with it.
    async fn give_up(
        &mut self,
        session: Session,
        error: CommitError,
        deadline: Instant,
    ) -> CommitError {
        match error {
            CommitError::Failed(StoreError::Unavailable(_)) | CommitError::Unknown { .. } => {
                self.optimist.clear();
                error
            }
            CommitError::Failed(_) => match before(deadline, session.release()).await {
                Ok(()) => error,
                Err(lost) => lost.into(),
            },
        }
    }
}

/// A batch that was not, or perhaps not, recorded.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written.
    #[error(transparent)]
    Failed(#[from] StoreError),
    /// The connection died during COMMIT, or while it was written without a lock first, or there was no answer in time, or
    /// an error does not say what became of it. Drop it, and ask [`was_committed`] on another.
    #[error("the outcome of a commit is unknown: {cause}")]
    Unknown {
        /// What the driver said.
        cause: StoreError,
        /// What the transaction would have written.
        written: Written,
    },
}

/// What a transaction has written, should it be committed.
#[derive(Debug)]
pub struct Written {
    /// The answers that hold then.
    pub answers: Vec<Answer>,
    /// Its events: all of them are stored, or none.
    pub(crate) events: Vec<Arc<RecordedEvent>>,
    pub(crate) learned: Learned,
}

/// What `work` answers, if it does by then.
pub(crate) async fn before<T, E: Into<StoreError>>(
    deadline: Instant,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer within {} ms",
            TRANSACTION_DEADLINE.as_millis()
        ))),
    }
}

async fn decide_and_write(
    txn: &impl ConnectionTrait,
    plans: &Plans,
    now: DateTime<Utc>,
    commands: &[Command],
    missing: Missing,
) -> Result<Written, StoreError> {
    if commands.is_empty() {
        return Ok(Written {
            answers: Vec::new(),
            events: Vec::new(),
            learned: Learned::default(),
        });
    }
    let hotels = commands.iter().map(Command::hotel_id).collect();
    let hotels = months::lock(txn, plans, &hotels, now, missing).await?;
    let batch = Batch::new(now, hotels, commands)?;
    let needs = batch.needs();
    let snapshot = Snapshot {
        gates: gates::read(txn, &needs.read).await?,
        held_seats: seats::held(txn, &needs.seats).await?,
        claimed: gates::claim(txn, &needs.claim, now).await?,
    };
    let decision = batch.decide(snapshot)?;
    execute_all(txn, writes(txn, &decision)).await?;
    let Decision { answers, events, .. } = decision;
    Ok(Written { answers, events, learned: Learned::default() })
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
        writes.extend(gates::put(db, &decision.gates));
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
        writes.push(months::set(db, decision.hotels.iter()));
    }
    writes
}

/// Whether the transaction of [`CommitError::Unknown`] was committed after all. Waits for its end, if
/// the database is still working on it. If it was not, it never will be: what was sent without a lock first, and arrives
/// when this has been answered, finds that its hotel's month was written since.
///
/// The events themselves have to be found: PostgreSQL's `pg_xact_status` will not do. When the server
/// crashes before it has written a transaction to its log, it gives the same id to another one, and
/// then tells how that one ended. And all of them: where a hotel's time stands still behind a replica
/// whose clock was ahead, somebody else may have recorded one that is like ours in everything.
///
/// Without events there is nothing to be found, and nothing was written. Whether what was answered is
/// true is decided anew: a duplicate is one of an event that may be on no standby yet.
///
/// # Errors
/// When the database cannot be asked.
pub async fn was_committed(db: &DatabaseConnection, written: &Written) -> Result<bool, StoreError> {
    let Some(event) = written.events.first() else { return Ok(false) };
    let deadline = Instant::now() + TRANSACTION_DEADLINE;
    let ask = async {
        let txn = begin_write(db).await?;
        months::touch(&txn, event.hotel_id, event.month).await?;
        let stands = events::all_stand(&txn, &written.events).await?;
        if is_postgres(&txn) && !stands {
            // What it is to keep out dies with the server: no standby has to know of it, which may be away. But of what
            // stands, whose COMMIT may not have come to a standby: this one does so behind it.
            txn.execute_unprepared("set local synchronous_commit = off").await?;
        }
        txn.commit().await?;
        Ok::<bool, StoreError>(stands)
    };
    before(deadline, ask).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use plg_core::catalogue::EventType;
    use plg_core::ids::{DedupKey, EventId, SessionId, UserId};
    use plg_testkit::commands::{hotel, import};
    use plg_testkit::{Backend, TestDatabase, ledger};
    use rstest::rstest;
    use sea_orm::prelude::Uuid;

    /// Whoever comes while the outcome is unknown may get the place in the sequence that the lost one had.
    #[rstest]
    #[tokio::test(flavor = "multi_thread")]
    async fn another_event_at_its_place_is_not_taken_for_the_one_that_was_lost(
        #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    ) {
        let database = TestDatabase::new(backend).await;
        let (db, plans) = (database.connect().await, database.settings().plans);
        let now = "2026-11-15T12:00:00.000001Z".parse::<DateTime<Utc>>().unwrap();
        let import = [import(hotel(1), "job-1")];
        let answers = record_batch(&db, &plans, || now, &import).await.unwrap();
        let ours = RecordedEvent::clone(answers[0].event.as_ref().unwrap());
        let are_there = async |events: Vec<RecordedEvent>| {
            let events = events.into_iter().map(Arc::new).collect();
            let written = Written { answers: Vec::new(), events, learned: Learned::default() };
            was_committed(&db, &written).await.unwrap()
        };
        let is_there = async |event| are_there(vec![event]).await;
        let event = || ours.clone();

        assert!(is_there(event()).await);
        assert!(!is_there(RecordedEvent { seq: 2, ..event() }).await, "nothing is there");
        let (id, key) = (EventId::parse("id").unwrap(), DedupKey::parse("job-2").unwrap());
        let session = SessionId::parse("session").unwrap();
        for other in [
            RecordedEvent { event_type: EventType::ExportSuccess, ..event() },
            RecordedEvent { user_id: UserId(Uuid::max()), ..event() },
            RecordedEvent { session_id: Some(session), ..event() },
            RecordedEvent { event_id: Some(id), ..event() },
            RecordedEvent { dedup_key: Some(key), ..event() },
            RecordedEvent { recorded_at: now + TimeDelta::microseconds(1), ..event() },
        ] {
            assert!(!is_there(other.clone()).await, "{other:?}");
        }
        // Nobody else's is taken for all of ours.
        let neighbour = RecordedEvent { hotel_id: hotel(2), ..event() };
        assert!(!are_there(vec![event(), neighbour.clone()]).await);
        assert!(!are_there(vec![neighbour, event()]).await);
        assert!(!are_there(Vec::new()).await, "nothing was written");
        // To ask leaves nothing behind.
        let events = "select count(*) as n from product_event";
        assert_eq!(ledger::number(&db, events).await, 1);
    }
}
