//! The way to the database for everything that is read, and for rare writes (hotels).

mod usage;

use crate::problem::{Code, Problem};
use crate::writer::WriteError;
use plg_core::ids::HotelId;
use plg_service::SharedClock;
use plg_store::StoreError;
use plg_store::clock::{self, Comparison};
use plg_store::usage::Current;
use sea_orm::{DatabaseConnection, DbBackend};
use std::time::Duration;
use tokio::runtime::Handle;
use usage::UsageReader;

/// How long a read may take.
const READ_DEADLINE: Duration = Duration::from_millis(2_500);

/// A pool, and the runtime that its connections belong to: HTTP threads have runtimes of their own,
/// which end before the pool does.
#[derive(Clone)]
pub(crate) struct Reader {
    db: DatabaseConnection,
    runtime: Handle,
    usage: UsageReader,
    clock: SharedClock,
}

impl Reader {
    /// Reads on the current runtime.
    #[must_use]
    pub(crate) fn new(db: DatabaseConnection, clock: SharedClock) -> Self {
        let runtime = Handle::current();
        let usage = UsageReader::start(db.clone(), &runtime);
        Self { db, runtime, usage, clock }
    }

    /// A hotel's profile and its open month, as they are now.
    ///
    /// # Errors
    /// When the database does not play along, or not in time, or too many wait.
    pub(crate) async fn usage(&self, hotel_id: HotelId) -> Result<Current, Problem> {
        self.usage.read(hotel_id).await
    }

    /// The service's clock.
    #[must_use]
    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }

    /// The service's clock beside the database's, where that has one of its own.
    ///
    /// # Errors
    /// When the database does not play along, or not in time.
    pub(crate) async fn compare_clocks(&self) -> Result<Option<Comparison>, Problem> {
        let clock = SharedClock::clone(&self.clock);
        let compare = |db| async move { Ok(clock::compare(&db, || clock.now()).await?) };
        self.read(compare).await
    }

    /// Connections of the pool: open, and of those idle.
    #[must_use]
    pub(crate) fn connections(&self) -> (usize, usize) {
        let (open, idle) = match self.db.get_database_backend() {
            DbBackend::Postgres => {
                let pool = self.db.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            _ => {
                let pool = self.db.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        (usize::try_from(open).unwrap_or(usize::MAX), idle)
    }

    /// Closes the pool, for everybody. The last connection to an embedded database that is closed copies its log and
    /// removes it.
    pub(crate) async fn close(self) {
        // What still reads has a deadline, too.
        let _ = tokio::time::timeout(READ_DEADLINE, self.db.close()).await;
    }

    /// Runs some reads.
    ///
    /// # Errors
    /// When the database does not play along, or not in time.
    pub(crate) async fn read<T, F, W>(&self, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        W: FnOnce(DatabaseConnection) -> F,
    {
        Ok(self.work(work).await??)
    }

    /// Changes something for which no event is recorded. Whoever does not hear of the outcome may do it again.
    ///
    /// # Errors
    /// When the database cannot be written, does not answer in time, or refuses.
    pub(crate) async fn change<T, F, W>(&self, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        W: FnOnce(DatabaseConnection) -> F,
    {
        self.work(work).await?.map_err(|error| match error {
            StoreError::Unavailable(cause) => {
                tracing::warn!(%cause, "database lost while something was changed");
                WriteError::OutcomeUnknown.into()
            }
            error => error.into(),
        })
    }

    async fn work<T, F, W>(&self, work: W) -> Result<Result<T, StoreError>, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        W: FnOnce(DatabaseConnection) -> F,
    {
        let work = tokio::time::timeout(READ_DEADLINE, work(self.db.clone()));
        match self.runtime.spawn(work).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Ok(Err(StoreError::Unavailable("no answer in time".to_owned()))),
            Err(error) => {
                tracing::error!(%error, "a read died");
                Err(Problem::new(Code::Internal, "the cause is in the service's log"))
            }
        }
    }
}
