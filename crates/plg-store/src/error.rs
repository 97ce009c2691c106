//! What can go wrong in the database, and what that means for the caller.

use plg_core::decide::NotLocked;
use sea_orm::sqlx::postgres::{PgDatabaseError, PgSeverity};
use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// A failed operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or not in time. Nothing was written, unless it is the cause of a
    /// [`CommitError::Unknown`](crate::CommitError::Unknown).
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// Another transaction stood in the way. Nothing was written; trying again will help.
    #[error("transaction conflict: {0}")]
    Conflict(#[source] DbErr),
    /// Another transaction keeps what this one needs. Nothing was written; trying again will help when that one has
    /// ended.
    #[error("kept by another transaction: {0}")]
    Locked(#[source] DbErr),
    /// The database refuses the data. Nothing was written; trying again will not help.
    #[error("the database refuses the data: {0}")]
    Data(#[source] DbErr),
    /// A stored value cannot be understood.
    #[error("stored {what} cannot be read: {value}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// As it is stored.
        value: String,
    },
    /// The hotels of a batch could not be locked in their open month.
    #[error("could not open the hotels' month within {attempts} attempts")]
    MonthNotOpened {
        /// How often it was tried.
        attempts: u32,
    },
    /// A mistake in this program.
    #[error(transparent)]
    NotLocked(#[from] NotLocked),
    /// Anything else.
    #[error("database error: {0}")]
    Database(#[source] DbErr),
}

impl StoreError {
    /// Whether doing the whole transaction again may succeed where this one did not.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Locked(_) | Self::MonthNotOpened { .. })
    }

    pub(crate) fn corrupt(what: &'static str, value: impl Into<String>) -> Self {
        Self::Corrupt { what, value: value.into() }
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(error.to_string()),
            DbErr::Exec(RuntimeErr::SqlxError(e)) | DbErr::Query(RuntimeErr::SqlxError(e)) => {
                match meaning(e) {
                    Meaning::Unavailable => Self::Unavailable(error.to_string()),
                    Meaning::Conflict => Self::Conflict(error),
                    Meaning::Locked => Self::Locked(error),
                    Meaning::Data => Self::Data(error),
                    Meaning::Other => Self::Database(error),
                }
            }
            _ => Self::Database(error),
        }
    }
}

/// Whether PostgreSQL has answered that it does not do it, and so has not: whoever is shut out at the end of a COMMIT is
/// told of something fatal. An error of class 08 is a pooler's that has lost the server.
pub(crate) fn is_refusal(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    let SqlxError::Database(error) = &**error else { return false };
    let error = error.try_downcast_ref::<PgDatabaseError>();
    let is_refusal = |error: &PgDatabaseError| {
        error.severity() == PgSeverity::Error && !error.code().starts_with("08")
    };
    error.is_some_and(is_refusal)
}

enum Meaning {
    Unavailable,
    Conflict,
    Locked,
    Data,
    Other,
}

fn meaning(error: &SqlxError) -> Meaning {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => Meaning::Unavailable,
        SqlxError::Database(e) => e.code().map_or(Meaning::Other, |code| meaning_of_code(&code)),
        _ => Meaning::Other,
    }
}

/// SQLSTATEs have five characters; SQLite's extended result codes are shorter numbers.
fn meaning_of_code(code: &str) -> Meaning {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => meaning_of_result(number),
        _ => meaning_of_state(code),
    }
}

fn meaning_of_state(state: &str) -> Meaning {
    match state {
        // Serialization failure, deadlock.
        "40001" | "40P01" => Meaning::Conflict,
        // Lock timeout.
        "55P03" => Meaning::Locked,
        // Read-only (a demoted primary), idle in a transaction for too long.
        "25006" | "25P03" => Meaning::Unavailable,
        _ => match state.get(..2) {
            // Connections, resources, the operator (and the statement deadline), the system.
            Some("08" | "53" | "57" | "58") => Meaning::Unavailable,
            Some("22" | "23") => Meaning::Data,
            _ => Meaning::Other,
        },
    }
}

const fn meaning_of_result(code: u32) -> Meaning {
    // An extended code is its primary one plus a multiple of this.
    match code % 256 {
        // Busy, locked.
        5 | 6 => Meaning::Conflict,
        // Read-only, I/O, full, cannot open.
        8 | 10 | 13 | 14 => Meaning::Unavailable,
        // Too big, constraints.
        18 | 19 => Meaning::Data,
        _ => Meaning::Other,
    }
}
