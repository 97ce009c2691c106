//! `/client.js`: the browser client as one module, for pages without a bundler.

use super::conditional;
use crate::access::permit::Public;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETag, EntityTag,
};
use actix_web::{HttpRequest, HttpResponse};
use std::sync::LazyLock;

/// As `clients/browser` builds and commits it.
const MODULE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/browser/dist/client.js"));

static TAG: LazyLock<EntityTag> = LazyLock::new(|| conditional::tag_of(MODULE.as_bytes()));

/// `GET /client.js`
pub(super) async fn module(_: Public, request: HttpRequest) -> HttpResponse {
    let is_known = conditional::knows(&request, &TAG);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        // Browsers load modules of other origins only where they may: this one holds no secret.
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header(ETag(TAG.clone()));
    if is_known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8")).body(MODULE)
}
