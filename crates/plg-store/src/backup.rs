//! A copy of an embedded database, made beside those who write it.

use crate::connect::SQLITE_BUSY_DEADLINE;
use crate::url::DatabaseUrl;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _};
use std::path::{Path, PathBuf};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is on a server, or in memory.
    #[error(
        "{0} is no file: PostgreSQL has backups of its own (pg_basebackup, pg_dump), see \
         docs/OPERATIONS.md"
    )]
    NoFile(DatabaseUrl),
    /// The file does not exist.
    #[error("there is no database at {0}: say where it is, in DATABASE_URL")]
    Absent(DatabaseUrl),
    /// Its name cannot be said to SQLite.
    #[error("{0:?} is no UTF-8: choose another name")]
    Name(PathBuf),
    /// SQLite cannot read the database, or not write the copy.
    #[error("cannot copy {url} to {file:?}: {cause}")]
    Failed {
        /// The database.
        url: DatabaseUrl,
        /// The copy.
        file: PathBuf,
        /// What SQLite says.
        cause: sqlx::Error,
    },
    /// The copy is not what it should be.
    #[error("the copy of {url} is damaged: {cause}")]
    Damaged {
        /// The database.
        url: DatabaseUrl,
        /// What SQLite says.
        cause: String,
    },
}

/// Copies a database, as it is at one moment, into a file that does not exist yet, and reads the copy through. SQLite's
/// own online backup begins anew whenever somebody writes, and beside some traffic never ends.
///
/// # Errors
/// Says what cannot be read or written. What there is of the copy is no good then.
pub async fn copy(url: &DatabaseUrl, file: &Path) -> Result<(), BackupError> {
    let database = url.file().ok_or_else(|| BackupError::NoFile(url.clone()))?;
    let name = file.to_str().ok_or_else(|| BackupError::Name(file.to_owned()))?;
    if !database.is_file() {
        return Err(BackupError::Absent(url.clone()));
    }
    let failed = |cause| BackupError::Failed { url: url.clone(), file: file.to_owned(), cause };
    let options = SqliteConnectOptions::new().busy_timeout(SQLITE_BUSY_DEADLINE);
    let mut source = options.clone().filename(database).connect().await.map_err(failed)?;
    let copied = sqlx::query("vacuum into ?").bind(name).execute(&mut source).await;
    source.close().await.map_err(failed)?;
    copied.map_err(failed)?;
    let mut copy = options.filename(file).read_only(true).connect().await.map_err(failed)?;
    let found: String =
        sqlx::query_scalar("pragma quick_check(1)").fetch_one(&mut copy).await.map_err(failed)?;
    copy.close().await.map_err(failed)?;
    if found == "ok" {
        Ok(())
    } else {
        Err(BackupError::Damaged { url: url.clone(), cause: found })
    }
}
