//! A connection of a pool that is kept from one transaction to the next.

use crate::connect::begin_write;
use crate::dialect::Call;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, Postgres, query_scalar_with, query_with,
};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, SqlxError, Statement, Values,
};
use sea_query_sqlx::SqlxValues;
use std::ops::DerefMut;
use tokio::sync::{Mutex, MutexGuard};

/// A connection, within a transaction or not (PostgreSQL). On SQLite none is kept, and each is in a transaction.
#[derive(Debug)]
pub(crate) enum Session {
    Postgres(PgSession),
    Embedded(DatabaseTransaction),
}

/// A connection to PostgreSQL, by itself: a pool lends it to a statement or to a transaction, and asks it in between
/// whether it is well, which is a round trip.
///
/// Whoever drops it before it is [released](Session::release) closes it: the server gives up what was not committed.
#[derive(Debug)]
pub(crate) struct PgSession {
    connection: Mutex<PoolConnection<Postgres>>,
    is_begun: bool,
    is_released: bool,
}

impl Session {
    /// In a transaction that will write.
    pub(crate) async fn begin(db: &DatabaseConnection) -> Result<Self, DbErr> {
        if db.get_database_backend() != DbBackend::Postgres {
            return begin_write(db).await.map(Self::Embedded);
        }
        let connection = db.get_postgres_connection_pool().acquire().await;
        let connection = Mutex::new(
            connection.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))?,
        );
        let mut session = PgSession { connection, is_begun: false, is_released: false };
        session.ensure_begun().await?;
        Ok(Self::Postgres(session))
    }

    /// Its connection, if that can be in no transaction.
    pub(crate) const fn postgres(&mut self) -> Option<&mut PgSession> {
        match self {
            Self::Postgres(session) => Some(session),
            Self::Embedded(_) => None,
        }
    }

    /// Is in a transaction from here on.
    pub(crate) async fn ensure_begun(&mut self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(session) => session.ensure_begun().await,
            Self::Embedded(_) => Ok(()),
        }
    }

    /// Commits, and gives the connection back.
    pub(crate) async fn commit_and_release(self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(mut session) => {
                session.commit().await?;
                session.is_released = true;
                Ok(())
            }
            Self::Embedded(txn) => txn.commit().await,
        }
    }

    /// Gives the connection back, and up what was not committed. One that is lost is told: in its place a pool would lend
    /// another, perhaps to another server.
    pub(crate) async fn release(self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(mut session) => {
                session.roll_back().await?;
                session.lock().await.ping().await.map_err(failed)?;
                session.is_released = true;
                Ok(())
            }
            Self::Embedded(txn) => txn.rollback().await,
        }
    }
}

impl PgSession {
    /// Whether it is in a transaction. If not, each statement is one of its own.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_begun
    }

    async fn ensure_begun(&mut self) -> Result<(), DbErr> {
        if !self.is_begun {
            self.execute_unprepared("BEGIN").await?;
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
            self.execute_unprepared(how).await?;
            self.is_begun = false;
        }
        Ok(())
    }

    /// Commits, and begins the next transaction in the same round trip.
    ///
    /// Not by `AND CHAIN`: that would begin one that writes also where the server has been told meanwhile that new ones
    /// shall not, as before another one is promoted.
    pub(crate) async fn commit_and_begin(&self) -> Result<(), DbErr> {
        self.execute_unprepared("COMMIT; BEGIN").await.map(drop)
    }

    /// What a function answers.
    pub(crate) async fn call(&self, call: Call) -> Result<Option<i64>, DbErr> {
        let answer = query_scalar_with(AssertSqlSafe(call.sql), call.arguments);
        answer.fetch_one(&mut *self.lock().await).await.map_err(failed)
    }

    async fn lock(&self) -> impl DerefMut<Target = PgConnection> + '_ {
        MutexGuard::map(self.connection.lock().await, |connection| &mut **connection)
    }
}

impl Drop for PgSession {
    fn drop(&mut self) {
        if !self.is_released {
            self.connection.get_mut().close_on_drop();
        }
    }
}

/// As the driver's own connections do it.
#[async_trait]
impl ConnectionTrait for PgSession {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (sql, values) = taken_apart(statement);
        let done = query_with(sql, values).execute(&mut *self.lock().await).await;
        done.map(Into::into).map_err(failed)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let done = self.lock().await.execute(AssertSqlSafe(sql.to_owned())).await;
        done.map(Into::into).map_err(failed)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (sql, values) = taken_apart(statement);
        let row = query_with(sql, values).fetch_optional(&mut *self.lock().await).await;
        row.map(|row| row.map(Into::into)).map_err(failed)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (sql, values) = taken_apart(statement);
        let rows = query_with(sql, values).fetch_all(&mut *self.lock().await).await;
        let rows = rows.map_err(failed)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// Statements are our own, and bind what is not.
fn taken_apart(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    let values = statement.values.unwrap_or_else(|| Values(Vec::new()));
    (AssertSqlSafe(statement.sql), SqlxValues(values))
}

fn failed(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Planning, single};
    use plg_testkit::{Backend, TestDatabase};

    /// Begins a session, and asks which connection it has.
    async fn begin(db: &DatabaseConnection) -> (Session, i32) {
        let mut session = Session::begin(db).await.unwrap();
        let question =
            Statement::from_string(DbBackend::Postgres, "select pg_backend_pid() as pid");
        let row = session.postgres().unwrap().query_one_raw(question).await.unwrap().unwrap();
        (session, row.try_get("", "pid").unwrap())
    }

    /// In its transaction, or in the middle of a statement: nobody goes on with that.
    #[tokio::test]
    async fn a_connection_comes_back_only_when_it_is_released() {
        let database = TestDatabase::on_one_machine(Backend::Postgres).await;
        let db = single(&database.url().parse().unwrap(), Planning::Keyed).await.unwrap();
        let (session, first) = begin(&db).await;
        session.release().await.unwrap();
        let (session, second) = begin(&db).await;
        assert_eq!(second, first);
        session.commit_and_release().await.unwrap();
        let (session, third) = begin(&db).await;
        assert_eq!(third, first);
        drop(session);
        let (_, fourth) = begin(&db).await;
        assert_ne!(fourth, first);
    }
}
