//! The runs of the reconciliation, and what each corrected.

use super::not_found;
use crate::access::permit::RollupReader;
use crate::app::State;
use crate::input;
use crate::problem::Problem;
use actix_web::{HttpResponse, web};
use plg_store::rollup::runs::{self, Adjustment, Run};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most runs of one answer.
const RUNS_MAX: u64 = 1_000;
const RUNS_DEFAULT: u64 = 30;
/// Most corrections of one answer. All are in the table `usage_adjustment`.
const CORRECTIONS_MAX: u64 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<String>,
}

#[derive(Serialize)]
struct ListBody {
    rollups: Vec<Run>,
}

/// `GET /v1/rollups`: newest first.
pub(super) async fn list(
    _: RollupReader,
    state: web::Data<State>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = input::bounded("limit", query.limit.as_deref(), RUNS_DEFAULT, RUNS_MAX)?;
    let rollups = state.reader.read(move |db| async move { runs::list(&db, limit).await }).await?;
    Ok(HttpResponse::Ok().json(ListBody { rollups }))
}

#[derive(Serialize)]
struct RunBody {
    #[serde(flatten)]
    run: Run,
    corrections: Vec<Adjustment>,
}

/// `GET /v1/rollups/{run_id}`
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
