//! Answers that pollers ask for again and again: whoever has the current one is told so, in a few bytes.

use crate::problem::{Code, Problem};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETag, EntityTag, Header as _, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

/// Answers with the body, or with 304 where the caller has it.
///
/// # Errors
/// None in practice: what we answer with can be written.
pub(super) fn respond(
    request: &HttpRequest,
    body: &impl Serialize,
) -> Result<HttpResponse, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::new(Code::Internal, "the cause is in the service's log")
    })?;
    let tag = tag_of(&body);
    let is_known = knows(request, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // Kept by the one who asked, and never used without asking.
    response.insert_header((CACHE_CONTROL, "private, no-cache")).insert_header(ETag(tag));
    if is_known {
        return Ok(response.finish());
    }
    Ok(response.insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// Names a body.
pub(super) fn tag_of(body: &[u8]) -> EntityTag {
    // Weak: it may be sent compressed. Half of the digest is enough to tell two answers apart.
    EntityTag::new_weak(hex::encode(&Sha256::digest(body)[..16]))
}

/// Whether the caller has the body of this tag.
pub(super) fn knows(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// The header of [`respond`].
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is there to be documented")]
pub(super) struct ConditionalParams {
    /// The `ETag` of an answer that you have: 304 while it is the current one.
    /// Anything else than an `ETag` is as good as none.
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    known: Option<String>,
}
