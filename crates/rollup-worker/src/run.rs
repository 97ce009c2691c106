//! The loop: find hotel-months, count their events, decide, write.
//!
//! Counting holds no lock, and each chunk is written in one short transaction, with its share of
//! the run's figures. Whenever the process dies, what is committed is complete, and the next run
//! finds the rest.

use crate::ahead;
use crate::chunk::{Verdicts, Work, Write, Written, now};
use crate::connections::Connections;
use crate::figures;
use crate::pace::{Bites, Lookout, Pace};
use crate::stop::Stop;
use plg_core::ids::HotelId;
use plg_core::reconcile::Verdict;
use plg_service::Clock;
use plg_store::StoreError;
use plg_store::rollup::runs::{Figures, Run, Status};
use plg_store::rollup::{self, Reading, Scope};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// How long to try to mark a run as failed.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(3);

/// Hotel-months that others have locked, to be written at the end of the run. Of more, somebody has locked the table.
const MAX_LOCKED: usize = 1_000;

/// What a run is to do, and in which portions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Which hotel-months.
    pub scope: Scope,
    /// Whether to correct nothing.
    pub dry_run: bool,
    /// Hotel-months counted by one statement, at least 1.
    pub read_chunk: usize,
    /// Hotel-months written in one transaction, at least 1.
    pub write_chunk: usize,
    /// Pause after each transaction.
    pub pause: Duration,
    /// What is done at once instead while the services are at work; `None` goes on as if they were not.
    pub beside_traffic: Option<Bites>,
}

/// Is told how a run comes along. Every method does nothing unless it is implemented.
pub trait Progress {
    /// Whether to count the hotel-months first, which reads the table once more.
    fn wants_total(&self) -> bool {
        false
    }

    /// The hotel-months that will be looked at, if [`wants_total`](Self::wants_total).
    fn total(&mut self, _hotel_months: i64) {}

    /// A transaction was committed: the figures of the run so far, and the hotel-months that were
    /// verified by it (under a dry run, those that were looked at).
    fn advanced(&mut self, _so_far: &Figures, _verified: &[&(Reading, Verdict)]) {}
}

/// Tells nobody.
impl Progress for () {}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The database did not play along.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others held them locked when they were to be written, and at the end of the run again.
    #[error("others hold {0} hotel-months locked")]
    Locked(usize),
    /// Someone wanted it so.
    #[error("stopped by signal")]
    Stopped,
}

/// A run that ended early. What it had committed is complete; the next run finds the rest.
#[derive(Debug, thiserror::Error)]
#[error("{cause} (after {} hotel-months; the next run goes on)", run.figures.hotel_months)]
pub struct RunError {
    /// The run as far as it came.
    pub run: Box<Run>,
    /// Why it ended.
    #[source]
    pub cause: Cause,
}

/// Reconciles everything in scope, and returns the run as its row in `rollup_run` shows it.
///
/// `hotels`, `hotel_months` and `events` are what was looked at. `drifted`, `corrected` and
/// `missing` are what this run has *written*, so that of two workers at once only one reports a
/// drift; `corrected` is the number of the run's rows in `usage_adjustment`. Under a dry run
/// `drifted` and `missing` are what was found, and `corrected` is 0.
///
/// # Errors
/// When the database fails or `stop` is requested. The run is then marked as failed, if possible.
pub async fn reconcile(
    db: &Connections,
    options: &Options,
    clock: &dyn Clock,
    progress: &mut impl Progress,
    stop: &Stop,
) -> Result<Run, RunError> {
    let run = Run {
        run_id: Uuid::now_v7(),
        status: Status::Running,
        dry_run: options.dry_run,
        full: options.scope.full,
        partial: options.scope.is_partial(),
        started_at: now(clock),
        finished_at: None,
        figures: Figures::default(),
        duration_ms: 0,
        error: None,
    };
    let work = Work { db: &db.work, clock, run_id: run.run_id };
    let pace = Pace::new(options.beside_traffic);
    let lookout = Lookout::new(pace.clone());
    let mut worker = Worker {
        db,
        work,
        options,
        pace,
        lookout,
        progress,
        stop,
        run,
        last_hotel: None,
        locked: Vec::new(),
    };
    match worker.go().await {
        Ok(()) => Ok(worker.run),
        Err(cause) => {
            worker.fail(&cause).await;
            Err(RunError { run: Box::new(worker.run), cause })
        }
    }
}

struct Worker<'a, P> {
    db: &'a Connections,
    work: Work<'a>,
    options: &'a Options,
    pace: Pace,
    lookout: Lookout,
    progress: &'a mut P,
    stop: &'a Stop,
    run: Run,
    last_hotel: Option<HotelId>,
    locked: Vec<(Reading, Verdict)>,
}

impl<P: Progress> Worker<'_, P> {
    async fn go(&mut self) -> Result<(), Cause> {
        self.lookout.look(self.work.db).await?;
        if !self.options.dry_run {
            self.work.prepare_months().await?;
        }
        self.work.start(&self.run).await?;
        let Options { scope, dry_run, write_chunk, .. } = self.options;
        if self.progress.wants_total()
            // Worth a look, but no run has to fail for it.
            && let Ok(total) = rollup::count_candidates(&self.db.search, scope).await
        {
            self.progress.total(total);
        }
        self.lookout.look(self.work.db).await?;
        let mut counted = ahead::count(self.db, self.options, self.pace.clone());
        loop {
            let chunk = tokio::select! {
                chunk = counted.next() => chunk?,
                () = self.stop.requested() => return Err(Cause::Stopped),
            };
            let Some(verdicts) = chunk else { break };
            let mut left = verdicts.as_slice();
            while let Some(portion) = self.pace.take(&mut left, *write_chunk) {
                if *dry_run {
                    self.note(portion).await?;
                } else {
                    self.write(portion).await?;
                }
            }
        }
        // Whoever had locked them has had time to finish.
        for verdict in std::mem::take(&mut self.locked) {
            self.write_alone(&verdict).await?;
        }
        if !self.locked.is_empty() {
            return Err(Cause::Locked(self.locked.len()));
        }
        self.end(Status::Done, None);
        Ok(self.work.finish(&self.run).await?)
    }

    /// What a dry run does instead of [`write`](Self::write).
    async fn note(&mut self, verdicts: Verdicts<'_>) -> Result<(), Cause> {
        let found: Vec<_> = verdicts.iter().collect();
        let looked_at = figures::looked_at(verdicts, &mut self.last_hotel);
        let figures = figures::with_findings(looked_at, &found);
        self.work.note(&figures).await?;
        self.advance(&figures, &found).await
    }

    async fn write(&mut self, verdicts: Verdicts<'_>) -> Result<(), Cause> {
        let looked_at = figures::looked_at(verdicts, &mut self.last_hotel);
        if let Some(written) = self.work.write(Write::Chunk(verdicts), looked_at).await? {
            return self.follow(written).await;
        }
        self.work.note(&looked_at).await?;
        self.advance(&looked_at, &[]).await?;
        for verdict in verdicts {
            self.write_alone(verdict).await?;
        }
        Ok(())
    }

    /// Writes a hotel-month that was looked at, or keeps it for the end if it is locked.
    async fn write_alone(&mut self, verdict: &(Reading, Verdict)) -> Result<(), Cause> {
        let alone = Write::Chunk(std::slice::from_ref(verdict));
        match self.work.write(alone, Figures::default()).await? {
            Some(written) => self.follow(written).await,
            None => self.keep(verdict),
        }
    }

    /// What is left to do of what was written.
    async fn follow(&mut self, written: Written<'_>) -> Result<(), Cause> {
        self.advance(&written.figures, &written.verdicts).await?;
        for verdict in written.to_carry {
            match self.work.write(Write::Carrying(verdict), Figures::default()).await? {
                Some(carried) => self.advance(&carried.figures, &carried.verdicts).await?,
                None => self.keep(verdict)?,
            }
        }
        Ok(())
    }

    fn keep(&mut self, verdict: &(Reading, Verdict)) -> Result<(), Cause> {
        let (hotel_id, month) = (verdict.0.key.hotel_id, verdict.0.key.month);
        tracing::debug!(%hotel_id, %month, "locked by somebody else, to be written at the end");
        self.locked.push(verdict.clone());
        let locked = self.locked.len();
        if locked > MAX_LOCKED { Err(Cause::Locked(locked)) } else { Ok(()) }
    }

    /// Tells what was committed, and lets the services have their turn.
    async fn advance(
        &mut self,
        more: &Figures,
        verified: &[&(Reading, Verdict)],
    ) -> Result<(), Cause> {
        figures::add(&mut self.run.figures, more);
        self.progress.advanced(&self.run.figures, verified);
        self.lookout.glance(self.work.db).await?;
        match timeout(self.pace.pause(self.options.pause), self.stop.requested()).await {
            Ok(()) => Err(Cause::Stopped),
            Err(_) => Ok(()),
        }
    }

    async fn fail(&mut self, cause: &Cause) {
        self.end(Status::Failed, Some(cause.to_string()));
        // The reason is on its way to the caller, and usually also why this cannot be written.
        let _ = timeout(FAREWELL_DEADLINE, self.work.finish(&self.run)).await;
    }

    fn end(&mut self, status: Status, error: Option<String>) {
        let at = now(self.work.clock);
        self.run.status = status;
        self.run.finished_at = Some(at);
        self.run.duration_ms = (at - self.run.started_at).num_milliseconds().max(0);
        self.run.error = error;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_move_between_threads() {
        fn spawnable<T: Send>(_: fn(&'static Connections, &'static Options) -> T) {}
        spawnable(|db, options| async move {
            reconcile(db, options, &plg_service::SystemClock, &mut (), &Stop::default()).await
        });
    }
}
