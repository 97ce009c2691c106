//! Which server takes writes: of several, that one is found, and found again after a failover; and a
//! connection that leads to another one is not kept.

use crate::connect::{
    self, CONNECT_DEADLINE, SERVICE_NAME, begin_session, connect_server, is_writable,
};
use crate::url::DatabaseUrl;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use plg_hosts::TAKES_WRITES;
use sea_orm::sqlx;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::{ConnAcquireErr, ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Before a standby is asked again whether it has been promoted.
const STANDBY_PAUSE: Duration = Duration::from_millis(100);
/// How often it is made sure that the pool leads to the server that takes writes.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// Connects to all servers at once, and keeps the first that takes writes. In turn, one that does not
/// answer would use up the time of those behind it.
///
/// # Errors
/// When none does within [`CONNECT_DEADLINE`].
pub(crate) async fn first_that_takes_writes(
    servers: impl Iterator<Item = ConnectOptions>,
) -> Result<DatabaseConnection, DbErr> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    let mut servers: FuturesUnordered<_> =
        servers.map(|options| connect_for_writes(options, deadline)).collect();
    let mut last = Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
    while let Some(result) = servers.next().await {
        match result {
            Ok(db) => return Ok(db),
            // What a server says tells more than that others do not answer.
            Err(DbErr::ConnectionAcquire(_)) => {}
            error => last = error,
        }
    }
    last
}

/// Asks a standby again until the deadline: it may be promoted any moment.
async fn connect_for_writes(
    options: ConnectOptions,
    deadline: Instant,
) -> Result<DatabaseConnection, DbErr> {
    // What is known when the time is up.
    let mut known = DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
    while Instant::now() < deadline {
        let attempt = async {
            let db = connect_server(options.clone()).await?;
            Ok::<_, DbErr>((is_writable(&db).await?, db))
        };
        match tokio::time::timeout_at(deadline.into(), attempt).await {
            Ok(Ok((true, db))) => return Ok(db),
            Ok(Ok((false, db))) => {
                tokio::spawn(db.close());
                let what = "the servers that answer take no writes: are they standbys?";
                known = DbErr::Conn(RuntimeErr::Internal(what.to_owned()));
                let left = deadline.saturating_duration_since(Instant::now());
                tokio::time::sleep(STANDBY_PAUSE.min(left)).await;
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => break,
        }
    }
    Err(known)
}

/// Opens a pool on the server that takes writes, whose sessions begin with these settings, and leads it to another one
/// when that does.
///
/// # Errors
/// When none does within [`CONNECT_DEADLINE`].
pub(crate) async fn pool(
    mut options: ConnectOptions,
    settings: Arc<str>,
    url: &DatabaseUrl,
) -> Result<DatabaseConnection, DbErr> {
    let guide = connect::guide(url).await?;
    // A server that has just been left may still be asked once.
    options.connect_lazy(true).map_sqlx_postgres_pool_opts(move |pool| {
        let settings = Arc::clone(&settings);
        pool.after_connect(move |connection, _| {
            let settings = Arc::clone(&settings);
            Box::pin(async move {
                begin_session(connection, settings).await?;
                if takes_writes(connection).await? {
                    return Ok(());
                }
                Err(sqlx::Error::Protocol("the server takes no writes".to_owned()))
            })
        })
    });
    let db = Database::connect(options).await?;
    lead(&db, &guide);
    tokio::spawn(follow(db.clone(), guide, url.clone()));
    Ok(db)
}

/// New connections of the pool go where the guide goes, under their own name.
fn lead(db: &DatabaseConnection, guide: &DatabaseConnection) {
    let options = guide.get_postgres_connection_pool().connect_options();
    let options = (*options).clone().application_name(SERVICE_NAME);
    db.get_postgres_connection_pool().set_connect_options(options);
}

/// Until the pool is closed.
async fn follow(db: DatabaseConnection, mut guide: DatabaseConnection, url: DatabaseUrl) {
    while !db.get_postgres_connection_pool().is_closed() {
        tokio::time::sleep(FOLLOW_PAUSE).await;
        let asked = tokio::time::timeout(CONNECT_DEADLINE, is_writable(&guide)).await;
        if matches!(asked, Ok(Ok(true))) {
            continue;
        }
        match connect::guide(&url).await {
            Ok(next) => {
                lead(&db, &next);
                tokio::spawn(std::mem::replace(&mut guide, next).close());
                tracing::warn!("reads follow the database to the server that takes writes now");
            }
            Err(error) => tracing::debug!(%error, "no server takes writes"),
        }
    }
    // It loses nothing if that fails.
    let _ = guide.close().await;
}

/// Has a pool ask a connection that it has not used for `trust`, and one of its connections after each
/// such time, whether it still leads to a server that takes writes. If not, the pool drops it and
/// connects anew, which a proxy or the server's name leads elsewhere by then.
///
/// A ping would not do: a demoted primary answers it, and what is read there is old.
pub(crate) fn drop_demoted(options: &mut ConnectOptions, trust: Duration) {
    let asked_at = Arc::new(Mutex::new(None::<Instant>));
    options.test_before_acquire(false);
    options.map_sqlx_postgres_before_acquire(move |connection, meta| {
        let asked_at = Arc::clone(&asked_at);
        let last = *asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_trusted = meta.idle_for < trust && last.is_some_and(|last| last.elapsed() < trust);
        Box::pin(async move {
            if is_trusted {
                return Ok(true);
            }
            let is_good = takes_writes(connection).await?;
            // Until one of them is good, all are asked.
            let now = is_good.then(Instant::now);
            *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
            Ok(is_good)
        })
    });
}

async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(TAKES_WRITES).fetch_one(connection).await
}
