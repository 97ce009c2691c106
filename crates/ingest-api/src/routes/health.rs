//! Whether the service lives, and whether it can work.

use crate::access::permit::Public;
use crate::app::State;
use crate::openapi::{LivenessProblems, ReadinessProblems};
use crate::problem::{Code, Problem};
use actix_web::{HttpResponse, web};
use migrations::SchemaState;
use serde::Serialize;
use utoipa::ToSchema;

/// It is well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Ask whether the service is alive
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "operations",
    security(()),
    responses((status = 200, description = "It is", body = Health), LivenessProblems)
)]
pub(super) async fn live(_: Public) -> HttpResponse {
    HttpResponse::Ok().json(OK)
}

/// Ask whether the service can work
///
/// The database answers, and its schema is current.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    security(()),
    responses((status = 200, description = "It can", body = Health), ReadinessProblems)
)]
pub(super) async fn ready(_: Public, state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let schema =
        state.reader.read(|db| async move { Ok(migrations::schema_state(&db).await?) }).await?;
    match schema {
        SchemaState::Current => Ok(HttpResponse::Ok().json(OK)),
        SchemaState::Behind(pending) => {
            let detail = format!("run `migrate up`: {} is pending", pending.join(", "));
            Err(Problem::unavailable(Code::SchemaBehind, detail, 5))
        }
    }
}
