//! Which pages of other origins may call.

use actix_cors::Cors;
use actix_web::http::header;
use std::sync::Arc;

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_SECONDS: usize = 7_200;

/// Credentials are headers that a page sets itself: cookies play no part.
pub(crate) fn allow(origins: &[String]) -> Cors {
    let allow = |cors: Cors, origin: &String| cors.allowed_origin(origin);
    origins
        .iter()
        .fold(Cors::default(), allow)
        .allowed_methods(["GET", "POST", "PUT", "DELETE"])
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_NONE_MATCH])
        .allowed_headers(["X-Session-Id", "Idempotency-Key", "traceparent", "tracestate"])
        .expose_headers(["RateLimit", "RateLimit-Policy", "Retry-After", "ETag", "traceparent"])
        .expose_headers(["Idempotent-Replayed"])
        .max_age(PREFLIGHT_SECONDS)
}

/// The origins, if browsers send such ones; else the first that none sends.
pub(crate) fn origins(origins: &[String]) -> Result<Arc<[String]>, String> {
    let is_origin = |origin: &String| {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#']))
    };
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(wrong) => Err(wrong.clone()),
        None => Ok(origins.into()),
    }
}
