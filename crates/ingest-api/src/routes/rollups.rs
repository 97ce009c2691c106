//! The runs of the reconciliation, and what each corrected.

use super::not_found;
use crate::access::permit::RollupReader;
use crate::app::State;
use crate::input;
use crate::openapi::ReadProblems;
use crate::problem::Problem;
use actix_web::{HttpResponse, web};
use plg_store::rollup::runs::{self, Adjustment, Run};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Most runs of one answer.
const RUNS_MAX: u64 = 1_000;
const RUNS_DEFAULT: u64 = 30;
/// Most corrections of one answer. All are in the table `usage_adjustment`.
const CORRECTIONS_MAX: u64 = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Most runs; 30 unless told.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RollupList)]
struct ListBody {
    rollups: Vec<Run>,
}

/// List the reconciliation's runs, newest first
#[utoipa::path(
    get,
    path = "/v1/rollups",
    operation_id = "list_rollups",
    tag = "rollups",
    params(ListQuery),
    responses((status = 200, description = "The runs", body = ListBody), ReadProblems)
)]
pub(super) async fn list(
    _: RollupReader,
    state: web::Data<State>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = input::bounded("limit", query.limit.as_deref(), RUNS_DEFAULT, RUNS_MAX)?;
    let rollups = state.reader.read(move |db| async move { runs::list(&db, limit).await }).await?;
    Ok(HttpResponse::Ok().json(ListBody { rollups }))
}

/// A run, and the counters that it corrected.
#[derive(Serialize, ToSchema)]
#[schema(as = RollupDetail)]
struct RunBody {
    #[serde(flatten)]
    run: Run,
    corrections: Vec<Adjustment>,
}

/// Read a run and its corrections
#[utoipa::path(
    get,
    path = "/v1/rollups/{run_id}",
    operation_id = "get_rollup",
    tag = "rollups",
    params(("run_id" = Uuid, Path, description = "Which run")),
    responses((status = 200, description = "The run", body = RunBody), ReadProblems)
)]
pub(super) async fn get(
    _: RollupReader,
    state: web::Data<State>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let run_id: Uuid = input::uuid("run_id", &path)?;
    let found = state
        .reader
        .read(move |db| async move {
            let Some(run) = runs::get(&db, run_id).await? else { return Ok(None) };
            let corrections = runs::adjustments(&db, run_id, CORRECTIONS_MAX).await?;
            Ok(Some(RunBody { run, corrections }))
        })
        .await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(|| not_found("run"))?))
}
