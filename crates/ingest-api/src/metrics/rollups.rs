//! The reconciliation, as the database knows it: a job that ran elsewhere shows up here.

use plg_store::rollup::runs::{Run, Status};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Runs looked at: the last ones, of which one should have been done.
pub(super) const RUNS: u64 = 20;

/// The last run that went through its scope and corrected, and the very last one.
pub(super) struct RollupMetrics {
    done_at: Gauge,
    duration: Gauge<f64, std::sync::atomic::AtomicU64>,
    events: Gauge,
    drifted: Gauge,
    corrected: Gauge,
    missing: Gauge,
    failed: Gauge,
}

impl RollupMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            done_at: Gauge::default(),
            duration: Gauge::default(),
            events: Gauge::default(),
            drifted: Gauge::default(),
            corrected: Gauge::default(),
            missing: Gauge::default(),
            failed: Gauge::default(),
        };
        let r = registry.sub_registry_with_prefix("rollup");
        let help = "When the last complete run ended; 0 before the first";
        r.register_with_unit("last_done_timestamp", help, Unit::Seconds, metrics.done_at.clone());
        let help = "How long it took";
        r.register_with_unit("last_done_duration", help, Unit::Seconds, metrics.duration.clone());
        r.register("last_done_events", "Events that it counted", metrics.events.clone());
        let help = "Hotel-months whose counters were not what their events say";
        r.register("last_done_drifted", help, metrics.drifted.clone());
        r.register("last_done_corrected", "Counters that it corrected", metrics.corrected.clone());
        let help = "Events missing in the ranges that it counted";
        r.register("last_done_missing_events", help, metrics.missing.clone());
        r.register("last_failed", "1 if the very last run failed", metrics.failed.clone());
        metrics
    }

    /// `runs`, newest first.
    pub(super) fn set(&self, runs: &[Run]) {
        let failed = runs.first().is_some_and(|run| run.status == Status::Failed);
        self.failed.set(i64::from(failed));
        let done = runs.iter().find(|run| run.status == Status::Done && !run.dry_run);
        let Some(run) = done else { return };
        self.done_at.set(run.finished_at.map_or(0, |at| at.timestamp()));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
        self.duration.set(run.duration_ms as f64 / 1_000.0);
        self.events.set(run.figures.events);
        self.drifted.set(run.figures.drifted);
        self.corrected.set(run.figures.corrected);
        self.missing.set(run.figures.missing);
    }
}
