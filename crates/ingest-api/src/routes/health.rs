//! Whether the service lives, and whether it can work.

use crate::access::permit::Public;
use crate::app::State;
use crate::health;
use crate::openapi::{LivenessProblems, ReadinessProblems};
use crate::problem::Problem;
use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

/// It is well.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Ask whether the service is alive
///
/// If it is not, restart it.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "operations",
    security(()),
    responses((status = 200, description = "It is", body = Health), LivenessProblems)
)]
pub(super) async fn live(_: Public, state: web::Data<State>) -> Result<web::Json<Health>, Problem> {
    health::is_alive(&state)?;
    Ok(web::Json(OK))
}

/// Ask whether the service can work
///
/// The database answers, takes writes and has the current schema; the lanes are at work; the clock is not ahead of the
/// database's; nobody has asked the service to stop.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    security(()),
    responses((status = 200, description = "It can", body = Health), ReadinessProblems)
)]
pub(super) async fn ready(
    _: Public,
    state: web::Data<State>,
) -> Result<web::Json<Health>, Problem> {
    health::is_ready(&state).await?;
    Ok(web::Json(OK))
}
