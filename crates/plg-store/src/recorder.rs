//! One batch after the other on a connection of its own.

use crate::commit::{CommitError, Recording, TRANSACTION_DEADLINE, Written, before, was_committed};
use crate::connect::{self, begin_write, is_postgres};
use crate::error::StoreError;
use crate::months;
use crate::optimistic::{Memory, Supposition};
use crate::partitions::is_citus;
use crate::session::Session;
use chrono::{DateTime, Utc};
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use sea_orm::{DatabaseConnection, DbErr};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::Instant;

/// A connection on which one batch is recorded after the other.
#[derive(Debug)]
pub struct Recorder {
    db: DatabaseConnection,
    /// For good: limits are remembered with their hotels.
    plans: Arc<Plans>,
    /// Kept from the last batch (PostgreSQL). In a transaction, if that has locked something: BEGIN is a round trip, and
    /// goes with its COMMIT.
    session: Option<Session>,
    memory: Memory,
}

impl Recorder {
    /// On a connection of its own, which remembers so many hotels that it wrote last (PostgreSQL): as long as nobody
    /// else writes them, a batch is one round trip instead of four. With none, or where tables are distributed, all is
    /// recorded the careful way.
    ///
    /// # Errors
    /// When the database cannot be asked whether it is distributed.
    pub async fn new(
        db: DatabaseConnection,
        plans: Arc<Plans>,
        remembered_hotels: usize,
    ) -> Result<Self, StoreError> {
        let is_alone = is_postgres(&db) && !before(soon(), is_citus(&db)).await?;
        let memory = if is_alone && remembered_hotels > 0 {
            Memory::of_at_most(remembered_hotels, &db)
        } else {
            Memory::none()
        };
        Ok(Self { db, plans, session: None, memory })
    }

    /// What became of the last batch, if it was recorded without locks first.
    #[must_use]
    pub const fn supposition(&self) -> Option<Supposition> {
        self.memory.last()
    }

    /// As [`record_batch`](crate::record_batch). On PostgreSQL the transaction of the next batch may be begun with that:
    /// it has to come soon, or [`rest`](Self::rest) be called.
    ///
    /// # Errors
    /// As [`record_batch`](crate::record_batch).
    pub async fn record(
        &mut self,
        now: impl Fn() -> DateTime<Utc>,
        commands: &[Command],
    ) -> Result<Vec<Answer>, CommitError> {
        let Self { db, plans, session, memory } = self;
        memory.begin();
        Recording { db, plans, kept: Some(session), memory }.run(now, commands).await
    }

    /// Leaves no transaction open.
    ///
    /// # Errors
    /// When the database does not answer: drop the connection then.
    pub async fn rest(&mut self) -> Result<(), DbErr> {
        let Some(session) = &mut self.session else { return Ok(()) };
        connect::answer_by(soon(), session.commit()).await
    }

    /// The connection is back in its pool, for others to take.
    async fn release(&mut self) -> Result<(), DbErr> {
        let Some(session) = self.session.take() else { return Ok(()) };
        connect::answer_by(soon(), session.release()).await
    }

    /// As [`connect::plan_anew`]. What is remembered is forgotten, too: transactions are numbered anew after four
    /// thousand millions of them.
    ///
    /// # Errors
    /// As [`connect::plan_anew`].
    pub async fn plan_anew(&mut self) -> Result<(), DbErr> {
        self.release().await?;
        self.memory.clear();
        connect::plan_anew(&self.db).await
    }

    /// As [`was_committed`], of another connection's transaction.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn was_committed(&mut self, written: &Written) -> Result<bool, StoreError> {
        self.release().await?;
        was_committed(&self.db, written).await
    }

    /// Those of the hotels that another transaction keeps locked at this moment (PostgreSQL).
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn kept_by_others(
        &mut self,
        hotels: &BTreeSet<HotelId>,
    ) -> Result<BTreeSet<HotelId>, StoreError> {
        self.release().await?;
        let ask = async {
            let txn = begin_write(&self.db).await?;
            let kept = months::kept_by_others(&txn, hotels).await?;
            txn.rollback().await?;
            Ok::<_, StoreError>(kept)
        };
        before(soon(), ask).await
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// When the database does not answer; nothing is lost.
    pub async fn close(mut self) -> Result<(), DbErr> {
        let released = self.release().await;
        self.db.close().await.and(released)
    }
}

fn soon() -> Instant {
    Instant::now() + TRANSACTION_DEADLINE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Planning, single};
    use plg_testkit::commands::{click, hotel};
    use plg_testkit::{Backend, TestDatabase};

    /// So many hotels are remembered, and no more; none where none may be, and behind [`Recorder::plan_anew`].
    #[tokio::test]
    async fn memory_is_bounded() {
        let database = TestDatabase::on_one_machine(Backend::Postgres).await;
        let plans = Arc::new(database.settings().plans);
        let connect = async || single(&database.url().parse().unwrap(), Planning::Keyed).await;
        let mut recorder =
            Recorder::new(connect().await.unwrap(), Arc::clone(&plans), 2).await.unwrap();
        for (hotels, remembered) in
            [(&[1][..], 1), (&[2], 2), (&[3], 1), (&[1, 3], 2), (&[1, 2, 3], 0), (&[2], 1)]
        {
            let batch: Vec<_> = hotels.iter().map(|of| click(hotel(*of))).collect();
            recorder.record(Utc::now, &batch).await.unwrap();
            assert_eq!(recorder.memory.len(), remembered, "{hotels:?}");
        }
        recorder.plan_anew().await.unwrap();
        assert_eq!(recorder.memory.len(), 0);

        let mut recorder = Recorder::new(connect().await.unwrap(), plans, 0).await.unwrap();
        recorder.record(Utc::now, &[click(hotel(1))]).await.unwrap();
        assert_eq!((recorder.memory.len(), recorder.supposition()), (0, None));
    }
}
