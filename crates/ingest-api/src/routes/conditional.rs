//! Answers that pollers ask for again and again: whoever has the current one is told so, in a few bytes.

use crate::problem::{Code, Problem};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETag, EntityTag, Header as _, IF_MATCH, IfMatch, IfNoneMatch,
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
    let body = written(body)?;
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

/// Which states the caller wants to change, if not any.
///
/// # Errors
/// When the header cannot be read: whoever sends it relies on it.
pub(super) fn expected(request: &HttpRequest) -> Result<Option<Vec<EntityTag>>, Problem> {
    if !request.headers().contains_key(IF_MATCH) {
        return Ok(None);
    }
    match IfMatch::parse(request) {
        // What anybody may ask for is there.
        Ok(IfMatch::Any) => Ok(None),
        Ok(IfMatch::Items(tags)) if !tags.is_empty() => Ok(Some(tags)),
        _ => Err(Problem::field("If-Match", "must be the ETag of an answer, in its quotes")),
    }
}

/// Whether the body is one of those. Ours are weak, since proxies compress; they name what is told, not its bytes.
///
/// # Errors
/// None in practice: what we answer with can be written.
pub(super) fn is_one_of(tags: &[EntityTag], body: &impl Serialize) -> Result<bool, Problem> {
    let tag = tag_of(&written(body)?);
    Ok(tags.iter().any(|expected| expected.weak_eq(&tag)))
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::new(Code::Internal, "the cause is in the service's log")
    })
}

/// The header of [`expected`].
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is there to be documented")]
pub(super) struct ExpectedParams {
    /// The `ETag` of what you have read: 412 if it has been changed since, and nothing is.
    #[param(rename = "If-Match", value_type = String, required = false)]
    expected: Option<String>,
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
