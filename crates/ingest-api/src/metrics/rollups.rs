//! The reconciliation, as the database knows it: a job that ran elsewhere shows up here.

use chrono::TimeDelta;
use plg_store::rollup::overview::Overview;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How long what a run has found stays in sight. The next run does not find it again.
pub(super) const IN_SIGHT: TimeDelta = TimeDelta::hours(24);

/// What was read last. Before anything was, there is no series: a replica that has just started would say that no events
/// are missing, and then that some are.
#[derive(Debug, Clone, Default)]
pub(super) struct RollupMetrics(Arc<Mutex<Option<Overview>>>);

impl RollupMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("rollup");
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    pub(super) fn set(&self, overview: Overview) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(overview);
    }
}

impl Collector for RollupMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(Overview { last_done, last_failed, drifted, corrected, missing }) = seen else {
            return Ok(());
        };
        let (done_at, millis, events) = last_done.map_or((0, 0, 0), |run| {
            let done_at = run.finished_at.map_or(0, |at| at.timestamp());
            (done_at, run.duration_ms, run.figures.events)
        });
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
        let seconds = millis as f64 / 1_000.0;
        let (encoder, unit) = (&mut encoder, Some(&Unit::Seconds));
        let help = "When the last run ended that went through everything; 0 before the first";
        gauge(encoder, "last_done_timestamp", help, unit, done_at)?;
        gauge(encoder, "last_done_duration", "How long it took", unit, seconds)?;
        gauge(encoder, "last_done_events", "Events that it counted", None, events)?;
        let help = "Hotel-months whose counters were not what their events say, in the last 24 h";
        gauge(encoder, "drifted", help, None, drifted)?;
        gauge(encoder, "corrected", "Counters corrected in the last 24 h", None, corrected)?;
        gauge(encoder, "missing_events", "Events that are missing now", None, missing)?;
        let help = "1 if the last run of everything failed";
        gauge(encoder, "last_failed", help, None, i64::from(last_failed))
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: impl EncodeGaugeValue,
) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}
