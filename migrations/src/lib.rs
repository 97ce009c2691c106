//! The schema of the database, one file a migration, for PostgreSQL and SQLite alike.
//!
//! Every key of a hotel's table contains `hotel_id`, so that the tables can be distributed by hotel. There are no
//! triggers, no foreign keys across hotels and no defaults that read a clock.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm_migration::sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteError, SqliteJournalMode,
};
use sea_orm_migration::sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub mod distribute;
mod m20261124_000001_initial;
mod m20261124_000002_api_key;
mod m20261124_000003_rollup_overview;
mod m20261128_000004_covering_log_key;
mod m20261128_000005_gates_in_order;
mod m20261201_000006_limits_of_months;
pub mod program;

/// Key of the PostgreSQL advisory lock that lets one migrator run at a time ("plgmigr").
const MIGRATION_LOCK: i64 = 0x70_6c67_6d69_6772;

/// How long a migration waits for a table that others use.
const TABLE_WAIT_MS: u32 = 2_000;
/// How long a migrator waits for another one.
const MIGRATOR_WAIT_MS: u32 = 10_000;
/// How long PostgreSQL keeps the transaction of a migrator that says nothing.
const IDLE_MS: u32 = 10_000;
/// How often PostgreSQL looks, since version 14, whether a migrator still waits for its statement, which may take minutes.
const ALIVE_CHECK: &str = "select set_config(name, '1s', true) from pg_settings \
     where name = 'client_connection_check_interval'";
/// A deadline that there is since version 17.
const NO_DEADLINE: &str =
    "select set_config(name, '0', true) from pg_settings where name = 'transaction_timeout'";

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_initial::Migration),
            Box::new(m20261124_000002_api_key::Migration),
            Box::new(m20261124_000003_rollup_overview::Migration),
            Box::new(m20261128_000004_covering_log_key::Migration),
            Box::new(m20261128_000005_gates_in_order::Migration),
            Box::new(m20261201_000006_limits_of_months::Migration),
        ]
    }
}

/// Whether a database's schema is the one this program was built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Every migration is applied; perhaps later ones too, by a newer program.
    Current,
    /// These migrations are still to be applied, oldest first.
    Behind(Vec<String>),
}

/// Compares the database with the migrations, without writing.
///
/// # Errors
/// When the database cannot be read.
pub async fn schema_state(db: &DatabaseConnection) -> Result<SchemaState, DbErr> {
    state(db).await
}

/// Of a connection, or within a transaction.
async fn state<'c, C>(db: &'c C) -> Result<SchemaState, DbErr>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let known: Vec<String> = Migrator::migrations().iter().map(|m| m.name().to_owned()).collect();
    if !SchemaManager::new(db).has_table("seaql_migrations").await? {
        return Ok(SchemaState::Behind(known));
    }
    let query = Query::select().column("version").from("seaql_migrations").to_owned();
    let rows = db.query_all(&query).await?;
    let applied: Vec<String> =
        rows.iter().map(|row| row.try_get("", "version")).collect::<Result<_, _>>()?;
    let pending: Vec<String> = known.into_iter().filter(|name| !applied.contains(name)).collect();
    Ok(if pending.is_empty() { SchemaState::Current } else { SchemaState::Behind(pending) })
}

/// Applies every pending migration in one transaction. Several migrators may start at once. A schema that
/// a newer program has made is left as it is.
///
/// # Errors
/// When the database refuses; nothing is changed then.
pub async fn up(db: &DatabaseConnection) -> Result<(), DbErr> {
    let txn = begin_alone(db).await?;
    if state(&txn).await? != SchemaState::Current {
        Migrator::up(&txn, None).await.map_err(table_in_use)?;
    }
    txn.commit().await
}

/// Reverts the last `steps` migrations in one transaction.
///
/// # Errors
/// When the database refuses; nothing is changed then.
pub async fn down(db: &DatabaseConnection, steps: u32) -> Result<(), DbErr> {
    let txn = begin_alone(db).await?;
    Migrator::down(&txn, Some(steps)).await.map_err(table_in_use)?;
    txn.commit().await
}

/// Drops every table with all its data, and applies every migration.
///
/// # Errors
/// When the database refuses; nothing is changed then.
pub async fn fresh(db: &DatabaseConnection) -> Result<(), DbErr> {
    let txn = begin_alone(db).await?;
    Migrator::down(&txn, None).await.map_err(table_in_use)?;
    Migrator::up(&txn, None).await?;
    txn.commit().await
}

/// Whether the database holds product events.
///
/// # Errors
/// When the database cannot be read.
pub async fn has_events(db: &DatabaseConnection) -> Result<bool, DbErr> {
    if !SchemaManager::new(db).has_table("product_event").await? {
        return Ok(false);
    }
    let any = Query::select().expr(Expr::val(1)).from("product_event").limit(1).to_owned();
    Ok(db.query_one(&any).await?.is_some())
}

/// Connects with one connection, creating a SQLite file and its folder where absent.
///
/// Several may do so at once. Whoever makes a new SQLite file a write-ahead one needs it for a moment
/// for itself, and SQLite does not wait for that, whatever its busy timeout: so it is tried again.
///
/// # Errors
/// When there is no database to be reached at the URL.
pub async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    create_sqlite_folder(url)?;
    let unusable = |reason: String| DbErr::Conn(RuntimeErr::Internal(reason));
    let servers = plg_hosts::servers(url).map_err(|error| unusable(error.to_string()))?;
    let mut result = Err(unusable("no server takes writes: are they standbys?".to_owned()));
    for server in &servers.urls {
        match connect_server(server).await {
            Ok(db) if !servers.must_take_writes || takes_writes(&db).await? => return Ok(db),
            Ok(standby) => standby.close().await?,
            Err(error) => result = Err(error),
        }
    }
    result
}

async fn takes_writes(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let question = Statement::from_string(DbBackend::Postgres, plg_hosts::TAKES_WRITES);
    let row = db.query_one_raw(question).await?;
    row.map_or(Ok(false), |row| row.try_get("", "yes"))
}

async fn connect_server(url: &str) -> Result<DatabaseConnection, DbErr> {
    // What the driver says about a URL that it cannot read shows the password.
    if url.starts_with("postgres") && url.parse::<PgConnectOptions>().is_err() {
        return Err(DbErr::Conn(RuntimeErr::Internal("the URL cannot be read".to_owned())));
    }
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).connect_timeout(CONNECT_DEADLINE);
    options.map_sqlx_sqlite_opts(|sqlite| {
        // As the services open it: another journal mode would need the file for itself.
        sqlite.journal_mode(SqliteJournalMode::Wal).busy_timeout(SQLITE_BUSY_DEADLINE)
    });
    let deadline = Instant::now() + SQLITE_BUSY_DEADLINE;
    loop {
        match Database::connect(options.clone()).await {
            Err(error) if is_sqlite_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(SQLITE_BUSY_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn is_sqlite_busy(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    let sqlite =
        error.as_database_error().filter(|error| error.try_downcast_ref::<SqliteError>().is_some());
    // The primary code is in the lowest byte: 5 is SQLITE_BUSY.
    sqlite.and_then(|error| error.code()?.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// How long to wait for a database server to answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long to wait for another process that writes to the same SQLite file.
const SQLITE_BUSY_DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts to open a SQLite file that another process has for itself.
const SQLITE_BUSY_PAUSE: Duration = Duration::from_millis(20);

/// The file of a URL of SQLite, unless that is in memory.
#[must_use]
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains("mode=memory") {
        return None;
    }
    let options: SqliteConnectOptions = url.parse().ok()?;
    Some(options.get_filename().to_owned())
}

/// Creates the folder of a SQLite file, as SQLite itself creates only the file.
///
/// # Errors
/// When the folder cannot be created.
fn create_sqlite_folder(url: &str) -> Result<(), DbErr> {
    match sqlite_file(url).as_deref().and_then(Path::parent) {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .map_err(|e| DbErr::Custom(format!("cannot create folder {}: {e}", folder.display()))),
        _ => Ok(()),
    }
}

/// Begins a transaction that no other migrator shares its time with.
async fn begin_alone(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let txn = db.begin_with_options(options).await?;
    if txn.get_database_backend() == DbBackend::Postgres {
        // Whoever is lost in the middle lets go of what it has locked, before the services' hotels are missed for long. What
        // takes long is not to be cut off by a deadline that somebody has set for requests.
        let bounds = format!(
            "set local idle_in_transaction_session_timeout = {IDLE_MS}; set local statement_timeout = 0; \
             set local lock_timeout = {MIGRATOR_WAIT_MS}; {ALIVE_CHECK}; {NO_DEADLINE}"
        );
        txn.execute_unprepared(&bounds).await?;
        let lock = format!("select pg_advisory_xact_lock({MIGRATION_LOCK})");
        txn.execute_unprepared(&lock).await.map_err(another_is_at_work)?;
        // Whoever waits for a table has all that come later wait behind him: a migration gives way, and is run again.
        txn.execute_unprepared(&format!("set local lock_timeout = {TABLE_WAIT_MS}")).await?;
    }
    Ok(txn)
}

/// What it means when the migrators' own lock is not to be had.
fn another_is_at_work(error: DbErr) -> DbErr {
    or_of_a_lock(
        error,
        "another migrator is at work on this database: run this again when it has ended (its session \
         has an advisory lock in pg_locks)",
    )
}

/// What it means when a table is not to be had.
fn table_in_use(error: DbErr) -> DbErr {
    or_of_a_lock(
        error,
        "others use a table that this changes, for longer than it waits for them (2 s): nothing was changed, run \
         it again (pg_stat_activity, by xact_start, shows who has been at it for long)",
    )
}

/// The same error, unless it says that a lock was waited for in vain.
fn or_of_a_lock(error: DbErr, meaning: &str) -> DbErr {
    const LOCK_TIMEOUT: &str = "55P03";

    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) =
        &error
    else {
        return error;
    };
    let code = cause.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(LOCK_TIMEOUT) { DbErr::Custom(meaning.to_owned()) } else { error }
}
