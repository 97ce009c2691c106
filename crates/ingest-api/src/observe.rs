//! What is noted of every request: its metrics, one line in the log, and its place in a trace, exported as a
//! span if that is configured. Never a body, a query or a credential: a service key is named by its id.

use crate::access::limits::{Allowance, Credential};
use crate::app::State;
use crate::input::BodyEnded;
use crate::metrics::{RequestLabels, RouteLabels};
use crate::problem::Code;
use crate::spans::Spans;
use crate::trace::{self, Trace};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use std::time::Instant;
use tracing::Instrument as _;

/// A route that does not exist, and what was answered before a route was looked for.
pub(crate) const NO_ROUTE: &str = "none";
/// A method that nobody knows.
pub(crate) const OTHER_METHOD: &str = "other";

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Of a path in the log: ours are shorter.
const LOGGED_PATH_MAX: usize = 200;

/// Around everything else.
pub(crate) async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let began = Instant::now();
    let state = request.app_data::<web::Data<State>>().cloned();
    let under_way = state.as_ref().map(|state| state.drain.enter());
    let spans = state.as_ref().and_then(|state| state.spans.as_ref());
    let trace = Trace::of(request.headers(), spans.map_or(0.0, Spans::sample_ratio));
    let span = tracing::info_span!("request", trace_id = %trace.id());
    let mut response = next.call(request).instrument(span.clone()).await?;

    let answered = Instant::now();
    let took = answered - began;
    let request = response.request();
    let code = response.response().extensions().get::<Code>().map_or("", |code| code.name());
    let method = method(request.method());
    let route = request.match_pattern().unwrap_or_else(|| NO_ROUTE.to_owned());
    let asked = RouteLabels { method, route };
    let labels = RequestLabels { asked, status: response.status().as_u16(), code };
    let arrived = request.extensions().get::<BodyEnded>().map_or(began, |ended| ended.0);
    let caller = request.extensions().get::<Credential>().copied();
    span.in_scope(|| {
        tracing::info!(
            target: "ingest_api::request",
            method,
            path = beginning(request.path()),
            caller = caller.map(tracing::field::display),
            status = labels.status,
            code,
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    });
    let mut is_last = request.head().upgrade();
    if let Some(state) = &state {
        is_last |= state.drain.is_draining();
        state.metrics.answered(&labels, answered - arrived);
        if let Some(spans) = state.spans.as_ref().filter(|_| trace.is_sampled()) {
            spans.record(&trace, &labels, request.path(), took);
        }
    }
    let allowance = request.extensions().get::<Allowance>().copied();
    if is_last {
        // Who asks for another protocol, as Java's client does, would be told that the connection goes on with that.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    insert(&mut response, &trace::HEADER, trace.header());
    if let Some(allowance) = allowance {
        insert(&mut response, &RATE_LIMIT, allowance.left());
        insert(&mut response, &RATE_LIMIT_POLICY, allowance.policy());
    }
    if let Some(under_way) = under_way {
        under_way.answered();
    }
    Ok(response)
}

/// What of a path is logged.
fn beginning(path: &str) -> &str {
    &path[..path.floor_char_boundary(LOGGED_PATH_MAX)]
}

fn insert<B>(response: &mut ServiceResponse<B>, name: &HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name.clone(), value);
    }
}

/// Anybody may invent methods; there are no more series for that.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER_METHOD)
}
