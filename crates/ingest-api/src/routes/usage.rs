//! How much is used: now, in a month, over the months, and of one quota.

use super::conditional::{self, ConditionalParams};
use super::not_found;
use crate::access::permit::{Hotel, ReadUsage};
use crate::app::State;
use crate::input::{self, HotelPath, NoQuery};
use crate::openapi::ReadProblems;
use crate::output::{HistoryBody, QuotaCheckBody, UsageBody};
use crate::problem::Problem;
use actix_web::{HttpRequest, HttpResponse, web};
use plg_core::calendar::Month;
use plg_core::catalogue::Counter;
use plg_core::ids::HotelId;
use plg_core::usage::{self, MonthUsage};
use plg_store::hotels::Profile;
use serde::Deserialize;
use utoipa::IntoParams;

/// A hotel with the month it is in.
async fn current(state: &State, hotel_id: HotelId) -> Result<(Profile, MonthUsage), Problem> {
    let now = state.reader.now();
    let (profile, open) = state.reader.usage(hotel_id).await?;
    let current = usage::current(open, profile.time_zone, now);
    Ok((profile, current))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct MonthQuery {
    /// The current one unless told; none after it.
    #[param(value_type = Option<Month>)]
    month: Option<String>,
}

/// Read how much of the quotas is used
#[utoipa::path(
    get,
    path = "/v1/hotels/{hotel_id}/usage",
    operation_id = "get_usage",
    tag = "usage",
    params(HotelPath, MonthQuery, ConditionalParams),
    responses(
        (status = 200, description = "Usage of the month", body = UsageBody,
            headers(("ETag" = String, description = "Names this answer"))),
        (status = 304, description = "Nothing has changed since the ETag of If-None-Match"),
        ReadProblems,
    )
)]
pub(super) async fn month(
    Hotel { id: hotel_id, .. }: Hotel<ReadUsage>,
    state: web::Data<State>,
    query: web::Query<MonthQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let month = query.month.as_deref().map(|text| input::part::<Month>("month", text));
    let month = month.transpose()?;
    let (profile, current) = current(&state, hotel_id).await?;
    let usage = match month {
        None => current,
        Some(month) if month == current.month => current,
        Some(month) if month > current.month => {
            let detail = format!("must not be after the hotel's current month, {}", current.month);
            return Err(Problem::field("month", detail));
        }
        Some(month) => {
            let rows = state
                .reader
                .read(
                    move |db| async move { plg_store::usage::until(&db, hotel_id, month, 1).await },
                )
                .await?;
            usage::in_month(month, rows.first().copied())
        }
    };
    let body = UsageBody::new(hotel_id, &profile, &state.plans, &usage);
    conditional::respond(&request, &body)
}

/// Most months of a history: ten years.
const HISTORY_MAX: u64 = 120;
const HISTORY_DEFAULT: u64 = 12;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// How many months, the current one included; 12 unless told.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 120)]
    months: Option<String>,
}

/// Read the usage of the last months
#[utoipa::path(
    get,
    path = "/v1/hotels/{hotel_id}/usage/history",
    operation_id = "get_usage_history",
    tag = "usage",
    params(HotelPath, HistoryQuery, ConditionalParams),
    responses(
        (status = 200, description = "Usage of the months, newest first", body = HistoryBody,
            headers(("ETag" = String, description = "Names this answer"))),
        (status = 304, description = "Nothing has changed since the ETag of If-None-Match"),
        ReadProblems,
    )
)]
pub(super) async fn history(
    Hotel { id: hotel_id, .. }: Hotel<ReadUsage>,
    state: web::Data<State>,
    query: web::Query<HistoryQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let count = input::bounded("months", query.months.as_deref(), HISTORY_DEFAULT, HISTORY_MAX)?;
    let (profile, current) = current(&state, hotel_id).await?;
    let last = current.month;
    let rows = state
        .reader
        .read(move |db| async move { plg_store::usage::until(&db, hotel_id, last, count).await })
        .await?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let months = usage::history(current, &rows, count);
    let body = HistoryBody::new(hotel_id, &profile, &state.plans, &months);
    conditional::respond(&request, &body)
}

/// Check one quota, without side effect
#[utoipa::path(
    get,
    path = "/v1/hotels/{hotel_id}/quotas/{quota}",
    operation_id = "check_quota",
    tag = "usage",
    params(HotelPath, ("quota" = Counter, Path, description = "Which quota"), ConditionalParams),
    responses(
        (status = 200, description = "The quota now", body = QuotaCheckBody,
            headers(("ETag" = String, description = "Names this answer"))),
        (status = 304, description = "Nothing has changed since the ETag of If-None-Match"),
        ReadProblems,
    )
)]
pub(super) async fn quota(
    Hotel { id: hotel_id, .. }: Hotel<ReadUsage>,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
    _: NoQuery,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let counter = path.1.parse::<Counter>();
    let counter =
        counter.map_err(|()| not_found("quota: ask for imports, exports or active_users"))?;
    let (profile, current) = current(&state, hotel_id).await?;
    let body = QuotaCheckBody::new(hotel_id, counter, &profile, &state.plans, &current);
    conditional::respond(&request, &body)
}
