//! The way to the database for everything that is recorded: a bounded queue, and lanes.
//!
//! A lane takes whatever is waiting into one transaction (group commit): batches grow with the load, and a lone request
//! waits for nobody. Nothing is answered before its commit. Where a transaction is limited to some hotels, as on Citus,
//! much less waits than is allowed to go together, so each lane has a queue, and hotels, of its own.

mod lane;
mod overhead;
mod packing;
mod queue;
mod ticket;

use crate::admission::{Admission, Bounds, Place};
use crate::desk::Reply;
use crate::metrics::Metrics;
use futures_util::FutureExt as _;
use lane::Lane;
use packing::Limits;
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use plg_service::SharedClock;
use plg_service::settings::WriterSettings;
use plg_store::{DatabaseUrl, HotelMemory, StoreError, checkpoint};
use queue::Queue;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ticket::{Claim, Ticket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Why a command was not recorded, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store says why. Nothing was recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database is not there. Nothing was recorded.
    #[error("database unavailable")]
    Unavailable,
    /// Another transaction keeps the hotel locked. Nothing was recorded.
    #[error("the hotel is locked by another transaction")]
    HotelLocked,
    /// Too many wait for the lane, or it is too slow. Nothing was recorded.
    #[error("queue full")]
    Overloaded,
    /// The database did not say in time whether it was recorded.
    #[error("outcome unknown")]
    OutcomeUnknown,
    /// The lanes have stopped. Nothing was recorded.
    #[error("shutting down")]
    ShuttingDown,
}

impl WriteError {
    /// What is said of another command that fails with this one. The cause has been logged.
    const fn of_another(&self) -> Self {
        match self {
            Self::Store(_) | Self::Unavailable => Self::Unavailable,
            Self::HotelLocked => Self::HotelLocked,
            Self::Overloaded => Self::Overloaded,
            Self::OutcomeUnknown => Self::OutcomeUnknown,
            Self::ShuttingDown => Self::ShuttingDown,
        }
    }
}

/// What became of one command.
pub(crate) type WriteResult = Result<Answer, WriteError>;

/// Commands of one request for one queue, in order.
struct Job {
    commands: Vec<Command>,
    reply: Reply<Vec<WriteResult>>,
    claim: Claim,
    /// Given free with the job.
    place: Place,
}

/// What becomes a job: commands of one queue, with their places in the request.
struct Part {
    queue: usize,
    hotels: usize,
    commands: Vec<(usize, Command)>,
}

/// What every lane needs to know.
struct Shared {
    url: DatabaseUrl,
    metrics: Arc<Metrics>,
    plans: Arc<Plans>,
    clock: SharedClock,
    memory: Arc<HotelMemory>,
}

/// The entrance to the lanes.
pub(crate) struct Writer {
    queues: Vec<Arc<Queue>>,
    lanes: usize,
    hotels_per_job: usize,
    hasher: BuildHasherDefault<DefaultHasher>,
}

/// The lanes at work, to wait for at the end.
pub(crate) struct Lanes(Mutex<Vec<JoinHandle<()>>>);

impl Writer {
    /// Starts the lanes on the current runtime. They stop when the writer is dropped, after they
    /// have answered everything in their queues.
    #[must_use]
    pub(crate) fn start(
        settings: &WriterSettings,
        url: &DatabaseUrl,
        plans: Arc<Plans>,
        clock: SharedClock,
        metrics: Arc<Metrics>,
    ) -> (Self, Lanes) {
        let memory = Arc::new(HotelMemory::of_at_most(settings.remembered_hotels));
        let shared = Arc::new(Shared { url: url.clone(), metrics, plans, clock, memory });
        // SQLite has one writer at a time: a second lane would only wait for the first.
        let lanes = if url.is_embedded() { 1 } else { settings.lanes };
        let (hotels, queues) = match settings.hotels_per_transaction {
            0 => (usize::MAX, 1),
            hotels => (hotels, lanes),
        };
        let bounds = Bounds {
            max_wait: Duration::from_millis(settings.max_wait_ms),
            most: settings.queue * (lanes / queues),
            always: settings.batch,
        };
        let limits = Limits { commands: settings.batch, hotels };
        let queues: Vec<_> =
            (0..queues).map(|_| Queue::new(Admission::new(bounds), limits)).collect();
        let mut tasks = Vec::with_capacity(lanes);
        // Ends when the last lane does.
        let (at_work, ended) = oneshot::channel::<()>();
        let at_work = Arc::new(at_work);
        for queue in queues.iter().cycle().take(lanes) {
            let lane = Lane::new(Arc::clone(&shared), Arc::clone(queue));
            let at_work = Arc::clone(&at_work);
            tasks.push(tokio::spawn(async move {
                lane.run().await;
                drop(at_work);
            }));
        }
        drop(at_work);
        if url.is_embedded() {
            let url = url.clone();
            let end = ended.map(drop);
            tasks.push(tokio::spawn(async move { checkpoint::keep_log_short(&url, end).await }));
        }
        let hasher = BuildHasherDefault::default();
        (Self { queues, lanes, hotels_per_job: hotels, hasher }, Lanes(Mutex::new(tasks)))
    }

    /// How many lanes there should be.
    #[must_use]
    pub(crate) const fn lanes(&self) -> usize {
        self.lanes
    }

    /// How many of them work.
    #[must_use]
    pub(crate) fn lanes_alive(&self) -> usize {
        self.queues.iter().map(|queue| queue.lanes()).sum()
    }

    /// Events that wait in each queue, or are being recorded.
    pub(crate) fn queued(&self) -> impl Iterator<Item = usize> {
        self.queues.iter().map(|queue| queue.admission().waiting())
    }

    /// Events that may wait in each queue now.
    pub(crate) fn queue_limits(&self) -> impl Iterator<Item = usize> {
        self.queues.iter().map(|queue| queue.admission().limit())
    }

    /// Records one command.
    ///
    /// # Errors
    /// When it was not recorded, or is not known to be.
    pub(crate) async fn record(&self, command: Command) -> WriteResult {
        let queue = self.queue_of(command.hotel_id());
        let results = self.enqueue(queue, vec![command])?.results().await;
        results.into_iter().next().unwrap_or(Err(WriteError::ShuttingDown))
    }

    /// Records many commands, in order for each hotel. One result for each, in their order.
    pub(crate) async fn record_all(&self, commands: Vec<Command>) -> Vec<WriteResult> {
        let mut results: Vec<Option<WriteResult>> = commands.iter().map(|_| None).collect();
        let mut waiting = Vec::new();
        for part in self.split(commands) {
            let (places, commands): (Vec<usize>, Vec<Command>) = part.commands.into_iter().unzip();
            match self.enqueue(part.queue, commands) {
                Ok(ticket) => waiting.push((places, ticket)),
                Err(error) => {
                    for place in places {
                        results[place] = Some(Err(error.of_another()));
                    }
                }
            }
        }
        for (places, ticket) in waiting {
            for (place, result) in places.into_iter().zip(ticket.results().await) {
                results[place] = Some(result);
            }
        }
        let unanswered = || Err(WriteError::ShuttingDown);
        results.into_iter().map(|result| result.unwrap_or_else(unanswered)).collect()
    }

    /// Splits commands by queue, and where transactions are limited to some hotels, by those.
    fn split(&self, commands: Vec<Command>) -> Vec<Part> {
        let mut by_hotel: BTreeMap<HotelId, Vec<(usize, Command)>> = BTreeMap::new();
        for (place, command) in commands.into_iter().enumerate() {
            by_hotel.entry(command.hotel_id()).or_default().push((place, command));
        }
        let mut parts: Vec<Part> = Vec::new();
        for (hotel_id, commands) in by_hotel {
            let queue = self.queue_of(hotel_id);
            let has_room =
                |part: &&mut Part| part.queue == queue && part.hotels < self.hotels_per_job;
            match parts.iter_mut().rev().find(has_room) {
                Some(part) => {
                    part.hotels += 1;
                    part.commands.extend(commands);
                }
                None => parts.push(Part { queue, hotels: 1, commands }),
            }
        }
        parts
    }

    fn queue_of(&self, hotel_id: HotelId) -> usize {
        let queues = u64::try_from(self.queues.len()).unwrap_or(1);
        usize::try_from(self.hasher.hash_one(hotel_id) % queues).unwrap_or(0)
    }

    fn enqueue(&self, queue: usize, commands: Vec<Command>) -> Result<Ticket, WriteError> {
        let queue = &self.queues[queue];
        let place = queue.admission().admit(commands.len()).ok_or(WriteError::Overloaded)?;
        let (ticket, reply, claim) = Ticket::new(commands.len());
        queue.push(Job { commands, reply, claim, place })?;
        Ok(ticket)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.close();
        }
    }
}

impl Lanes {
    /// Waits until the lanes have answered everything. The writer has to be dropped for that.
    pub(crate) async fn finished(&self) {
        let tasks = self.0.lock().map(|mut tasks| std::mem::take(&mut *tasks)).unwrap_or_default();
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a writer lane died");
            }
        }
    }
}

#[cfg(test)]
impl Job {
    /// Of one command for each hotel, by its number. Nobody waits for it.
    fn named(name: &str, hotels: &[u128]) -> Self {
        use plg_core::event::NewEvent;
        use plg_core::ids::{EventId, UserId};
        use uuid::Uuid;

        let command = |hotel: &u128| {
            let event = NewEvent {
                event_type: plg_core::catalogue::EventType::UpgradeClick,
                hotel_id: HotelId(Uuid::from_u128(*hotel)),
                user_id: UserId(Uuid::nil()),
                session_id: None,
                event_id: Some(EventId::parse(name).unwrap()),
                dedup_key: None,
                event_data: None,
            };
            Command::try_from(event).unwrap()
        };
        Self {
            commands: hotels.iter().map(command).collect(),
            reply: Reply::here().0,
            claim: Claim::default(),
            place: Admission::of(1, 1, 1).admit(0).unwrap(),
        }
    }

    fn name(&self) -> String {
        self.commands[0].event().event_id.as_ref().unwrap().to_string()
    }
}
