//! A hotel's plan, zone and own limits.

use super::conditional::{self, ConditionalParams, ExpectedParams};
use crate::access::permit::{ChangeHotel, Hotel, ReadHotel};
use crate::app::State;
use crate::input::{Body, HotelPath, NoQuery};
use crate::json::object;
use crate::openapi::{ChangeProblems, ReadProblems};
use crate::output::HotelBody;
use crate::problem::Problem;
use actix_web::http::header::EntityTag;
use actix_web::{HttpRequest, HttpResponse, web};
use plg_core::calendar::TimeZone;
use plg_core::ids::HotelId;
use plg_core::plan::LimitOverrides;
use plg_store::hotels::Profile;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Read a hotel's plan, time zone and limits
///
/// A hotel that nobody has registered has the default plan.
#[utoipa::path(
    get,
    path = "/v1/hotels/{hotel_id}",
    operation_id = "get_hotel",
    tag = "hotels",
    params(HotelPath, ConditionalParams),
    responses(
        (status = 200, description = "The hotel", body = HotelBody,
            headers(("ETag" = String, description = "Names this answer"))),
        (status = 304, description = "Nothing has changed since the ETag of If-None-Match"),
        ReadProblems,
    )
)]
pub(super) async fn get(
    Hotel { id: hotel_id, .. }: Hotel<ReadHotel>,
    _: NoQuery,
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let profile = state
        .reader
        .read(move |db| async move { plg_store::hotels::get(&db, hotel_id).await })
        .await?;
    conditional::respond(&request, &HotelBody::new(hotel_id, &profile, &state.plans))
}

/// What a hotel shall have.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewHotel)]
#[serde(deny_unknown_fields)]
struct HotelIn {
    /// A plan of the configuration.
    #[schema(example = "superior")]
    plan: String,
    time_zone: TimeZone,
    /// Instead of the plan's limits.
    #[serde(default, deserialize_with = "object")]
    limits: LimitOverrides,
}

/// Set a hotel's plan, time zone and limits
///
/// Takes effect with the next action. Whoever changes some of what is there reads it first, and sends its `ETag` along.
#[utoipa::path(
    put,
    path = "/v1/hotels/{hotel_id}",
    operation_id = "put_hotel",
    tag = "hotels",
    params(HotelPath, ExpectedParams),
    request_body(content = HotelIn),
    responses(
        (status = 200, description = "The hotel as it is now", body = HotelBody),
        ChangeProblems,
    )
)]
pub(super) async fn put(
    Hotel { id: hotel_id, .. }: Hotel<ChangeHotel>,
    _: NoQuery,
    state: web::Data<State>,
    body: Body,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected(&request)?;
    let HotelIn { plan, time_zone, limits } = body.parse().await?;
    if !state.plans.contains(&plan) {
        let detail = format!("must be one of: {} (got {plan:?})", state.plans.names());
        return Err(Problem::field("plan", detail));
    }
    let profile = Profile { plan: Some(plan.clone()), time_zone, overrides: limits };
    let known = match expected {
        Some(expected) => Some(as_expected(&state, hotel_id, &expected).await?),
        None => None,
    };
    let (now, plans) = (state.reader.now(), Arc::clone(&state.plans));
    let change = move |db| async move {
        let new = (&*plan, time_zone, limits);
        plg_store::hotels::change(&db, &plans, hotel_id, known.as_ref(), new, now).await
    };
    if !state.reader.change(change).await? {
        return Err(Problem::changed_meanwhile());
    }
    Ok(HttpResponse::Ok().json(HotelBody::new(hotel_id, &profile, &state.plans)))
}

/// The hotel, if it is what the caller has read.
async fn as_expected(
    state: &State,
    hotel_id: HotelId,
    expected: &[EntityTag],
) -> Result<Profile, Problem> {
    let read = move |db| async move { plg_store::hotels::get(&db, hotel_id).await };
    let known = state.reader.read(read).await?;
    if !conditional::is_one_of(expected, &HotelBody::new(hotel_id, &known, &state.plans))? {
        return Err(Problem::changed_meanwhile());
    }
    Ok(known)
}
