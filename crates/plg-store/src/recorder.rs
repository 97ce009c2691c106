//! One batch after the other on a connection of its own.

use crate::commit::{CommitError, Recording, TRANSACTION_DEADLINE, Written, before, was_committed};
use crate::connect::{self, begin_write, is_postgres};
use crate::error::StoreError;
use crate::months;
use crate::optimistic::{HotelMemory, Optimist, Supposition};
use crate::partitions::is_citus;
use crate::session::{Epoch, Session};
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
    plans: Arc<Plans>,
    /// Kept from the last batch. On PostgreSQL in a transaction, if that has locked something: BEGIN is a round trip, and
    /// goes with its COMMIT.
    session: Option<Session>,
    optimist: Optimist,
}

impl Recorder {
    /// On a connection of its own. For hotels that are remembered, as long as nobody else writes them, a batch is one
    /// round trip instead of four, and on SQLite two instead of five. Where none may be, or tables are distributed, all
    /// is recorded under locks.
    ///
    /// # Errors
    /// When the database cannot be asked whether it is distributed.
    pub async fn new(
        db: DatabaseConnection,
        plans: Arc<Plans>,
        memory: Arc<HotelMemory>,
    ) -> Result<Self, StoreError> {
        let optimist = if !is_postgres(&db) {
            Optimist::embedded(memory)
        } else if before(soon(), is_citus(&db)).await? {
            Optimist::never()
        } else {
            Optimist::on(&db, before(soon(), Epoch::of_server(&db)).await?, memory)
        };
        // Whoever comes anew may have lost a connection, and with it what became of a hotel.
        optimist.clear();
        Ok(Self { db, plans, session: None, optimist })
    }

    /// What became of the last batch, if it was recorded without locks first.
    #[must_use]
    pub const fn supposition(&self) -> Option<Supposition> {
        self.optimist.last()
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
        let Self { db, plans, session, optimist } = self;
        optimist.begin();
        Recording { db, plans, kept: Some(session), optimist }.run(now, commands).await
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
        self.optimist.clear();
        self.release().await?;
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

    /// Another server numbers its transactions anew, or goes on from an earlier one.
    #[tokio::test]
    async fn what_is_remembered_of_a_server_counts_nowhere_else() {
        let database = TestDatabase::on_one_machine(Backend::Postgres).await;
        let plans = Arc::new(database.settings().plans);
        let memory = Arc::new(HotelMemory::of_at_most(10));
        let connect = async || {
            let db = single(&database.url().parse().unwrap(), Planning::Keyed).await.unwrap();
            Recorder::new(db, Arc::clone(&plans), Arc::clone(&memory)).await.unwrap()
        };
        let mut recorders = [connect().await, connect().await];
        let elsewhere = Epoch::default();
        recorders[1].optimist = Optimist::on(&recorders[1].db, elsewhere, Arc::clone(&memory));
        for (recorder, hotels) in [(0, [1, 2]), (1, [3, 4]), (0, [1, 3])] {
            let commands: Vec<_> = hotels.iter().map(|of| click(hotel(*of))).collect();
            recorders[recorder].record(Utc::now, &commands).await.unwrap();
            assert_eq!(memory.len(), 2, "{hotels:?}");
        }
    }

    /// So many hotels are remembered, and no more; none where none may be, behind [`Recorder::plan_anew`], and for
    /// whoever comes anew.
    #[tokio::test]
    async fn memory_is_bounded() {
        let database = TestDatabase::on_one_machine(Backend::Postgres).await;
        let plans = Arc::new(database.settings().plans);
        let connect = async || single(&database.url().parse().unwrap(), Planning::Keyed).await;
        let memory = Arc::new(HotelMemory::of_at_most(2));
        let mut recorders = Vec::new();
        for _ in 0..2 {
            let db = connect().await.unwrap();
            let recorder = Recorder::new(db, Arc::clone(&plans), Arc::clone(&memory)).await;
            recorders.push(recorder.unwrap());
        }
        for (recorder, batch, remembered) in [
            (0, &[1][..], 1),
            (1, &[2], 2),
            (1, &[3], 1),
            (0, &[1, 3], 2),
            (0, &[1, 2, 3], 0),
            (1, &[2], 1),
        ] {
            let commands: Vec<_> = batch.iter().map(|of| click(hotel(*of))).collect();
            recorders[recorder].record(Utc::now, &commands).await.unwrap();
            assert_eq!(memory.len(), remembered, "{batch:?}");
        }
        recorders[0].plan_anew().await.unwrap();
        assert_eq!(memory.len(), 0);
        recorders[1].record(Utc::now, &[click(hotel(1))]).await.unwrap();
        assert_eq!(memory.len(), 1);
        let db = connect().await.unwrap();
        Recorder::new(db, Arc::clone(&plans), Arc::clone(&memory)).await.unwrap();
        assert_eq!(memory.len(), 0);

        let memory = Arc::new(HotelMemory::of_at_most(0));
        let db = connect().await.unwrap();
        let mut recorder = Recorder::new(db, plans, Arc::clone(&memory)).await.unwrap();
        recorder.record(Utc::now, &[click(hotel(1))]).await.unwrap();
        assert_eq!((memory.len(), recorder.supposition()), (0, None));
    }
}
