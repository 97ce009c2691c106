//! The way to the database for everything that is recorded: lanes with bounded queues.
//!
//! A hotel's commands always go to the same lane, so they keep their order and meet no other lane's
//! locks. A lane takes whatever is waiting into one transaction (group commit): batches grow with
//! the load, and a lone request waits for nobody. Nothing is answered before its commit.

mod lane;
mod packing;
mod ticket;

use crate::admission::{Admission, Bounds, Place};
use crate::desk::Reply;
use crate::metrics::Metrics;
use futures_util::FutureExt as _;
use lane::Lane;
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use plg_service::SharedClock;
use plg_service::settings::WriterSettings;
use plg_store::{DatabaseUrl, StoreError, checkpoint};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ticket::{Claim, Ticket};
use tokio::sync::{mpsc, oneshot};
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

/// Commands of one request for one lane, in order.
struct Job {
    commands: Vec<Command>,
    reply: Reply<Vec<WriteResult>>,
    claim: Claim,
    /// Given free with the job.
    place: Place,
}

/// What becomes a job: commands of one lane, with their places in the request.
struct Part {
    lane: usize,
    hotels: usize,
    commands: Vec<(usize, Command)>,
}

/// What every lane needs to know.
struct Shared {
    url: DatabaseUrl,
    metrics: Arc<Metrics>,
    plans: Arc<Plans>,
    clock: SharedClock,
    batch: usize,
    hotels_per_transaction: usize,
    remembered_hotels: usize,
}

struct Entrance {
    jobs: mpsc::UnboundedSender<Job>,
    admission: Arc<Admission>,
}

/// The entrance to the lanes.
pub(crate) struct Writer {
    entrances: Vec<Entrance>,
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
        let shared = Arc::new(Shared {
            url: url.clone(),
            metrics,
            plans,
            clock,
            batch: settings.batch,
            hotels_per_transaction: match settings.hotels_per_transaction {
                0 => usize::MAX,
                n => n,
            },
            remembered_hotels: settings.remembered_hotels,
        });
        let bounds = Bounds {
            max_wait: Duration::from_millis(settings.max_wait_ms),
            most: settings.queue,
            always: settings.batch,
        };
        // SQLite has one writer at a time: a second lane would only wait for the first.
        let lanes = if url.is_embedded() { 1 } else { settings.lanes };
        let mut entrances = Vec::with_capacity(lanes);
        let mut tasks = Vec::with_capacity(lanes);
        // Ends when the last lane does.
        let (at_work, ended) = oneshot::channel::<()>();
        let at_work = Arc::new(at_work);
        for _ in 0..lanes {
            let (jobs, queue) = mpsc::unbounded_channel();
            let admission = Admission::new(bounds);
            let lane = Lane::new(Arc::clone(&shared), queue, Arc::clone(&admission));
            entrances.push(Entrance { jobs, admission });
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
        let hotels_per_job = shared.hotels_per_transaction;
        let writer = Self { entrances, hotels_per_job, hasher: BuildHasherDefault::default() };
        (writer, Lanes(Mutex::new(tasks)))
    }

    /// How many lanes there are.
    #[must_use]
    pub(crate) const fn lanes(&self) -> usize {
        self.entrances.len()
    }

    /// How many of them work.
    #[must_use]
    pub(crate) fn lanes_alive(&self) -> usize {
        self.entrances.iter().filter(|entrance| !entrance.jobs.is_closed()).count()
    }

    /// Events that wait in each lane, or are being recorded.
    pub(crate) fn queued(&self) -> impl Iterator<Item = usize> {
        self.entrances.iter().map(|entrance| entrance.admission.waiting())
    }

    /// Events that may wait in each lane now.
    pub(crate) fn queue_limits(&self) -> impl Iterator<Item = usize> {
        self.entrances.iter().map(|entrance| entrance.admission.limit())
    }

    /// Records one command.
    ///
    /// # Errors
    /// When it was not recorded, or is not known to be.
    pub(crate) async fn record(&self, command: Command) -> WriteResult {
        let lane = self.lane_of(command.hotel_id());
        let results = self.enqueue(lane, vec![command])?.results().await;
        results.into_iter().next().unwrap_or(Err(WriteError::ShuttingDown))
    }

    /// Records many commands, in order for each hotel. One result for each, in their order.
    pub(crate) async fn record_all(&self, commands: Vec<Command>) -> Vec<WriteResult> {
        let mut results: Vec<Option<WriteResult>> = commands.iter().map(|_| None).collect();
        let mut waiting = Vec::new();
        for part in self.split(commands) {
            let (places, commands): (Vec<usize>, Vec<Command>) = part.commands.into_iter().unzip();
            match self.enqueue(part.lane, commands) {
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

    /// Splits commands by lane, and where transactions are limited to some hotels, by those.
    fn split(&self, commands: Vec<Command>) -> Vec<Part> {
        let mut by_hotel: BTreeMap<HotelId, Vec<(usize, Command)>> = BTreeMap::new();
        for (place, command) in commands.into_iter().enumerate() {
            by_hotel.entry(command.hotel_id()).or_default().push((place, command));
        }
        let mut parts: Vec<Part> = Vec::new();
        for (hotel_id, commands) in by_hotel {
            let lane = self.lane_of(hotel_id);
            let has_room =
                |part: &&mut Part| part.lane == lane && part.hotels < self.hotels_per_job;
            match parts.iter_mut().rev().find(has_room) {
                Some(part) => {
                    part.hotels += 1;
                    part.commands.extend(commands);
                }
                None => parts.push(Part { lane, hotels: 1, commands }),
            }
        }
        parts
    }

    fn lane_of(&self, hotel_id: HotelId) -> usize {
        let lanes = u64::try_from(self.entrances.len()).unwrap_or(1);
        usize::try_from(self.hasher.hash_one(hotel_id) % lanes).unwrap_or(0)
    }

    fn enqueue(&self, lane: usize, commands: Vec<Command>) -> Result<Ticket, WriteError> {
        let entrance = &self.entrances[lane];
        let place = entrance.admission.admit(commands.len()).ok_or(WriteError::Overloaded)?;
        let (ticket, reply, claim) = Ticket::new(commands.len());
        let job = Job { commands, reply, claim, place };
        entrance.jobs.send(job).map_err(|_| WriteError::ShuttingDown)?;
        Ok(ticket)
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
