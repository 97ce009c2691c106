//! The schema: up, down, up again, by several migrators at once, and what the programs make of a
//! database that is older or newer than they are.

use crate::support::Store;
use migrations::SchemaState;
use plg_core::decide::Outcome;
use plg_testkit::commands::{click, hotel, import};
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait as _,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

async fn state(db: &DatabaseConnection) -> SchemaState {
    migrations::schema_state(db).await.unwrap()
}

/// How many migrations a database lacks.
async fn pending(db: &DatabaseConnection) -> usize {
    match state(db).await {
        SchemaState::Current => 0,
        SchemaState::Behind(pending) => pending.len(),
    }
}

async fn connect(database: &TestDatabase) -> DatabaseConnection {
    migrations::connect(database.url()).await.unwrap()
}

/// Tables beside the migrator's own.
async fn tables(db: &DatabaseConnection) -> i64 {
    let select = match db.get_database_backend() {
        DbBackend::Sqlite => {
            "select count(*) as n from sqlite_master where type = 'table' \
             and name not in ('seaql_migrations', 'sqlite_sequence')"
        }
        _ => {
            "select count(*) as n from information_schema.tables where table_schema = 'public' \
             and table_name <> 'seaql_migrations'"
        }
    };
    ledger::number(db, select).await
}

const LOG_KEY: &str = "m20261128_000004_covering_log_key";
const GATES_IN_ORDER: &str = "m20261128_000005_gates_in_order";

/// Reverts this migration, and those behind it.
async fn down_before(db: &DatabaseConnection, migration: &str) -> Result<(), DbErr> {
    let applied =
        format!("select count(*) as n from seaql_migrations where version >= '{migration}'");
    let steps = ledger::number(db, &applied).await;
    migrations::down(db, u32::try_from(steps).unwrap()).await
}

async fn assert_works(database: TestDatabase) {
    let db = database.connect().await;
    let plans = database.settings().plans;
    let import = [import(hotel(1), "job-1")];
    let answers = plg_store::record_batch(&db, &plans, chrono::Utc::now, &import).await.unwrap();
    assert_eq!(answers[0].outcome, Outcome::Recorded);
    ledger::assert_balanced(&db).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_goes_up_down_and_up_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::empty(backend).await;
    let db = connect(&database).await;
    let all = pending(&db).await;
    assert!(all > 0);
    assert!(!migrations::has_events(&db).await.unwrap());

    migrations::up(&db).await.unwrap();
    assert_eq!(state(&db).await, SchemaState::Current);
    let with_all = tables(&db).await;
    assert!(with_all >= 7);

    migrations::down(&db, 1).await.unwrap();
    assert_eq!(pending(&db).await, 1);
    migrations::down(&db, u32::try_from(all).unwrap()).await.unwrap();
    assert_eq!((pending(&db).await, tables(&db).await), (all, 0));

    for _ in 0..2 {
        migrations::up(&db).await.unwrap();
        assert_eq!((state(&db).await, tables(&db).await), (SchemaState::Current, with_all));
    }
    assert_works(database).await;
}

/// Partitions that are there already become as those that are made from now on. SQLite has none.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_log_with_events_is_replaced() {
    let covering = "select count(*) as n from pg_index i join pg_class c on c.oid = i.indrelid \
                    where c.relname like 'product_event_%' and i.indisprimary and i.indnatts = 4";
    let vacuumed_often = "select count(*) as n from pg_class where relname like 'product_event_%' \
                          and 'autovacuum_vacuum_insert_scale_factor=0' = any(reloptions)";
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let db = connect(&database).await;
    let plans = database.settings().plans;
    // Without a dedup key, which would not be known behind the migration after it.
    let click = [click(hotel(1))];
    plg_store::record_batch(&db, &plans, chrono::Utc::now, &click).await.unwrap();
    for question in [covering, vacuumed_often] {
        assert_eq!(ledger::number(&db, question).await, 1, "made so: {question}");
    }

    down_before(&db, LOG_KEY).await.unwrap();
    let reset = "do $$ begin execute (select format('alter table %I reset \
                 (autovacuum_vacuum_insert_scale_factor)', relname) from pg_class \
                 where relname like 'product_event_%' and relkind = 'r'); end $$";
    ledger::damage(&db, reset).await;
    assert_eq!(ledger::number(&db, covering).await, 0);
    migrations::up(&db).await.unwrap();

    for question in [covering, vacuumed_often] {
        assert_eq!(ledger::number(&db, question).await, 1, "made so again: {question}");
    }
    ledger::assert_balanced(&db).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn several_migrators_may_start_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::empty(backend).await;
    // All connect at once, and all begin at once.
    let together = Arc::new(Barrier::new(4));
    let migrators: Vec<_> = (0..4)
        .map(|_| {
            let (url, together) = (database.url().to_owned(), Arc::clone(&together));
            tokio::spawn(async move {
                together.wait().await;
                let db = migrations::connect(&url).await;
                together.wait().await;
                migrations::up(&db?).await
            })
        })
        .collect();
    for migrator in migrators {
        migrator.await.unwrap().unwrap();
    }

    let db = connect(&database).await;
    assert_eq!(state(&db).await, SchemaState::Current);
    let applied = "select count(*) - count(distinct version) as n from seaql_migrations";
    assert_eq!(ledger::number(&db, applied).await, 0);
    assert_works(database).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn fresh_empties_a_database(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Store::new(backend).await;
    t.record(&[import(hotel(1), "job-1")]).await;
    assert!(migrations::has_events(&t.db).await.unwrap());

    migrations::fresh(&t.db).await.unwrap();

    assert!(!migrations::has_events(&t.db).await.unwrap());
    assert_eq!(state(&t.db).await, SchemaState::Current);
    assert_eq!(t.contents().await, crate::support::Contents::default());
    // On a database without tables it is the first migration.
    let empty = TestDatabase::empty(backend).await;
    migrations::fresh(&connect(&empty).await).await.unwrap();
    assert_works(empty).await;
}

/// While a new version is rolled out, old replicas go on with the new schema.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_newer_than_the_program_is_current(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    let newer = "insert into seaql_migrations (version, applied_at) \
                 values ('m29991231_000001_from_the_future', 0)";
    ledger::damage(&t.db, newer).await;
    assert_eq!(state(&t.db).await, SchemaState::Current);
    // Rolled back with their programs, migrators leave it as it is.
    migrations::up(&connect(&t.database).await).await.unwrap();
    assert_eq!(state(&t.db).await, SchemaState::Current);
    assert_eq!(t.record(&[import(hotel(1), "job-1")]).await, [Outcome::Recorded]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn asking_for_the_state_writes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::empty(backend).await;
    let db = connect(&database).await;
    for _ in 0..2 {
        assert!(matches!(state(&db).await, SchemaState::Behind(_)));
    }
    let select = match backend {
        Backend::Sqlite => "select count(*) as n from sqlite_master",
        Backend::Postgres => {
            "select count(*) as n from information_schema.tables where table_schema = 'public'"
        }
    };
    assert_eq!(ledger::number(&db, select).await, 0);
}

/// `.cargo/config.toml` says how; a build that does not read it is slower, and would not be noticed otherwise.
#[tokio::test]
async fn sqlite_is_compiled_without_locks_around_its_memory() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let db = database.connect().await;
    let select = Statement::from_string(
        DbBackend::Sqlite,
        "select compile_options as o from pragma_compile_options",
    );
    let rows = db.query_all_raw(select).await.unwrap();
    let options: Vec<String> = rows.iter().map(|row| row.try_get("", "o").unwrap()).collect();
    assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}");
    assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
}

/// They would not be found, and what they stand for would count again.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn dedup_keys_in_another_form_stop_the_migration(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("event_gate", "event_window")] table: &str,
) {
    let database = TestDatabase::empty(backend).await;
    let db = connect(&database).await;
    migrations::up(&db).await.unwrap();
    down_before(&db, GATES_IN_ORDER).await.unwrap();
    let behind = pending(&db).await;
    let (id, passed) =
        (ledger::uuid(&db, hotel(1).0), if table == "event_window" { ", 1" } else { "" });
    let gate =
        format!("insert into {table} values ({id}, {id}, '2026-11-15T12:00:00+00:00'{passed})");
    ledger::damage(&db, &gate).await;

    let refusal = migrations::up(&db).await.unwrap_err().to_string();

    assert!(refusal.contains(&format!("{table} holds dedup keys")), "{refusal}");
    assert_eq!(pending(&db).await, behind);
    // Before anything is done for the migrations before it: the log is not touched.
    down_before(&db, LOG_KEY).await.unwrap();
    let reader = database.connect().await;
    let reading = reader.begin().await.unwrap();
    ledger::number(&reading, "select count(*) as n from product_event").await;
    if backend == Backend::Postgres {
        let refusal = migrations::up(&db).await.unwrap_err().to_string();
        assert!(refusal.contains(&format!("{table} holds dedup keys")), "{refusal}");
    }
    reading.rollback().await.unwrap();
    // By somebody who knows that they are in the right form.
    let noted = format!("insert into seaql_migrations values ('{GATES_IN_ORDER}', 0)");
    ledger::damage(&db, &noted).await;
    migrations::up(&db).await.unwrap();
    assert_eq!(pending(&db).await, 0);
    down_before(&db, LOG_KEY).await.unwrap();
    ledger::damage(&db, &format!("delete from {table}")).await;
    migrations::up(&db).await.unwrap();
    assert_eq!(pending(&db).await, 0);
}

/// Everybody who comes later waits behind whoever waits for the whole table. On PostgreSQL only: SQLite has one writer.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_gives_way_to_a_reader_that_does_not_end() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let db = connect(&database).await;
    let reader = database.connect().await;
    let reading = reader.begin().await.unwrap();
    ledger::number(&reading, "select count(*) as n from product_event").await;

    let refusal = down_before(&db, LOG_KEY).await.unwrap_err().to_string();

    assert!(refusal.contains("nothing was changed, run it again"), "{refusal}");
    assert_eq!(pending(&db).await, 0);
    reading.rollback().await.unwrap();
    down_before(&db, LOG_KEY).await.unwrap();
}

/// A deadline that somebody has set for the requests of a role, or a database, is none for the schema. On PostgreSQL
/// only: SQLite has no such setting.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_may_take_longer_than_a_request() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let reader = database.connect().await;
    let reading = reader.begin().await.unwrap();
    ledger::number(&reading, "select count(*) as n from product_event").await;
    let watching = connect(&database).await;
    let deadline = "do $$ begin execute format('alter database %I set statement_timeout = 300', \
                    current_database()); end $$";
    ledger::damage(&connect(&database).await, deadline).await;
    let db = connect(&database).await;
    let migrating = tokio::spawn(async move { down_before(&db, LOG_KEY).await });
    let waiting = "select count(*) as n from pg_stat_activity where datname = current_database() \
                   and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '400 ms'";
    // Not in the transaction, which would be shown what others did at its first look.
    while ledger::number(&watching, waiting).await == 0 {
        assert!(!migrating.is_finished(), "it was cut off");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reading.rollback().await.unwrap();
    migrating.await.unwrap().unwrap();
}
