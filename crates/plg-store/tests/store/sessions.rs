//! The settings that each connection begins with, whatever it is opened for: without them nothing fails, until a
//! service is killed at the wrong moment.

use plg_store::connect::{self, Planning, STATEMENT_DEADLINE};
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use std::time::Duration;

/// PostgreSQL only: SQLite works in the process that asks.
#[tokio::test]
async fn nobody_holds_locks_for_longer_than_its_deadlines() {
    const IDLE_MS: i64 = 3_000;
    const IDLE_MS_OF_LONG: i64 = 10_000;
    const LONG: Duration = Duration::from_secs(7);

    let database = TestDatabase::new(Backend::Postgres).await;
    let two_servers = database.url().replace('@', "@127.0.0.1:1,").parse().unwrap();
    let url = database.url().parse().unwrap();
    let of_a_service = STATEMENT_DEADLINE;
    for (db, deadline) in [
        (connect::pool(&url, 1).await, of_a_service),
        (connect::pool(&two_servers, 1).await, of_a_service),
        (connect::single(&url, Planning::Fresh).await, of_a_service),
        (connect::single(&url, Planning::Keyed).await, of_a_service),
        (connect::single(&two_servers, Planning::Keyed).await, of_a_service),
        (connect::single_for_long_statements(&url, Some(LONG), Planning::Keyed).await, LONG),
        // Zero is none.
        (connect::single_for_long_statements(&url, None, Planning::Keyed).await, Duration::ZERO),
    ] {
        let db = db.unwrap();
        let milliseconds = async |setting: &str| {
            let value = "select cast(setting as bigint) as n from pg_settings";
            ledger::number(&db, &format!("{value} where name = '{setting}'")).await
        };
        let deadline = i64::try_from(deadline.as_millis()).unwrap();
        assert_eq!(milliseconds("statement_timeout").await, deadline);
        assert_eq!(milliseconds("lock_timeout").await, deadline / 2);
        let expected = if deadline == 2_000 { IDLE_MS } else { IDLE_MS_OF_LONG };
        assert_eq!(milliseconds("idle_in_transaction_session_timeout").await, expected);
    }
}

/// What is acknowledged is on disk, and who reads waits for nobody who writes.
#[tokio::test]
async fn sqlite_syncs_each_commit_to_a_log_of_its_own() {
    const FULL: i64 = 2;

    for way in ["a pool", "a connection", "one for long statements"] {
        // The file remembers that it has a log: it must not be said before.
        let database = TestDatabase::empty(Backend::Sqlite).await;
        let another = Database::connect(database.url()).await.unwrap();
        another.execute_unprepared("create table other (id integer)").await.unwrap();
        another.close().await.unwrap();
        let url = database.url().parse().unwrap();
        let db = match way {
            "a pool" => connect::pool(&url, 1).await,
            "a connection" => connect::single(&url, Planning::Keyed).await,
            _ => connect::single_for_long_statements(&url, None, Planning::Keyed).await,
        };
        let db = db.unwrap();
        let pragma = async |name: &str| {
            let ask = Statement::from_string(DbBackend::Sqlite, format!("pragma {name}"));
            db.query_one_raw(ask).await.unwrap().unwrap()
        };
        let synchronous: i64 = pragma("synchronous").await.try_get_by_index(0).unwrap();
        assert_eq!(synchronous, FULL, "{way}");
        let journal: String = pragma("journal_mode").await.try_get_by_index(0).unwrap();
        assert_eq!(journal, "wal", "{way}");
    }
}
