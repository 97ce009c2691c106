//! A hotel's plan, zone and own limits.

use crate::access::permit::{ChangeHotel, Hotel, ReadHotel};
use crate::app::State;
use crate::input::Body;
use crate::json::object;
use crate::output::HotelBody;
use crate::problem::Problem;
use actix_web::{HttpResponse, web};
use plg_core::calendar::TimeZone;
use plg_core::plan::LimitOverrides;
use plg_store::hotels::Profile;
use serde::Deserialize;

/// `GET /v1/hotels/{hotel_id}`: a hotel that nobody has registered has the default plan.
pub(super) async fn get(
    Hotel { id: hotel_id, .. }: Hotel<ReadHotel>,
    state: web::Data<State>,
) -> Result<HttpResponse, Problem> {
    let profile = state
        .reader
        .read(move |db| async move { plg_store::hotels::get(&db, hotel_id).await })
        .await?;
    Ok(HttpResponse::Ok().json(HotelBody::new(hotel_id, &profile, &state.plans)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HotelIn {
    plan: String,
    time_zone: TimeZone,
    #[serde(default, deserialize_with = "object")]
    limits: LimitOverrides,
}

/// `PUT /v1/hotels/{hotel_id}`: takes effect with the next action.
pub(super) async fn put(
    Hotel { id: hotel_id, .. }: Hotel<ChangeHotel>,
    state: web::Data<State>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let HotelIn { plan, time_zone, limits } = body.parse()?;
    if !state.plans.contains(&plan) {
        let detail = format!("must be one of: {} (got {plan:?})", state.plans.names());
        return Err(Problem::field("plan", detail));
    }
    let profile = Profile { plan: Some(plan.clone()), time_zone, overrides: limits };
    let now = state.reader.now();
    state
        .reader
        .read(move |db| async move {
            plg_store::hotels::put(&db, hotel_id, (&plan, time_zone, limits), now).await
        })
        .await?;
    Ok(HttpResponse::Ok().json(HotelBody::new(hotel_id, &profile, &state.plans)))
}
