//! What this service can be asked, for programs (OpenAPI 3.1) and for people.

use super::not_found;
use super::{actions, events, health, hotels, rollups, seats, session_tokens, usage};
use crate::access::permit::Public;
use crate::input::CloudEvent;
use crate::openapi::Shared;
use crate::problem::{Code, Details, Problem};
use actix_web::http::header::{
    AcceptEncoding, CONTENT_TYPE, ContentEncoding, Encoding, LOCATION, VARY,
};
use actix_web::{HttpResponse, web};
use flate2::read::GzDecoder;
use std::io::Read as _;
use std::sync::{Arc, LazyLock};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, serve};

const PATH: &str = "/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Product events and quotas",
        description = "What happened, how much of the quota is used right now, and whether that is \
                       still true.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "events", description = "What happened, without repetitions"),
        (name = "actions", description = "What counts against a quota"),
        (name = "usage", description = "How much of the quotas is used right now"),
        (name = "hotels", description = "Plans, time zones and limits"),
        (name = "access", description = "Tokens for browsers"),
        (name = "rollups", description = "The reconciliation's runs"),
        (name = "operations", description = "Whether the service lives and can work"),
    ),
    servers((url = "/")),
    security(("bearer" = [])),
    modifiers(&Shared),
    components(schemas(Details, Code, CloudEvent)),
    paths(
        events::record,
        events::list,
        actions::import,
        actions::export,
        actions::add_seat,
        actions::remove_seat,
        seats::list,
        usage::month,
        usage::history,
        usage::quota,
        hotels::get,
        hotels::put,
        session_tokens::mint,
        rollups::list,
        rollups::get,
        health::live,
        health::ready,
    )
)]
struct Document;

/// The document, as it is served.
pub static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| Document::openapi().to_pretty_json().unwrap_or_default() + "\n");

/// `GET /openapi.json`
pub(super) async fn openapi(_: Public) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(DOCUMENT.as_str())
}

/// `GET /docs`
pub(super) async fn docs(_: Public) -> HttpResponse {
    HttpResponse::MovedPermanently().insert_header((LOCATION, "/docs/")).finish()
}

static PAGES: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(Config::from(PATH).try_it_out_enabled(true).persist_authorization(true))
});

/// `GET /docs/…`: the document as pages, with everything they need. They are kept compressed, a third of
/// their size, and unpacked for whoever does not take them so.
pub(super) async fn page(
    _: Public,
    path: web::Path<String>,
    accepted: Option<web::Header<AcceptEncoding>>,
) -> Result<HttpResponse, Problem> {
    let file = serve(&path, Arc::clone(&PAGES)).map_err(|error| unreadable(&*error))?;
    let file = file.ok_or_else(|| not_found("page"))?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, file.content_type))
        .insert_header((VARY, "accept-encoding"));
    if !file.gzpipped {
        return Ok(answer.body(file.bytes.into_owned()));
    }
    let known = [Encoding::gzip(), Encoding::identity()];
    if accepted.is_some_and(|accepted| accepted.negotiate(known.iter()) == Some(Encoding::gzip())) {
        return Ok(answer.insert_header(ContentEncoding::Gzip).body(file.bytes.into_owned()));
    }
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(&*file.bytes).read_to_end(&mut unpacked);
    read.map_err(|error| unreadable(&error))?;
    Ok(answer.body(unpacked))
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "a page of the documentation cannot be read");
    Problem::new(Code::Internal, "the page cannot be read; the cause is in the service's log")
}
