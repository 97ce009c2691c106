//! Traces for a receiver of OpenTelemetry's protocol, where one is configured: a span for each request that
//! belongs to a sampled trace. A receiver that is away or slow costs spans, and never a request.

mod receiver;

use crate::metrics::RequestLabels;
use crate::observe::{NO_ROUTE, OTHER_METHOD};
use crate::trace::Trace;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents};
use opentelemetry_sdk::trace::{SpanExporter, SpanLinks, SpanProcessor as _};
use plg_service::settings::TracesSettings;
use receiver::Receiver;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::spawn_blocking;

/// Spans that wait, each of about 1 kB; one more is lost.
const QUEUE_MAX_SPANS: usize = 8_192;
/// Spans sent at once.
const BATCH_MAX_SPANS: usize = 512;
/// How long a span waits at most before it is sent.
const SEND_PAUSE: Duration = Duration::from_secs(5);
/// How much of a path is kept: longer ones lead nowhere.
const PATH_MAX_BYTES: usize = 256;

/// Exports spans.
#[derive(Clone)]
pub(crate) struct Spans {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
    sample_ratio: f64,
}

impl Spans {
    /// To the receiver of the settings, by way of the current runtime; `None` where there is none.
    ///
    /// # Errors
    /// Says what is wrong with the settings.
    pub(crate) fn start(settings: &TracesSettings) -> Result<Option<Self>, String> {
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let url = receiver::traces_url(&settings.endpoint)?;
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Receiver::new(&url)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .build()
            .map_err(|cause| cause.to_string())?;
        exporter.set_resource(&resource());
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_MAX_SPANS)
            .with_max_export_batch_size(BATCH_MAX_SPANS)
            .with_scheduled_delay(SEND_PAUSE)
            .build();
        let processor = BatchSpanProcessor::builder(Exporter(exporter)).with_batch_config(bounds);
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let sample_ratio = settings.sample_ratio;
        Ok(Some(Self { processor: Arc::new(processor.build()), scope, sample_ratio }))
    }

    /// How many of the traces that begin here are sampled, from 0 to 1.
    pub(crate) const fn sample_ratio(&self) -> f64 {
        self.sample_ratio
    }

    /// A request of a sampled trace was answered. Names and attributes are those of OpenTelemetry's semantic
    /// conventions for HTTP.
    pub(crate) fn record(&self, trace: &Trace, labels: &RequestLabels, path: &str, took: Duration) {
        let end_time = SystemTime::now();
        let (method, verb) = match labels.asked.method {
            OTHER_METHOD => ("_OTHER", "HTTP"),
            known => (known, known),
        };
        let route = Some(&labels.asked.route).filter(|route| *route != NO_ROUTE);
        let name: Cow<'static, str> = match route {
            Some(route) => format!("{verb} {route}").into(),
            None => verb.into(),
        };
        let path = &path[..path.floor_char_boundary(PATH_MAX_BYTES)];
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.response.status_code", i64::from(labels.status)),
            KeyValue::new("url.path", path.to_owned()),
            // TLS ends before the service.
            KeyValue::new("url.scheme", "http"),
        ];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route.clone())));
        let mut status = Status::Unset;
        if let Some(error) = failure(labels) {
            attributes.push(KeyValue::new("error.type", error));
            status = Status::error("");
        }
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from(trace.id),
                SpanId::from(trace.span),
                TraceFlags::new(trace.flags),
                false,
                TraceState::NONE,
            ),
            parent_span_id: trace.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: trace.parent.is_some(),
            span_kind: SpanKind::Server,
            name,
            start_time: end_time.checked_sub(took).unwrap_or(end_time),
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Sends what waits. Takes 5 s at most: the processor's own deadline.
    pub(crate) async fn finish(self) {
        // It blocks. Only what was flushed is shut down, as that would wait, too.
        let finish = move || self.processor.force_flush().and_then(|()| self.processor.shutdown());
        if let Ok(Err(cause)) = spawn_blocking(finish).await {
            tracing::warn!(%cause, "the last spans are lost");
        }
    }
}

/// What went wrong here, not at the caller.
fn failure(labels: &RequestLabels) -> Option<Value> {
    match labels.status {
        ..500 => None,
        status if labels.code.is_empty() => Some(status.to_string().into()),
        _ => Some(labels.code.into()),
    }
}

/// Who sends. The environment's `OTEL_RESOURCE_ATTRIBUTES` may say more, or otherwise.
fn resource() -> Resource {
    Resource::builder_empty()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}

/// Keeps failures to itself: the receiver's client has told of them once, and the processor would log each
/// as an error.
#[derive(Debug)]
struct Exporter(opentelemetry_otlp::SpanExporter);

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let _ = self.0.export(batch).await;
        Ok(())
    }
}
