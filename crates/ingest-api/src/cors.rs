//! Which pages of other origins may call.

use crate::input::REPLAYED_HEADER;
use actix_cors::Cors;
use actix_web::http::header;
use reqwest::Url;
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
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
        ])
        .allowed_headers(["X-Session-Id", "Idempotency-Key", "traceparent", "tracestate"])
        .expose_headers(["RateLimit", "RateLimit-Policy", "Retry-After", "ETag", "traceparent"])
        .expose_headers([REPLAYED_HEADER])
        .max_age(PREFLIGHT_SECONDS)
}

/// The origins, if browsers send such ones; else what is wrong with the first that none sends.
pub(crate) fn origins(origins: &[String]) -> Result<Arc<[String]>, String> {
    for origin in origins {
        match as_sent(origin) {
            Some(sent) if sent == *origin => {}
            Some(sent) => return Err(format!("browsers do not send {origin:?}: write {sent:?}")),
            None => return Err(format!("{origin:?} is no origin such as https://app.example")),
        }
    }
    Ok(origins.into())
}

/// How a browser writes the origin of a page at this URL: in lower case, without the port of its scheme.
fn as_sent(url: &str) -> Option<String> {
    let url = url.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(url.origin().ascii_serialization()).filter(|origin| !origin.contains('*'))
}
