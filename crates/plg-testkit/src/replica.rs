//! A writer as every replica of the service has one: it keeps a connection, and does what the store
//! asks for when the database does not answer in time.

use crate::{TestDatabase, citus};
use chrono::{DateTime, Utc};
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_core::plan::Plans;
use plg_store::commit::{CommitError, Written, was_committed};
use plg_store::connect::{self, Planning};
use plg_store::{DatabaseUrl, HotelMemory, Recorder, StoreError};
use sea_orm::DatabaseConnection;
use std::sync::Arc;

/// How often a batch is sent. On a machine with too much to do, SQLite's writers wait for each other
/// longer than a request may take, but not for ever.
const ATTEMPTS: u32 = 50;

/// Records in the process of the test.
pub struct Replica {
    url: DatabaseUrl,
    plans: Arc<Plans>,
    memory: Arc<HotelMemory>,
    connection: DatabaseConnection,
    recorder: Recorder,
}

impl Replica {
    /// Connects.
    ///
    /// # Panics
    /// Without a database.
    pub async fn new(database: &TestDatabase) -> Self {
        let settings = database.settings();
        let url = settings.database.url;
        let memory = Arc::new(HotelMemory::of_at_most(settings.writer.remembered_hotels));
        let plans = Arc::new(settings.plans);
        let (connection, recorder) = open(&url, &plans, &memory).await.expect("connects");
        Self { url, plans, memory, connection, recorder }
    }

    /// Records a batch. If the database was too slow, nothing was written, and it is sent again.
    ///
    /// # Panics
    /// When the database refuses, or is too slow for ever.
    pub async fn record(&mut self, now: DateTime<Utc>, commands: &[Command]) -> Vec<Answer> {
        for _ in 0..ATTEMPTS {
            match self.try_record(now, commands).await {
                Ok(answers) => return answers,
                Err(CommitError::Failed(
                    StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::Locked(_),
                )) => self.reconnect().await,
                Err(CommitError::Failed(error)) => panic!("refused: {error}"),
                Err(CommitError::Unknown { written, .. }) => {
                    if self.find_out(&written).await {
                        return written.answers;
                    }
                }
            }
        }
        panic!("not recorded within {ATTEMPTS} attempts");
    }

    async fn try_record(
        &mut self,
        now: DateTime<Utc>,
        commands: &[Command],
    ) -> Result<Vec<Answer>, CommitError> {
        if citus::is_wanted() {
            citus::record(&self.connection, &self.plans, now, commands).await
        } else {
            self.recorder.record(|| now, commands).await
        }
    }

    async fn find_out(&mut self, written: &Written) -> bool {
        for _ in 0..ATTEMPTS {
            self.reconnect().await;
            if let Ok(committed) = was_committed(&self.connection, written).await {
                return committed;
            }
        }
        panic!("the outcome is still unknown after {ATTEMPTS} attempts");
    }

    async fn reconnect(&mut self) {
        for _ in 0..ATTEMPTS {
            if let Ok(opened) = open(&self.url, &self.plans, &self.memory).await {
                (self.connection, self.recorder) = opened;
                return;
            }
        }
        panic!("not connected within {ATTEMPTS} attempts");
    }
}

async fn open(
    url: &DatabaseUrl,
    plans: &Arc<Plans>,
    memory: &Arc<HotelMemory>,
) -> Result<(DatabaseConnection, Recorder), StoreError> {
    let connection = connect::single(url, Planning::Keyed).await?;
    let recorder = Recorder::new(connection.clone(), Arc::clone(plans), Arc::clone(memory)).await?;
    Ok((connection, recorder))
}
