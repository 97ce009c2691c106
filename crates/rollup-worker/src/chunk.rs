//! A chunk of hotel-months, written in one short transaction.

use crate::figures;
use chrono::{DateTime, SubsecRound as _, Utc};
use plg_core::calendar::TimeZone;
use plg_core::reconcile::Verdict;
use plg_service::Clock;
use plg_store::StoreError;
use plg_store::connect::{begin_write, begin_write_in_time};
use plg_store::partitions;
use plg_store::retry;
use plg_store::rollup::runs::{self, Figures, Run};
use plg_store::rollup::{self, Applied, HotelMonth, Reading};
use sea_orm::{DatabaseConnection, DatabaseTransaction};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// How long an attempt to write may take. PostgreSQL has its own, shorter deadline for each statement; this
/// one is for a database that has gone away without a word.
pub(crate) const ATTEMPT_DEADLINE: Duration = Duration::from_secs(90);

/// How long to wait for a hotel-month that somebody else has locked: all others of the transaction are locked meanwhile.
const LOCK_DEADLINE: Duration = Duration::from_millis(500);

/// Hotel-months with what is to be done about them.
pub(crate) type Verdicts<'a> = &'a [(Reading, Verdict)];

/// What a transaction is to write.
#[derive(Clone, Copy)]
pub(crate) enum Write<'a> {
    /// Verdicts; some may turn out to need [`Self::Carrying`].
    Chunk(Verdicts<'a>),
    /// One verdict whose seat correction reaches into later months.
    Carrying(&'a (Reading, Verdict)),
}

/// What a transaction has written.
pub(crate) struct Written<'a> {
    /// The verdicts that were written: another run may have been faster with the others.
    pub(crate) verdicts: Vec<&'a (Reading, Verdict)>,
    /// Those that have to be written by [`Write::Carrying`].
    pub(crate) to_carry: Vec<&'a (Reading, Verdict)>,
    /// What it adds to the run.
    pub(crate) figures: Figures,
}

/// What every statement of a run needs.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) db: &'a DatabaseConnection,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) run_id: Uuid,
}

/// Months whose partitions are made before their first event arrives.
const MONTHS_AHEAD: usize = 3;

impl Work<'_> {
    /// Makes the log's partitions for the months to come, so that no event has to.
    pub(crate) async fn prepare_months(&self) -> Result<(), StoreError> {
        let this_month = TimeZone::default().month_of(now(self.clock));
        let months = std::iter::successors(Some(this_month), |month| Some(month.next()));
        let months = months.take(1 + MONTHS_AHEAD).collect();
        patiently(|| async {
            let txn = begin_write(self.db).await?;
            partitions::ensure(&txn, &months).await?;
            Ok(txn.commit().await?)
        })
        .await
    }

    /// Writes the row of the run.
    pub(crate) async fn start(&self, run: &Run) -> Result<(), StoreError> {
        patiently(|| runs::start(self.db, run)).await
    }

    /// Marks the run as ended.
    pub(crate) async fn finish(&self, run: &Run) -> Result<(), StoreError> {
        patiently(|| runs::finish(self.db, run)).await
    }

    /// Adds to the figures of the run, and to nothing else.
    pub(crate) async fn note(&self, figures: &Figures) -> Result<(), StoreError> {
        patiently(|| runs::add(self.db, self.run_id, figures)).await
    }

    /// Writes verdicts and the run's figures in one transaction. `None`: somebody else has locked a hotel-month for
    /// longer than the others can wait, and nothing was written.
    pub(crate) async fn write<'v>(
        &self,
        write: Write<'v>,
        looked_at: Figures,
    ) -> Result<Option<Written<'v>>, StoreError> {
        patiently(|| self.try_write(write, looked_at)).await
    }

    async fn try_write<'v>(
        &self,
        write: Write<'v>,
        looked_at: Figures,
    ) -> Result<Option<Written<'v>>, StoreError> {
        let txn = begin_write_in_time(self.db, LOCK_DEADLINE).await?;
        match self.write_in(&txn, write, looked_at).await {
            Ok(written) => {
                txn.commit().await?;
                Ok(Some(written))
            }
            Err(error) => {
                // What went wrong is in `error`; the rollback's failure says no more.
                let _ = txn.rollback().await;
                if matches!(error, StoreError::Locked(_)) { Ok(None) } else { Err(error) }
            }
        }
    }

    async fn write_in<'v>(
        &self,
        txn: &DatabaseTransaction,
        write: Write<'v>,
        looked_at: Figures,
    ) -> Result<Written<'v>, StoreError> {
        let (run_id, now) = (self.run_id, now(self.clock));
        let (verdicts, applied) = match write {
            Write::Chunk(verdicts) => (verdicts, rollup::apply(txn, run_id, now, verdicts).await?),
            Write::Carrying(verdict) => {
                let applied = rollup::apply_carrying(txn, run_id, now, verdict).await?;
                (std::slice::from_ref(verdict), applied)
            }
        };
        let Applied { written, to_carry, corrections } = applied;
        let (written, to_carry) = (those_of(verdicts, written), those_of(verdicts, to_carry));
        let mut figures = figures::with_findings(looked_at, &written);
        figures.corrected = figures::from(corrections);
        runs::add(txn, run_id, &figures).await?;
        Ok(Written { verdicts: written, to_carry, figures })
    }
}

fn those_of(verdicts: Verdicts<'_>, keys: Vec<HotelMonth>) -> Vec<&(Reading, Verdict)> {
    let keys: HashSet<HotelMonth> = keys.into_iter().collect();
    verdicts.iter().filter(|(reading, _)| keys.contains(&reading.key)).collect()
}

/// Tries again what stood in another's way.
pub(crate) async fn patiently<T, F>(step: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    retry::on_conflict(|| in_time(ATTEMPT_DEADLINE, step())).await
}

/// Gives a database up that does not answer.
pub(crate) async fn in_time<T>(
    deadline: Duration,
    step: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(deadline, step).await.unwrap_or_else(|_| {
        let seconds = deadline.as_secs();
        Err(StoreError::Unavailable(format!("no answer within {seconds} s")))
    })
}

/// To the microsecond, as it will be read again.
pub(crate) fn now(clock: &dyn Clock) -> DateTime<Utc> {
    clock.now().trunc_subsecs(6)
}
