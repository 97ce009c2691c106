//! A connection of a pool that is kept from one transaction to the next.

use crate::connect::begin_write;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr};

/// A connection, within a transaction or not (PostgreSQL).
///
/// A pool asks each connection that it gets back whether it is well, and lends none but in a transaction. So this is one
/// to the driver for as long as it is kept: its COMMIT and BEGIN are statements like others. On SQLite none is kept, and so
/// each is in a transaction.
#[derive(Debug)]
pub(crate) struct Session {
    txn: DatabaseTransaction,
    is_begun: bool,
}

impl Session {
    /// In a transaction that will write.
    pub(crate) async fn begin(db: &DatabaseConnection) -> Result<Self, DbErr> {
        Ok(Self { txn: begin_write(db).await?, is_begun: true })
    }

    /// What statements are sent on: in no transaction, each is one of its own.
    pub(crate) const fn connection(&self) -> &DatabaseTransaction {
        &self.txn
    }

    /// Whether it is in a transaction.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Is in a transaction from here on.
    pub(crate) async fn ensure_begun(&mut self) -> Result<(), DbErr> {
        if !self.is_begun {
            self.say("BEGIN").await?;
            self.is_begun = true;
        }
        Ok(())
    }

    /// Commits, and is in no transaction then.
    pub(crate) async fn commit(&mut self) -> Result<(), DbErr> {
        self.end("COMMIT").await
    }

    /// Gives up what was not committed, and is in no transaction then.
    pub(crate) async fn roll_back(&mut self) -> Result<(), DbErr> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, how: &str) -> Result<(), DbErr> {
        if self.is_begun {
            self.say(how).await?;
            self.is_begun = false;
        }
        Ok(())
    }

    /// Commits, and begins the next transaction in the same round trip.
    ///
    /// Not by `AND CHAIN`: that would begin one that writes also where the server has been told meanwhile that new ones
    /// shall not, as before another one is promoted.
    pub(crate) async fn commit_and_begin(&self) -> Result<(), DbErr> {
        self.say("COMMIT; BEGIN").await
    }

    /// Commits, and gives the connection back.
    pub(crate) async fn commit_and_release(self) -> Result<(), DbErr> {
        self.txn.commit().await
    }

    /// Gives the connection back, and up what was not committed.
    pub(crate) async fn release(mut self) -> Result<(), DbErr> {
        // The driver ends the transaction that it believes to be in. There has to be one, or the server warns of it.
        self.ensure_begun().await?;
        self.txn.rollback().await
    }

    async fn say(&self, statement: &str) -> Result<(), DbErr> {
        self.txn.execute_unprepared(statement).await.map(drop)
    }
}
