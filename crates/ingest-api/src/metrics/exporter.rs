//! `/metrics`, on a port of its own: it is not for those who call the API.

use super::{ConnectionLabels, Metrics, QueueLabels, rollups};
use crate::app::State;
use crate::problem::{Code, Problem};
use actix_web::dev::Server;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{App, HttpResponse, HttpServer, web};
use plg_service::logging;
use plg_store::rollup::overview::overview;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves `/metrics` until it is stopped: also while what it tells of stops, which nobody here holds up.
pub(crate) fn serve(listener: TcpListener, state: &web::Data<State>) -> std::io::Result<Server> {
    let metrics = web::Data::from(Arc::clone(&state.metrics));
    let state = web::Data::new(Arc::downgrade(state));
    let app = move || {
        App::new()
            .app_data(metrics.clone())
            .app_data(state.clone())
            .route("/metrics", web::get().to(scrape))
    };
    Ok(HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run())
}

/// What is counted, with what is looked up now.
async fn scrape(
    metrics: web::Data<Metrics>,
    state: web::Data<Weak<State>>,
) -> Result<HttpResponse, Problem> {
    if let Some(state) = state.upgrade() {
        look(&metrics, &state).await;
    }
    let text = metrics.text();
    let text = text.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT)).body(text))
}

async fn look(metrics: &Metrics, state: &State) {
    let writer = &state.writer;
    for (queue, (queued, limit)) in (0..).zip(writer.queued().zip(writer.queue_limits())) {
        metrics.queued.get_or_create(&QueueLabels { queue }).set(signed(queued));
        metrics.queue_limits.get_or_create(&QueueLabels { queue }).set(signed(limit));
    }
    metrics.in_hand.set(signed(state.door.in_hand()));
    metrics.in_hand_limit.set(signed(state.door.limit()));
    metrics.lanes.set(signed(writer.lanes()));
    metrics.lanes_alive.set(signed(writer.lanes_alive()));
    metrics.draining.set(i64::from(state.drain.is_draining()));
    let lost = u64::try_from(logging::lines_lost()).unwrap_or(u64::MAX);
    metrics.log_lines_lost.inner().store(lost, Ordering::Relaxed);
    let (open, idle) = state.reader.connections();
    for (state, count) in [("idle", idle), ("used", open.saturating_sub(idle))] {
        metrics.connections.get_or_create(&ConnectionLabels { state }).set(signed(count));
    }
    // Without a database the rest is still worth reading.
    let since = state.reader.now() - rollups::IN_SIGHT;
    let look = move |db| async move { overview(&db, since).await };
    let Ok(seen) = state.reader.read(look).await else { return };
    metrics.rollups.set(seen);
    if let Ok(Some(clocks)) = state.reader.compare_clocks().await {
        metrics.clock_ahead.set(clocks.ahead().as_seconds_f64());
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
