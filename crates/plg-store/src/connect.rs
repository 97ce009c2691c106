//! Opening databases, each with the settings it needs to keep the promises.

pub use crate::url::{DatabaseUrl, DatabaseUrlError};

use crate::primary;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, Database, DatabaseConnection,
    DatabaseTransaction, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode, SqlxError, Statement,
    TransactionOptions, TransactionTrait,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait for a new connection, or for a free one of a pool.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// A pooled connection that was used less than this long ago is used again without a test, which would
/// cost as much as a read.
const POOL_TRUST: Duration = Duration::from_secs(1);
/// How long PostgreSQL may work on one statement of a service: half of it may be waiting for a lock.
pub const STATEMENT_DEADLINE: Duration = Duration::from_millis(2_000);
/// How long PostgreSQL keeps a transaction whose session says nothing, at the most.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long to wait for another process that writes to the same SQLite file.
pub const SQLITE_BUSY_DEADLINE: Duration = Duration::from_millis(2_000);
/// Rows that the driver's thread may be ahead: as many as a batch has hotels, or it stops for each.
const SQLITE_ROW_BUFFER: usize = 1_024;
/// Pages that a connection keeps in memory: 8 MiB (negative numbers are KiB).
const SQLITE_CACHE: &str = "-8192";
/// Statements that a connection keeps prepared. Few come again: those of a batch differ with the number
/// of its rows, and are large.
const SQLITE_STATEMENTS: usize = 16;
/// Pages in the write-ahead log before who writes copies them to the database, 64 MiB: pages that are
/// written often, such as the hotels' counters, are copied once for many transactions.
pub(crate) const SQLITE_LOG_PAGES: i64 = 16_384;

/// What sessions of the services are called in PostgreSQL, those of the reconciliation, and those that only ask which
/// server takes writes.
pub(crate) const SERVICE_NAME: &str = "plg";
pub(crate) const ROLLUP_NAME: &str = "plg-rollup";
pub(crate) const GUIDE_NAME: &str = "plg-guide";

/// Citus sends a statement where its parameters say, and cannot plan one without them.
const PLAN_ANEW_ON_CITUS: &str = "select set_config('plan_cache_mode', 'force_custom_plan', false) \
     from pg_extension where extname = 'citus'";

/// How PostgreSQL plans the statements of a connection. SQLite has one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planning {
    /// Each time anew. A plan that is kept reads a table from end to end for ever after, if it was made
    /// while that was empty.
    Fresh,
    /// For statements that all look rows up by their keys: there is hardly another way left, so that a plan
    /// can be kept. Planning would take a quarter of the time of a lone action, and reading all hotel-months
    /// for each chunk of them looks best to the planner where a reconciliation has many chunks to go. Reading
    /// all rows of a key looks best where there are a few hundred: [`plan_anew`] after a while.
    Keyed,
}

impl Planning {
    const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Fresh => &[("plan_cache_mode", "force_custom_plan")],
            Self::Keyed => &[
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                // To read a table once and keep it looks best as long as that is small.
                ("enable_material", "off"),
                // A list of rows' places first: a third more for as many rows as a batch has.
                ("enable_bitmapscan", "off"),
                // What is switched off and needed all the same counts as dear, and dear plans would be
                // compiled.
                ("jit", "off"),
            ],
        }
    }
}

/// Opens a pool of at most `max_connections`, for reading and for rare writes. Connections to a server
/// that takes no writes any more are dropped.
///
/// # Errors
/// When no database answers within [`CONNECT_DEADLINE`].
pub async fn pool(url: &DatabaseUrl, max_connections: u32) -> Result<DatabaseConnection, DbErr> {
    let servers = url.servers();
    let settings = settings(Some(STATEMENT_DEADLINE), Planning::Fresh);
    let mut options = options(&servers.urls[0], SERVICE_NAME, &settings);
    options.max_connections(max_connections).min_connections(0);
    if url.is_embedded() {
        options.test_before_acquire_if_idle_for(POOL_TRUST);
        return Database::connect(options).await;
    }
    primary::drop_demoted(&mut options, POOL_TRUST);
    if servers.must_take_writes {
        primary::pool(options, settings, url).await
    } else {
        Database::connect(options).await
    }
}

/// Opens one connection that its owner keeps: without the pool's test before each use, and without
/// a limit on its life. Whoever sees it fail drops it and opens another.
///
/// # Errors
/// When no database answers within [`CONNECT_DEADLINE`].
pub async fn single(url: &DatabaseUrl, planning: Planning) -> Result<DatabaseConnection, DbErr> {
    let settings = settings(Some(STATEMENT_DEADLINE), planning);
    connect_once(url, |server| options(server, SERVICE_NAME, &settings)).await
}

/// Opens one connection as [`single`] does, that only asks which server takes writes. Whoever looks whether the services
/// are at work knows it by its name.
pub(crate) async fn guide(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    let settings = settings(Some(STATEMENT_DEADLINE), Planning::Fresh);
    connect_once(url, |server| options(server, GUIDE_NAME, &settings)).await
}

/// Opens one connection of the reconciliation as [`single`] does, for statements that may take as long as the
/// caller says (`None`: for ever). It never creates a SQLite file.
///
/// # Errors
/// When no database answers within [`CONNECT_DEADLINE`], or the SQLite file does not exist.
pub async fn single_for_long_statements(
    url: &DatabaseUrl,
    statement_deadline: Option<Duration>,
    planning: Planning,
) -> Result<DatabaseConnection, DbErr> {
    let settings = settings(statement_deadline, planning);
    connect_once(url, |server| {
        let mut options = options(server, ROLLUP_NAME, &settings);
        options.map_sqlx_sqlite_opts(|sqlite| sqlite_options(sqlite).create_if_missing(false));
        options
    })
    .await
}

async fn connect_once(
    url: &DatabaseUrl,
    options: impl Fn(&str) -> ConnectOptions,
) -> Result<DatabaseConnection, DbErr> {
    let servers = url.servers();
    let options = servers.urls.iter().map(|server| options(server));
    if servers.must_take_writes {
        return primary::first_that_takes_writes(options).await;
    }
    let options = options.into_iter().next().unwrap_or_else(|| ConnectOptions::new(url.expose()));
    connect_server(options).await
}

/// To one server.
pub(crate) async fn connect_server(
    mut options: ConnectOptions,
) -> Result<DatabaseConnection, DbErr> {
    options
        .max_connections(1)
        .min_connections(1)
        .test_before_acquire(false)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>);
    // The driver sleeps between its attempts, and wakes too late.
    answer_by(Instant::now() + CONNECT_DEADLINE, Database::connect(options)).await
}

/// What `work` answers, if it does by then, or that it does not.
pub(crate) async fn answer_by<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let answer = tokio::time::timeout_at(deadline, work).await;
    answer.unwrap_or(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)))
}

/// The statements with which a session of PostgreSQL begins. Sent with its opening, as options, poolers would refuse
/// them.
fn settings(statement_deadline: Option<Duration>, planning: Planning) -> Arc<str> {
    // Zero is no deadline.
    let deadline = statement_deadline.unwrap_or_default();
    // Whoever is lost in the middle of a transaction keeps its hotels locked for so long.
    let idle = statement_deadline.map_or(IDLE_MAX, |deadline| IDLE_MAX.min(deadline * 3 / 2));
    let mut settings = format!(
        "set statement_timeout = {}; set lock_timeout = {}; set idle_in_transaction_session_timeout = {}",
        deadline.as_millis(),
        (deadline / 2).as_millis(),
        idle.as_millis(),
    );
    for (name, value) in planning.settings() {
        settings.push_str(&format!("; set {name} = {value}"));
    }
    if planning == Planning::Keyed {
        settings.push_str("; ");
        settings.push_str(PLAN_ANEW_ON_CITUS);
    }
    settings.into()
}

/// Has a session begin with its [`settings`].
pub(crate) async fn begin_session(
    connection: &mut PgConnection,
    settings: Arc<str>,
) -> Result<(), SqlxError> {
    // Names and numbers of our own.
    connection.execute(AssertSqlSafe(settings)).await.map(drop)
}

fn options(server: &str, name: &'static str, settings: &Arc<str>) -> ConnectOptions {
    let mut options = ConnectOptions::new(server);
    options.sqlx_logging(false).connect_timeout(CONNECT_DEADLINE).acquire_timeout(CONNECT_DEADLINE);
    options.map_sqlx_postgres_opts(|postgres| postgres.application_name(name));
    let settings = Arc::clone(settings);
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let settings = Arc::clone(&settings);
        pool.after_connect(move |connection, _| {
            Box::pin(begin_session(connection, Arc::clone(&settings)))
        })
    });
    options.map_sqlx_sqlite_opts(sqlite_options);
    options
}

fn sqlite_options(sqlite: SqliteConnectOptions) -> SqliteConnectOptions {
    sqlite
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL would lose acknowledged commits when the power fails.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY_DEADLINE)
        .row_buffer_size(SQLITE_ROW_BUFFER)
        .pragma("cache_size", SQLITE_CACHE)
        // What a statement changes is remembered until it is done, in case it fails: a file would be
        // written for that, and never read.
        .pragma("temp_store", "memory")
        .statement_cache_capacity(SQLITE_STATEMENTS)
        .pragma("wal_autocheckpoint", SQLITE_LOG_PAGES.to_string())
}

/// Has PostgreSQL plan the statements of a connection anew when they come next. It does so by itself when it has
/// looked at a table that has grown, which may be in a minute, after hours, or never. SQLite keeps no plans.
///
/// # Errors
/// When the database does not answer, within [`CONNECT_DEADLINE`]. The connection has to be dropped then.
pub async fn plan_anew(db: &DatabaseConnection) -> Result<(), DbErr> {
    if !is_postgres(db) {
        return Ok(());
    }
    let discard = db.execute_unprepared("discard plans");
    answer_by(Instant::now() + CONNECT_DEADLINE, discard).await.map(drop)
}

/// Begins a transaction that will write.
///
/// SQLite has to take its write lock at once: a transaction that reads first and writes later
/// fails as soon as another one has written in between.
///
/// # Errors
/// When the database cannot be reached, or (SQLite) is busy for too long.
pub async fn begin_write(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    db.begin_with_options(options).await
}

/// Begins a transaction as [`begin_write`] does, which waits for each lock for a while only. SQLite has one lock, and
/// has been waited for when this returns.
///
/// # Errors
/// As [`begin_write`].
pub async fn begin_write_in_time(
    db: &DatabaseConnection,
    lock_deadline: Duration,
) -> Result<DatabaseTransaction, DbErr> {
    let txn = begin_write(db).await?;
    if is_postgres(db) {
        let deadline = lock_deadline.as_millis();
        txn.execute_unprepared(&format!("set local lock_timeout = {deadline}")).await?;
    }
    Ok(txn)
}

/// Whether the database accepts writes: a standby does not, nor does a server that was told not to.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_writable(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let question = if is_postgres(db) {
        plg_hosts::TAKES_WRITES
    } else {
        // A file without the right to write, or on a disk that has become read-only, shows only when
        // it is written to.
        "select 1 as yes"
    };
    let statement = Statement::from_string(db.get_database_backend(), question);
    let row = db.query_one_raw(statement).await?;
    row.map_or(Ok(false), |row| row.try_get("", "yes"))
}

/// Whether nobody answered in time. The pool keeps it to itself when nobody listens at the address.
#[must_use]
pub fn is_silence(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => true,
        DbErr::Conn(RuntimeErr::SqlxError(e)) => matches!(**e, SqlxError::PoolTimedOut),
        _ => false,
    }
}

/// Why a database cannot be used, without the layers that the reason came through.
#[must_use]
pub fn reason(error: &DbErr) -> String {
    if is_silence(error) {
        let seconds = CONNECT_DEADLINE.as_secs();
        return format!("no answer within {seconds} s: does it run, is the address right?");
    }
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => match &**e {
            SqlxError::Database(e) => e.message().to_owned(),
            e => e.to_string(),
        },
        other => other.to_string(),
    }
}

/// Why nothing can be opened at a URL: [`reason`], or what a server says that turns everybody away. The driver tries it
/// again until the time is up, and then says only that it is.
pub async fn reason_at(url: &DatabaseUrl, error: &DbErr) -> String {
    if is_silence(error) && !url.is_embedded() {
        for server in url.servers().urls {
            let attempt = tokio::time::timeout(CONNECT_DEADLINE, PgConnection::connect(&server));
            if let Ok(Err(SqlxError::Database(said))) = attempt.await {
                return said.message().to_owned();
            }
        }
    }
    reason(error)
}

/// Whether the connection leads to PostgreSQL.
#[must_use]
pub fn is_postgres(db: &impl sea_orm::ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Postgres
}
