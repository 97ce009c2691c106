//! `migrate`, as an operator types it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use plg_testkit::app::USER;
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm_migration::sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};
use std::process::{Command, Output};

fn migrate(database: &TestDatabase, arguments: &[&str]) -> Output {
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_migrate"));
    migrate.args(arguments).env("DATABASE_URL", database.url()).output().expect("it runs")
}

#[rstest::rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_holds_events_is_not_reverted_unasked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("down", "fresh")] command: &str,
) {
    let database = TestDatabase::empty(backend).await;
    assert!(migrate(&database, &["up"]).status.success());
    assert!(migrate(&database, &[command]).status.success(), "there is nothing to lose");
    assert!(migrate(&database, &["up"]).status.success());
    let db = database.connect().await;
    if backend == Backend::Postgres {
        let partition = "create table product_event_202611 partition of product_event \
                         for values from (202611) to (202612)";
        ledger::damage(&db, partition).await;
    }
    let id = ledger::uuid(&db, USER);
    let event = format!(
        "insert into product_event (hotel_id, month, seq, event_type, user_id, day, recorded_at) \
         values ({id}, 202611, 1, 'upgrade_click', {id}, '2026-11-15', '2026-11-15T12:00:00+00:00')"
    );
    ledger::damage(&db, &event).await;

    let refused = migrate(&database, &[command]);

    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(complaint.contains(&format!("`migrate {command} --yes`")), "{complaint}");
    assert!(migrate(&database, &["status"]).status.success());
    db.close().await.expect("closes");
    assert!(migrate(&database, &[command, "--yes"]).status.success());
}

/// Of an operator who has forgotten DATABASE_URL.
#[test]
fn a_look_makes_no_database_and_says_where_it_looked() {
    let folder = std::env::temp_dir().join(format!("plg-nothing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_migrate"));
    let status = migrate.arg("status").env_remove("DATABASE_URL").current_dir(&folder).output();
    let status = status.expect("it runs");
    assert!(!status.status.success());
    let complaint = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(complaint.contains("sqlite://data/plg.db"), "{complaint}");
    assert!(complaint.contains("there is no database"), "{complaint}");
    std::fs::remove_dir(&folder).expect("it is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_shown_and_another_migrator_is_named() {
    let database = TestDatabase::empty(Backend::Postgres).await;
    assert!(migrate(&database, &["up"]).status.success());
    // Sessions of the services do not keep a transaction open for as long.
    let db = Database::connect(database.url()).await.unwrap();
    let other = db.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(31644388864649074)";
    other.execute_unprepared(lock).await.unwrap();
    let url = database.url().replacen('@', ":geheim@", 1);
    let mut up = Command::new(env!("CARGO_BIN_EXE_migrate"));
    let up = up.arg("up").env("DATABASE_URL", url).output().expect("it runs");
    let complaint = String::from_utf8_lossy(&up.stderr).into_owned();
    assert!(!up.status.success());
    assert!(complaint.contains("another migrator is at work"), "{complaint}");
    assert!(complaint.contains(":***@") && !complaint.contains("geheim"), "{complaint}");
}
