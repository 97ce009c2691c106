//! What this service can be asked, for programs (OpenAPI 3.1) and for people.

use super::{actions, events, health, hotels, rollups, session_tokens, usage};
use crate::access::permit::Public;
use crate::input::CloudEvent;
use crate::openapi::Shared;
use crate::problem::{Code, Details};
use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::{HttpResponse, web};
use std::sync::LazyLock;
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

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
        actions::list_seats,
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

/// `/docs/`: the document as pages, with everything they need.
pub(super) fn pages(app: &mut web::ServiceConfig) {
    let config = Config::from(PATH).try_it_out_enabled(true).persist_authorization(true);
    app.service(SwaggerUi::new("/docs/{_:.*}").config(config));
}
