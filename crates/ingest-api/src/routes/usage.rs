//! How much is used: now, in a month, over the months, and of one quota.

use super::not_found;
use crate::access::permit::{Hotel, ReadUsage};
use crate::app::State;
use crate::input;
use crate::output::{HistoryBody, QuotaCheckBody, UsageBody};
use crate::problem::Problem;
use actix_web::{HttpResponse, web};
use plg_core::calendar::Month;
use plg_core::catalogue::Counter;
use plg_core::ids::HotelId;
use plg_core::usage::{self, MonthUsage};
use plg_store::hotels::Profile;
use serde::Deserialize;

/// A hotel with the month it is in.
async fn current(state: &State, hotel_id: HotelId) -> Result<(Profile, MonthUsage), Problem> {
    let now = state.reader.now();
    let (profile, open) = state.reader.usage(hotel_id).await?;
    let current = usage::current(open, profile.time_zone, now);
    Ok((profile, current))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MonthQuery {
    month: Option<String>,
}

/// `GET /v1/hotels/{hotel_id}/usage?month=`
pub(super) async fn month(
    Hotel { id: hotel_id, .. }: Hotel<ReadUsage>,
    state: web::Data<State>,
    query: web::Query<MonthQuery>,
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
    Ok(HttpResponse::Ok().json(body))
}

/// Most months of a history: ten years.
const HISTORY_MAX: u64 = 120;
const HISTORY_DEFAULT: u64 = 12;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    months: Option<String>,
}

/// `GET /v1/hotels/{hotel_id}/usage/history?months=`
pub(super) async fn history(
    Hotel { id: hotel_id, .. }: Hotel<ReadUsage>,
    state: web::Data<State>,
    query: web::Query<HistoryQuery>,
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
    Ok(HttpResponse::Ok().json(body))
}

/// `GET /v1/hotels/{hotel_id}/quotas/{quota}`: a free check without side effect.
pub(super) async fn quota(
    Hotel { id: hotel_id, .. }: Hotel<ReadUsage>,
    state: web::Data<State>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let counter = path.1.parse::<Counter>();
    let counter =
        counter.map_err(|()| not_found("quota: ask for imports, exports or active_users"))?;
    let (profile, current) = current(&state, hotel_id).await?;
    let body = QuotaCheckBody::new(hotel_id, counter, &profile, &state.plans, &current);
    Ok(HttpResponse::Ok().json(body))
}
