//! A connection of a pool that is kept from one transaction to the next.

use crate::connect::is_postgres;
use crate::dialect::{COMMITS_OF_OTHERS, Call};
use crate::error::StoreError;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, Postgres, Sqlite, query_scalar_with, query_with,
};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    SqlxError, Statement, Values,
};
use sea_query_sqlx::SqlxValues;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Mutex;

/// A connection by itself, within a transaction or not: a pool lends it to a statement or to a transaction, and asks it
/// in between whether it is well, which is a round trip.
///
/// Whoever drops it before it is [released](Session::release) closes it: the database gives up what was not committed.
#[derive(Debug)]
pub(crate) struct Session {
    backend: DbBackend,
    connection: Mutex<Connection>,
    /// When it was opened, or as of the last transaction that was begun (SQLite).
    epoch: Option<Epoch>,
    is_begun: bool,
    is_released: bool,
}

#[derive(Debug)]
enum Connection {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

/// For how long what is remembered of a database can be relied on, if it is compared with what is written there.
///
/// On PostgreSQL that is a server, from its start to its end: when it began, in microseconds. Another, to which a service
/// is sent after a failover, may number other transactions alike. On SQLite it is a session, until somebody else commits:
/// its number, and that of others' commits, which each connection counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Epoch(pub(crate) i64, pub(crate) i64);

impl Epoch {
    /// Of the server at the other end of a connection (PostgreSQL).
    pub(crate) async fn of_server(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let question =
            "select cast(extract(epoch from pg_postmaster_start_time()) * 1000000 as bigint)";
        let statement = Statement::from_string(DbBackend::Postgres, question);
        let row = db.query_one_raw(statement).await?;
        Ok(Self(row.map_or(Ok(0), |row| row.try_get_by_index(0))?, 0))
    }
}

impl Session {
    /// On PostgreSQL in a transaction. On SQLite, to begin is to lock.
    pub(crate) async fn open(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let connection = if is_postgres(db) {
            db.get_postgres_connection_pool().acquire().await.map(Connection::Postgres)
        } else {
            db.get_sqlite_connection_pool().acquire().await.map(Connection::Sqlite)
        };
        let connection =
            connection.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))?;
        let (backend, connection) = (db.get_database_backend(), Mutex::new(connection));
        let (epoch, is_begun, is_released) = (None, false, false);
        let mut session = Self { backend, connection, epoch, is_begun, is_released };
        if is_postgres(db) {
            session.ensure_begun().await?;
        } else {
            static SESSIONS: AtomicI64 = AtomicI64::new(0);
            let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
            session.epoch = Some(Epoch(number, session.commits_of_others("").await?));
        }
        Ok(session)
    }

    /// Whether it is in a transaction. If not, each statement is one of its own.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// When it was opened, or as of the last transaction that was begun (SQLite).
    pub(crate) const fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// Is in a transaction from here on. On SQLite nobody else writes until its end.
    pub(crate) async fn ensure_begun(&mut self) -> Result<(), DbErr> {
        if self.is_begun {
            return Ok(());
        }
        let Some(Epoch(number, _)) = self.epoch else {
            self.execute_unprepared("BEGIN").await?;
            self.is_begun = true;
            return Ok(());
        };
        self.is_begun = true;
        match self.commits_of_others("BEGIN IMMEDIATE; ").await {
            Ok(commits) => {
                self.epoch = Some(Epoch(number, commits));
                Ok(())
            }
            Err(error) => {
                // Somebody else is. Behind any other error it may be, or not.
                self.is_begun = !StoreError::from(error.clone()).is_conflict();
                Err(error)
            }
        }
    }

    /// In the same round trip, behind something else (SQLite).
    async fn commits_of_others(&self, behind: &str) -> Result<i64, DbErr> {
        let question = format!("{behind}{COMMITS_OF_OTHERS}");
        let question = Statement::from_string(DbBackend::Sqlite, question);
        // Asked for one row, the driver stops the statement before its end.
        let rows = self.query_all_raw(question).await?;
        rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))
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

    /// Commits, and on PostgreSQL begins the next transaction in the same round trip.
    ///
    /// Not by `AND CHAIN`: that would begin one that writes also where the server has been told meanwhile that new ones
    /// shall not, as before another one is promoted.
    pub(crate) async fn commit_for_next(&mut self) -> Result<(), DbErr> {
        if is_postgres(self) {
            return self.execute_unprepared("COMMIT; BEGIN").await.map(drop);
        }
        self.commit().await
    }

    /// Runs statements of which the last is the COMMIT of the transaction (SQLite).
    pub(crate) async fn execute_to_end(&mut self, statements: Statement) -> Result<(), DbErr> {
        self.execute_raw(statements).await?;
        self.is_begun = false;
        Ok(())
    }

    /// What a function answers (PostgreSQL).
    pub(crate) async fn call(&self, call: Call) -> Result<Option<i64>, DbErr> {
        let Connection::Postgres(connection) = &mut *self.connection.lock().await else {
            return Err(DbErr::BackendNotSupported { db: "SQLite", ctx: "functions" });
        };
        let answer = query_scalar_with(AssertSqlSafe(call.sql), call.arguments);
        answer.fetch_one(&mut **connection).await.map_err(failed)
    }

    /// Commits, and gives the connection back.
    pub(crate) async fn commit_and_release(mut self) -> Result<(), DbErr> {
        self.commit().await?;
        self.is_released = true;
        Ok(())
    }

    /// Gives the connection back, and up what was not committed. One that is lost is told: in its place a pool would lend
    /// another, perhaps to another server.
    pub(crate) async fn release(mut self) -> Result<(), DbErr> {
        self.roll_back().await?;
        let pong = match self.connection.get_mut() {
            Connection::Postgres(connection) => connection.ping().await,
            Connection::Sqlite(connection) => connection.ping().await,
        };
        pong.map_err(failed)?;
        self.is_released = true;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_released {
            return;
        }
        match self.connection.get_mut() {
            Connection::Postgres(connection) => connection.close_on_drop(),
            Connection::Sqlite(connection) => connection.close_on_drop(),
        }
    }
}

/// The same for each kind of connection.
macro_rules! on_connection {
    ($session:expr, $connection:ident => $work:expr) => {
        match &mut *$session.connection.lock().await {
            Connection::Postgres($connection) => $work,
            Connection::Sqlite($connection) => $work,
        }
    };
}

/// As the driver's own connections do it.
#[async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (sql, values) = taken_apart(statement);
        on_connection!(self, connection => {
            let done = query_with(sql, values).execute(&mut **connection).await;
            done.map(Into::into).map_err(failed)
        })
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql = AssertSqlSafe(sql.to_owned());
        on_connection!(self, connection => {
            connection.execute(sql).await.map(Into::into).map_err(failed)
        })
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (sql, values) = taken_apart(statement);
        on_connection!(self, connection => {
            let row = query_with(sql, values).fetch_optional(&mut **connection).await;
            row.map(|row| row.map(Into::into)).map_err(failed)
        })
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (sql, values) = taken_apart(statement);
        on_connection!(self, connection => {
            let rows = query_with(sql, values).fetch_all(&mut **connection).await;
            let rows = rows.map_err(failed)?;
            Ok(rows.into_iter().map(Into::into).collect())
        })
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
    use std::collections::HashSet;

    /// Begins a session, and asks which connection it has.
    async fn begin(db: &DatabaseConnection) -> (Session, i32) {
        let session = Session::open(db).await.unwrap();
        let question =
            Statement::from_string(DbBackend::Postgres, "select pg_backend_pid() as pid");
        let row = session.query_one_raw(question).await.unwrap().unwrap();
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

    /// What nobody else has written to since is known by heart, and by no other session.
    #[tokio::test]
    async fn an_epoch_of_sqlite_ends_when_somebody_else_commits() {
        let database = TestDatabase::new(Backend::Sqlite).await;
        let db = single(&database.url().parse().unwrap(), Planning::Keyed).await.unwrap();
        let others = database.connect().await;
        let write = "insert into number values (1)";
        others.execute_unprepared("create table number (number)").await.unwrap();
        let mut session = Session::open(&db).await.unwrap();
        let first = session.epoch();
        for _ in 0..2 {
            session.ensure_begun().await.unwrap();
            assert_eq!(session.epoch(), first);
            session.execute_unprepared(write).await.unwrap();
            session.commit().await.unwrap();
        }
        others.execute_unprepared(write).await.unwrap();
        session.ensure_begun().await.unwrap();
        let mut epochs = vec![first, session.epoch()];
        // Each of the next ones counts anew.
        for _ in 0..2 {
            drop(session);
            session = Session::open(&db).await.unwrap();
            epochs.push(session.epoch());
        }
        let different: HashSet<_> = epochs.iter().collect();
        assert_eq!(different.len(), 4, "{epochs:?}");
    }
}
