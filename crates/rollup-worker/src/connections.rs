//! Opening the database, and saying clearly why it cannot be used.

use futures_util::future::join_all;
use migrations::SchemaState;
use plg_store::DatabaseUrl;
use plg_store::connect::{self, CONNECT_DEADLINE, Planning, single_for_long_statements};
use sea_orm::{DatabaseConnection, DbErr};
use std::time::Duration;
use tokio::time::timeout;

/// How long PostgreSQL may work on one statement that writes a chunk.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(60);
/// How long to wait for connections to be closed properly.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// The connections of a run: it searches, counts and writes at once.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Looks through whole tables for what is to be done, or forgotten. Its statements last as long as the run may
    /// need.
    pub(crate) search: DatabaseConnection,
    /// Count the events of what was found, by its keys. A single hotel-month may have any number of them.
    pub(crate) count: [DatabaseConnection; 2],
    /// Writes what was found, by its keys.
    pub(crate) work: DatabaseConnection,
}

/// Why the database cannot be used. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The SQLite file does not exist.
    #[error("there is no database at {0}: ingest-api or `migrate up` creates it")]
    Absent(DatabaseUrl),
    /// No answer in time. The pool keeps it to itself when nobody listens at the address.
    #[error(
        "cannot reach the database at {0} within {seconds} s: does it run, is the address right?",
        seconds = CONNECT_DEADLINE.as_secs()
    )]
    Silent(DatabaseUrl),
    /// There is an answer, or an operating system, that says why not.
    #[error("cannot open the database at {url}: {cause}")]
    Refused {
        /// Where it should be.
        url: DatabaseUrl,
        /// What is known about the reason.
        cause: String,
    },
    /// Its schema is older than this program.
    #[error("{url} lacks {pending} of its migrations: run `migrate up` on it (see DATABASE_URL)")]
    Behind {
        /// Which database.
        url: DatabaseUrl,
        /// How many migrations.
        pending: usize,
    },
    /// It answers, but its schema cannot be read.
    #[error("cannot read the schema of {url}: {cause}")]
    Unreadable {
        /// Which database.
        url: DatabaseUrl,
        /// What the database says.
        cause: String,
    },
}

impl Connections {
    /// Opens a database that exists and has its schema.
    ///
    /// # Errors
    /// Says why it cannot be used.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        if url.file().is_some_and(|file| !file.exists()) {
            return Err(OpenError::Absent(url.clone()));
        }
        let open = async |deadline, planning| {
            let opened = single_for_long_statements(url, deadline, planning).await;
            opened.map_err(|error| not_opened(url, &error))
        };
        // One after the other: the first one to open a new SQLite file turns its WAL on, alone.
        let work = open(Some(STATEMENT_DEADLINE), Planning::Keyed).await?;
        let counting = async || open(None, Planning::Keyed).await;
        let count = [counting().await?, counting().await?];
        let search = open(None, Planning::Fresh).await?;
        match migrations::schema_state(&work).await {
            Ok(SchemaState::Current) => Ok(Self { search, count, work }),
            Ok(SchemaState::Behind(pending)) => {
                Err(OpenError::Behind { url: url.clone(), pending: pending.len() })
            }
            Err(error) => {
                Err(OpenError::Unreadable { url: url.clone(), cause: connect::reason(&error) })
            }
        }
    }

    /// Closes them. A search that was given up may have much left to say; nobody waits for it.
    pub async fn close(self) {
        let all = [self.search, self.work].into_iter().chain(self.count);
        let all = join_all(all.map(DatabaseConnection::close));
        // What fails here was of no use any more.
        let _ = timeout(CLOSE_DEADLINE, all).await;
    }
}

fn not_opened(url: &DatabaseUrl, error: &DbErr) -> OpenError {
    if connect::is_silence(error) {
        return OpenError::Silent(url.clone());
    }
    OpenError::Refused { url: url.clone(), cause: connect::reason(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plg_testkit::{Backend, TestDatabase, ledger};

    /// Whoever waits for a count knows how many events there are, and how long that may take.
    #[tokio::test]
    async fn counting_has_no_deadline_in_the_database() {
        let database = TestDatabase::new(Backend::Postgres).await;
        let db = Connections::open(&database.url().parse().unwrap()).await.unwrap();
        let deadline = "select cast(setting as bigint) as n from pg_settings \
                        where name = 'statement_timeout'";
        let [first, second] = &db.count;
        for (connection, expected) in [(first, 0), (second, 0), (&db.work, 60_000)] {
            assert_eq!(ledger::number(connection, deadline).await, expected);
        }
    }
}
