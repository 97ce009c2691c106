//! The reconciliation, as the database knows it: a job that ran elsewhere shows up here.

use chrono::TimeDelta;
use plg_store::rollup::overview::Overview;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// How long what a run has found stays in sight. The next run does not find it again.
pub(super) const IN_SIGHT: TimeDelta = TimeDelta::hours(24);

pub(super) struct RollupMetrics {
    done_at: Gauge,
    duration: Gauge<f64, AtomicU64>,
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
        let help = "When the last run ended that went through everything; 0 before the first";
        r.register_with_unit("last_done_timestamp", help, Unit::Seconds, metrics.done_at.clone());
        let help = "How long it took";
        r.register_with_unit("last_done_duration", help, Unit::Seconds, metrics.duration.clone());
        r.register("last_done_events", "Events that it counted", metrics.events.clone());
        let help = "Hotel-months whose counters were not what their events say, in the last 24 h";
        r.register("drifted", help, metrics.drifted.clone());
        r.register("corrected", "Counters corrected in the last 24 h", metrics.corrected.clone());
        r.register("missing_events", "Events that are missing now", metrics.missing.clone());
        r.register("last_failed", "1 if the last run of everything failed", metrics.failed.clone());
        metrics
    }

    pub(super) fn set(&self, overview: &Overview) {
        self.failed.set(i64::from(overview.last_failed));
        self.drifted.set(overview.drifted);
        self.corrected.set(overview.corrected);
        self.missing.set(overview.missing);
        let Some(run) = &overview.last_done else { return };
        self.done_at.set(run.finished_at.map_or(0, |at| at.timestamp()));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
        self.duration.set(run.duration_ms as f64 / 1_000.0);
        self.events.set(run.figures.events);
    }
}
