//! What can go wrong in the database, and what that means for the caller.

use plg_core::decide::NotLocked;
use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// A failed operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or not in time. Nothing was written.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// Another transaction stood in the way. Nothing was written; trying again will help.
    #[error("transaction conflict: {0}")]
    Conflict(#[source] DbErr),
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
        matches!(self, Self::Conflict(_) | Self::MonthNotOpened { .. })
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
                    Meaning::Data => Self::Data(error),
                    Meaning::Other => Self::Database(error),
                }
            }
            _ => Self::Database(error),
        }
    }
}

enum Meaning {
    Unavailable,
    Conflict,
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

/// SQLSTATEs have five characters; SQLite's result codes are numbers (primary and extended).
fn meaning_of_code(code: &str) -> Meaning {
    match code {
        // Serialization failure, deadlock, lock timeout; SQLite: busy, busy snapshot.
        "40001" | "40P01" | "55P03" | "5" | "261" | "517" | "6" => Meaning::Conflict,
        // Statement deadline, too many connections, read-only (a demoted primary);
        // SQLite: read-only, I/O, full, cannot open.
        "57014" | "53300" | "25006" | "25P03" | "8" | "10" | "13" | "14" => Meaning::Unavailable,
        // SQLite: constraints, too big.
        "18" | "19" | "275" | "1299" | "1555" | "2067" => Meaning::Data,
        state if state.len() == 5 => match &state[..2] {
            "08" | "57" => Meaning::Unavailable,
            "22" | "23" => Meaning::Data,
            _ => Meaning::Other,
        },
        // SQLite's extended I/O errors are 10 plus a multiple of 256, cannot open 14.
        number => match number.parse::<u32>().map(|n| n % 256) {
            Ok(10 | 14) => Meaning::Unavailable,
            _ => Meaning::Other,
        },
    }
}
