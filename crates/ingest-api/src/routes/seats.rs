//! The seats that are held. Granting one and giving it up are actions.

use super::cursor;
use crate::access::permit::{Hotel, ReadHotel};
use crate::app::State;
use crate::input::{self, HotelPath};
use crate::openapi::ReadProblems;
use crate::problem::Problem;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use plg_core::decide::Seat;
use plg_core::ids::{SeatUserId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most seats of one page.
const PAGE_MAX: u64 = 1_000;
const PAGE_DEFAULT: u64 = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Most seats of the page; 100 unless told.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A seat that is held.
#[derive(Serialize, ToSchema)]
#[schema(as = Seat)]
struct SeatOut {
    seat_user_id: SeatUserId,
    added_by: UserId,
    added_at: DateTime<Utc>,
}

impl From<Seat> for SeatOut {
    fn from(seat: Seat) -> Self {
        let Seat { seat_user_id, added_by, added_at, .. } = seat;
        Self { seat_user_id, added_by, added_at }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SeatList)]
struct ListBody {
    seats: Vec<SeatOut>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// List the seats that are held
#[utoipa::path(
    get,
    path = "/v1/hotels/{hotel_id}/seats",
    operation_id = "list_seats",
    tag = "actions",
    params(HotelPath, ListQuery),
    responses(
        (status = 200, description = "A page of seats", body = ListBody),
        ReadProblems,
    )
)]
pub(super) async fn list(
    Hotel { id: hotel_id, .. }: Hotel<ReadHotel>,
    state: web::Data<State>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = input::bounded("limit", query.limit.as_deref(), PAGE_DEFAULT, PAGE_MAX)?;
    let after = query.cursor.as_deref().map(str::parse::<SeatUserId>).transpose();
    let after = after.map_err(|_| cursor::not_ours())?;
    let page = state
        .reader
        .read(move |db| async move { plg_store::seats::list(&db, hotel_id, after, limit).await })
        .await?;
    let seats = page.seats.into_iter().map(SeatOut::from).collect();
    let next_cursor = page.next.map(|seat| seat.to_string());
    Ok(HttpResponse::Ok().json(ListBody { seats, next_cursor }))
}
