//! The runs of the reconciliation, and what each corrected.

use super::{cursor, not_found};
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
/// Most corrections of one page, and as many unless told.
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

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CorrectionsQuery {
    /// Most corrections of the page; 1000 unless told.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A run, and the counters that it corrected.
#[derive(Serialize, ToSchema)]
#[schema(as = RollupDetail)]
struct RunBody {
    #[serde(flatten)]
    run: Run,
    /// By hotel and month.
    corrections: Vec<Adjustment>,
    /// Where the next page of corrections begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Read a run and its corrections
#[utoipa::path(
    get,
    path = "/v1/rollups/{run_id}",
    operation_id = "get_rollup",
    tag = "rollups",
    params(("run_id" = Uuid, Path, description = "Which run"), CorrectionsQuery),
    responses((status = 200, description = "The run, and a page of its corrections", body = RunBody), ReadProblems)
)]
pub(super) async fn get(
    _: RollupReader,
    state: web::Data<State>,
    path: web::Path<String>,
    query: web::Query<CorrectionsQuery>,
) -> Result<HttpResponse, Problem> {
    let run_id: Uuid = input::uuid("run_id", &path)?;
    let limit = input::bounded("limit", query.limit.as_deref(), CORRECTIONS_MAX, CORRECTIONS_MAX)?;
    let behind = query.cursor.as_deref().map(cursor::decode_place).transpose()?;
    let found = state
        .reader
        .read(move |db| async move {
            let Some(run) = runs::get(&db, run_id).await? else { return Ok(None) };
            let page = runs::adjustments(&db, run_id, behind.as_ref(), limit).await?;
            let next_cursor = page.next.as_ref().map(cursor::encode_place);
            Ok(Some(RunBody { run, corrections: page.corrections, next_cursor }))
        })
        .await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(|| not_found("run"))?))
}
