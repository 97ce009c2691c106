//! SQLite's write-ahead log, copied to the database beside who writes.
//!
//! SQLite has the connection that writes copy the log when it has become long, which stands still meanwhile and waits
//! for the disk. Here another one copies most of it before.

use crate::connect::{self, Planning, SQLITE_LOG_PAGES};
use crate::error::StoreError;
use crate::url::DatabaseUrl;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::sleep;

/// How often the log is looked at. The fastest writer adds a tenth of it meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
/// While nobody writes.
const PAUSE_AT_REST: Duration = Duration::from_millis(250);
/// After a failure.
const PAUSE_FOR_BETTER_TIMES: Duration = Duration::from_secs(10);
/// A shorter log is left alone: a page that is written again has to be copied once only.
const LONG: i64 = SQLITE_LOG_PAGES / 2;
/// So few pages are left to who writes.
const FEW: i64 = 1_024;

/// Copies the log of an embedded database whenever it is long, until the end. A failure costs time and nothing else: who
/// writes copies what is left.
pub async fn keep_log_short(url: &DatabaseUrl, end: impl Future<Output = ()>) {
    let mut end = pin!(end);
    loop {
        match watch(url, end.as_mut()).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, "the log of SQLite is copied by the connection that writes");
            }
        }
        tokio::select! {
            () = end.as_mut() => return,
            () = sleep(PAUSE_FOR_BETTER_TIMES) => {}
        }
    }
}

async fn watch(
    url: &DatabaseUrl,
    mut end: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), StoreError> {
    let db = connect::single(url, Planning::Fresh).await?;
    let mut before = 0;
    loop {
        let left = copy_long_log(&db).await?;
        let pause = if left == before { PAUSE_AT_REST } else { PAUSE };
        before = left;
        tokio::select! {
            () = end.as_mut() => {
                // The last connection to be closed removes the log; a failure loses nothing.
                let _ = db.close().await;
                return Ok(());
            }
            () = sleep(pause) => {}
        }
    }
}

/// Copies the log if it is long; waits for nobody. Says how many pages are left to copy.
///
/// # Errors
/// When the database cannot be used.
pub async fn copy_long_log(db: &DatabaseConnection) -> Result<i64, StoreError> {
    let mut log = checkpoint(db, "noop").await?;
    if log.written >= LONG && log.left() >= FEW {
        log = checkpoint(db, "passive").await?;
    }
    Ok(log.left())
}

/// Pages of the log.
struct Log {
    written: i64,
    copied: i64,
}

impl Log {
    const fn left(&self) -> i64 {
        self.written - self.copied
    }
}

async fn checkpoint(db: &DatabaseConnection, mode: &str) -> Result<Log, DbErr> {
    let sql = format!("pragma wal_checkpoint({mode})");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row =
        row.ok_or_else(|| DbErr::RecordNotFound("SQLite says nothing of its log".to_owned()))?;
    // Behind whether somebody else is copying it.
    Ok(Log { written: row.try_get_by_index(1)?, copied: row.try_get_by_index(2)? })
}
