//! What the service counts about itself. No label names a hotel, a user or a key: the number of series
//! is bounded by the API.

pub(crate) mod exporter;
mod rollups;

use plg_core::decide::Answer;
use plg_store::Supposition;
use plg_store::commit::CommitError;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use rollups::RollupMetrics;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// A request, as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    #[prometheus(flatten)]
    pub(crate) asked: RouteLabels,
    pub(crate) status: u16,
    /// The code of the problem; empty where there was none.
    pub(crate) code: &'static str,
}

/// What it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    pub(crate) method: &'static str,
    pub(crate) route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event_type: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BatchLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    state: &'static str,
}

/// How a transaction of a lane ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BatchOutcome {
    Committed,
    Failed,
    Unknown,
}

impl BatchOutcome {
    const ALL: [Self; 3] = [Self::Committed, Self::Failed, Self::Unknown];

    /// What became of the transaction that ended so.
    pub(crate) const fn of<T>(result: &Result<T, CommitError>) -> Self {
        match result {
            Ok(_) => Self::Committed,
            Err(CommitError::Failed(_)) => Self::Failed,
            Err(CommitError::Unknown { .. }) => Self::Unknown,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

const fn name_of(supposition: Supposition) -> &'static str {
    match supposition {
        Supposition::Held => "held",
        Supposition::Wrong => "wrong",
    }
}

/// Every metric of the service.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    events: Family<EventLabels, Counter>,
    batches: Family<BatchLabels, Counter>,
    optimistic_batches: Family<BatchLabels, Counter>,
    batch_events: Histogram,
    commit_seconds: Histogram,
    queued: Family<QueueLabels, Gauge>,
    queue_limits: Family<QueueLabels, Gauge>,
    connections: Family<ConnectionLabels, Gauge>,
    in_hand: Gauge,
    in_hand_limit: Gauge,
    lanes: Gauge,
    lanes_alive: Gauge,
    draining: Gauge,
    clock_ahead: Gauge<f64, AtomicU64>,
    log_lines_lost: Counter,
    pub(crate) hotels_of_unknown_plan: Gauge,
    rollups: RollupMetrics,
}

/// 1 ms to 4 s: where an answer is expected, and how long the slowest may take.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 13))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("plg");
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "Which program this is", Info::new(version));
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            events: Family::default(),
            batches: Family::default(),
            optimistic_batches: Family::default(),
            batch_events: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            commit_seconds: seconds(),
            queued: Family::default(),
            queue_limits: Family::default(),
            connections: Family::default(),
            in_hand: Gauge::default(),
            in_hand_limit: Gauge::default(),
            lanes: Gauge::default(),
            lanes_alive: Gauge::default(),
            draining: Gauge::default(),
            clock_ahead: Gauge::default(),
            log_lines_lost: Counter::default(),
            hotels_of_unknown_plan: Gauge::default(),
            rollups: RollupMetrics::register(&mut registry),
            registry: Registry::default(),
        };
        for outcome in BatchOutcome::ALL {
            // There from the start: what has never been is 0, and a first one is an increase.
            metrics.batches.get_or_create(&BatchLabels { outcome: outcome.name() }).inc_by(0);
        }
        for supposition in [Supposition::Held, Supposition::Wrong] {
            let labels = BatchLabels { outcome: name_of(supposition) };
            metrics.optimistic_batches.get_or_create(&labels).inc_by(0);
        }
        let r = &mut registry;
        r.register("http_requests", "Requests answered", metrics.requests.clone());
        let help = "Time from when a request has arrived to its answer";
        let request_seconds = metrics.request_seconds.clone();
        r.register_with_unit("http_request_duration", help, Unit::Seconds, request_seconds);
        r.register("http_in_hand", "Requests that wait for their answer", metrics.in_hand.clone());
        let help = "Requests that may, by how fast they are answered";
        r.register("http_in_hand_limit", help, metrics.in_hand_limit.clone());
        r.register("events", "Events decided, by outcome", metrics.events.clone());
        r.register("writer_batches", "Transactions of the lanes", metrics.batches.clone());
        let help = "Transactions that took the hotels to be as they are remembered";
        r.register("writer_optimistic_batches", help, metrics.optimistic_batches.clone());
        let help = "Events in a transaction";
        r.register("writer_batch_events", help, metrics.batch_events.clone());
        let help = "Time of a transaction, from its begin to its commit";
        let commit_seconds = metrics.commit_seconds.clone();
        r.register_with_unit("writer_commit_duration", help, Unit::Seconds, commit_seconds);
        r.register("writer_queued_events", "Events that wait in a queue", metrics.queued.clone());
        let help = "Events that may wait in a queue, by its pace";
        r.register("writer_queue_limit", help, metrics.queue_limits.clone());
        let help = "Connections of the reading pool";
        r.register("database_connections", help, metrics.connections.clone());
        r.register("writer_lanes", "Lanes that should be at work", metrics.lanes.clone());
        r.register("writer_lanes_alive", "Lanes at work", metrics.lanes_alive.clone());
        r.register("draining", "1 while the service is stopping", metrics.draining.clone());
        let help = "How far this machine's clock is ahead of the database's, or behind (negative)";
        r.register_with_unit("clock_ahead", help, Unit::Seconds, metrics.clock_ahead.clone());
        let help = "Lines of the log that were lost because nobody read those before them";
        r.register("log_lines_lost", help, metrics.log_lines_lost.clone());
        let help = "Hotels whose plan is not configured: they have the default's limits";
        r.register("hotels_of_unknown_plan", help, metrics.hotels_of_unknown_plan.clone());
        Self { registry, ..metrics }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, labels: &RequestLabels, took: Duration) {
        self.request_seconds.get_or_create(&labels.asked).observe(took.as_secs_f64());
        self.requests.get_or_create(labels).inc();
    }

    /// A lane has ended a transaction.
    pub(crate) fn batch(&self, outcome: BatchOutcome, events: usize, took: Duration) {
        self.batches.get_or_create(&BatchLabels { outcome: outcome.name() }).inc();
        #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
        self.batch_events.observe(events as f64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// A lane has found out whether its hotels were as it remembers them.
    pub(crate) fn supposed(&self, supposition: Supposition) {
        let labels = BatchLabels { outcome: name_of(supposition) };
        self.optimistic_batches.get_or_create(&labels).inc();
    }

    /// An event was decided.
    pub(crate) fn decided(&self, event_type: &'static str, answer: &Answer) {
        let labels = EventLabels { event_type, outcome: answer.outcome.name() };
        self.events.get_or_create(&labels).inc();
    }

    /// Everything, as Prometheus reads it.
    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
