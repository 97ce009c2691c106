//! The billable actions: imports, exports, seats.

use super::events::refuse_exceeded;
use crate::access::permit::{Act, Hotel, ReadHotel};
use crate::app::State;
use crate::input::{self, Body, SeatPath, SessionHeader};
use crate::output::OutcomeBody;
use crate::problem::Problem;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use plg_core::catalogue::EventType;
use plg_core::decide::Outcome;
use plg_core::event::{Command, NewEvent};
use plg_core::ids::{DedupKey, EventId, HotelId, SeatUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportBody {
    job_id: String,
    user_id: Uuid,
    session_id: Option<String>,
    id: Option<String>,
    event_data: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportBody {
    export_id: String,
    user_id: Uuid,
    session_id: Option<String>,
    id: Option<String>,
    event_data: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeatBody {
    seat_user_id: Uuid,
    user_id: Uuid,
    session_id: Option<String>,
    id: Option<String>,
    event_data: Option<Box<RawValue>>,
}

/// What all actions say besides their key.
struct Action {
    event_type: EventType,
    hotel_id: HotelId,
    user_id: Uuid,
    session_id: Option<String>,
    id: Option<String>,
    event_data: Option<Box<RawValue>>,
}

/// Records an action: 201 recorded, 200 duplicate, 402 quota exceeded.
async fn act(
    state: &State,
    session: &SessionHeader,
    action: Action,
    key: DedupKey,
) -> Result<HttpResponse, Problem> {
    let event = NewEvent {
        event_type: action.event_type,
        hotel_id: action.hotel_id,
        user_id: UserId(action.user_id),
        session_id: session.or(action.session_id)?,
        event_id: input::optional("id", action.id, EventId::parse)?,
        dedup_key: Some(key),
        event_data: input::event_data(action.event_data.as_deref())?,
    };
    let command = Command::try_from(event).map_err(|e| Problem::field(e.field(), e))?;
    let answer = refuse_exceeded(state.writer.record(command).await?)?;
    let created =
        answer.outcome == Outcome::Recorded && action.event_type != EventType::SeatRemoved;
    let mut response = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(OutcomeBody::from(answer)))
}

/// `POST /v1/hotels/{hotel_id}/imports`
pub(super) async fn import(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    state: web::Data<State>,
    session: SessionHeader,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let ImportBody { job_id, user_id, session_id, id, event_data } = body.parse()?;
    let key = input::required("job_id", job_id, DedupKey::parse)?;
    let event_type = EventType::ImportSuccess;
    let action = Action { event_type, hotel_id, user_id, session_id, id, event_data };
    act(&state, &session, action, key).await
}

/// `POST /v1/hotels/{hotel_id}/exports`
pub(super) async fn export(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    state: web::Data<State>,
    session: SessionHeader,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let ExportBody { export_id, user_id, session_id, id, event_data } = body.parse()?;
    let key = input::required("export_id", export_id, DedupKey::parse)?;
    let event_type = EventType::ExportSuccess;
    let action = Action { event_type, hotel_id, user_id, session_id, id, event_data };
    act(&state, &session, action, key).await
}

/// `POST /v1/hotels/{hotel_id}/seats`
pub(super) async fn add_seat(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    state: web::Data<State>,
    session: SessionHeader,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let SeatBody { seat_user_id, user_id, session_id, id, event_data } = body.parse()?;
    let key = seat_key(SeatUserId(seat_user_id))?;
    let event_type = EventType::SeatAdded;
    let action = Action { event_type, hotel_id, user_id, session_id, id, event_data };
    act(&state, &session, action, key).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveQuery {
    user_id: Option<String>,
}

/// `DELETE /v1/hotels/{hotel_id}/seats/{seat_user_id}?user_id=`
pub(super) async fn remove_seat(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    state: web::Data<State>,
    SeatPath(seat): SeatPath,
    session: SessionHeader,
    query: web::Query<RemoveQuery>,
) -> Result<HttpResponse, Problem> {
    let missing = || Problem::field("user_id", "is required in the query: who gives the seat up");
    let user_id = query.user_id.as_deref().ok_or_else(missing)?;
    let action = Action {
        event_type: EventType::SeatRemoved,
        hotel_id,
        user_id: input::uuid("user_id", user_id)?,
        session_id: None,
        id: None,
        event_data: None,
    };
    act(&state, &session, action, seat_key(seat)?).await
}

fn seat_key(seat: SeatUserId) -> Result<DedupKey, Problem> {
    input::required("seat_user_id", seat.to_string(), DedupKey::parse)
}

/// Most seats of one page.
const PAGE_MAX: u64 = 1_000;
const PAGE_DEFAULT: u64 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct SeatOut {
    seat_user_id: SeatUserId,
    added_by: UserId,
    added_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct ListBody {
    seats: Vec<SeatOut>,
    next_cursor: Option<String>,
}

/// `GET /v1/hotels/{hotel_id}/seats`: in order of the seats' users.
pub(super) async fn list_seats(
    Hotel { id: hotel_id, .. }: Hotel<ReadHotel>,
    state: web::Data<State>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = input::bounded("limit", query.limit.as_deref(), PAGE_DEFAULT, PAGE_MAX)?;
    let not_ours = |_| Problem::field("cursor", "must be a next_cursor of this listing");
    let after = query.cursor.as_deref().map(str::parse::<SeatUserId>).transpose();
    let after = after.map_err(not_ours)?;
    let mut seats = state
        .reader
        .read(
            move |db| async move { plg_store::seats::list(&db, hotel_id, after, limit + 1).await },
        )
        .await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = seats.len() > limit;
    seats.truncate(limit);
    let next = seats.last().filter(|_| more).map(|seat| seat.seat_user_id.to_string());
    let out = |seat: plg_core::decide::Seat| SeatOut {
        seat_user_id: seat.seat_user_id,
        added_by: seat.added_by,
        added_at: seat.added_at,
    };
    let seats = seats.into_iter().map(out).collect();
    Ok(HttpResponse::Ok().json(ListBody { seats, next_cursor: next }))
}
