//! The billable actions: imports, exports, seats.

use super::events::record_one;
use crate::access::permit::{Act, Hotel};
use crate::app::State;
use crate::input::{
    self, Body, HotelPath, HotelSeatPath, NoQuery, SeatPath, Sending, SendingParams,
};
use crate::openapi::{ActionProblems, RemoveProblems};
use crate::output::OutcomeBody;
use crate::problem::Problem;
use actix_web::{HttpResponse, web};
use plg_core::catalogue::EventType;
use plg_core::decide::Outcome;
use plg_core::event::{Command, NewEvent};
use plg_core::event_data::EventData;
use plg_core::ids::{DedupKey, EventId, HotelId, SeatUserId, SessionId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Bodies that differ in their key only. Each is a struct of its own: a body that is told as another's
/// would let a wrong field pass.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident as $schema:ident, $(#[$key_doc:meta])* $key:ident: $id:ident = $raw:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[schema(as = $schema)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $(#[$key_doc])*
            #[schema(value_type = $id)]
            $key: $raw,
            /// Who did it.
            #[schema(value_type = UserId)]
            user_id: Uuid,
            #[schema(value_type = Option<SessionId>)]
            session_id: Option<String>,
            /// Your own id of this sending.
            #[schema(value_type = Option<EventId>)]
            id: Option<String>,
            #[schema(value_type = Option<EventData>)]
            event_data: Option<Box<RawValue>>,
        }

        impl $name {
            /// Its key, and what all actions say.
            fn split(self, event_type: EventType, hotel_id: HotelId) -> ($raw, Action) {
                let Self { $key, user_id, session_id, id, event_data } = self;
                ($key, Action { event_type, hotel_id, user_id, session_id, id, event_data })
            }
        }
    )*};
}

bodies! {
    /// An import that was completed.
    ImportBody as NewImport,
    /// The job: counted once.
    job_id: DedupKey = String;
    /// An export that was completed.
    ExportBody as NewExport,
    /// The export: counted once.
    export_id: DedupKey = String;
    /// A seat that is granted.
    SeatBody as NewSeat,
    /// Who gets the seat.
    seat_user_id: SeatUserId = Uuid;
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
    sending: &Sending,
    action: Action,
    key: DedupKey,
) -> Result<HttpResponse, Problem> {
    let event = NewEvent {
        event_type: action.event_type,
        hotel_id: action.hotel_id,
        user_id: UserId(action.user_id),
        session_id: sending.session(action.session_id)?,
        event_id: sending.id(action.id)?,
        dedup_key: Some(key),
        event_data: input::event_data(action.event_data.as_deref())?,
    };
    let command = Command::try_from(event).map_err(|e| Problem::field(e.field(), e))?;
    let recorded = record_one(state, sending, command).await?;
    let created =
        recorded.answer.outcome == Outcome::Recorded && action.event_type != EventType::SeatRemoved;
    Ok(recorded.respond(if created { HttpResponse::Created() } else { HttpResponse::Ok() }))
}

/// Count an import
#[utoipa::path(
    post,
    path = "/v1/hotels/{hotel_id}/imports",
    operation_id = "record_import",
    tag = "actions",
    params(HotelPath, SendingParams),
    request_body(content = ImportBody),
    responses(
        (status = 201, description = "Recorded and counted", body = OutcomeBody),
        (status = 200, description = "Counted before", body = OutcomeBody),
        ActionProblems,
    )
)]
pub(super) async fn import(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    _: NoQuery,
    state: web::Data<State>,
    sending: Sending,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (job, action) = body.parse::<ImportBody>().await?.split(EventType::ImportSuccess, hotel_id);
    let key = input::required("job_id", job, DedupKey::parse)?;
    act(&state, &sending, action, key).await
}

/// Count an export
#[utoipa::path(
    post,
    path = "/v1/hotels/{hotel_id}/exports",
    operation_id = "record_export",
    tag = "actions",
    params(HotelPath, SendingParams),
    request_body(content = ExportBody),
    responses(
        (status = 201, description = "Recorded and counted", body = OutcomeBody),
        (status = 200, description = "Counted before", body = OutcomeBody),
        ActionProblems,
    )
)]
pub(super) async fn export(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    _: NoQuery,
    state: web::Data<State>,
    sending: Sending,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (export, action) =
        body.parse::<ExportBody>().await?.split(EventType::ExportSuccess, hotel_id);
    let key = input::required("export_id", export, DedupKey::parse)?;
    act(&state, &sending, action, key).await
}

/// Grant a seat
#[utoipa::path(
    post,
    path = "/v1/hotels/{hotel_id}/seats",
    operation_id = "add_seat",
    tag = "actions",
    params(HotelPath, SendingParams),
    request_body(content = SeatBody),
    responses(
        (status = 201, description = "Recorded and counted", body = OutcomeBody),
        (status = 200, description = "Counted before", body = OutcomeBody),
        ActionProblems,
    )
)]
pub(super) async fn add_seat(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    _: NoQuery,
    state: web::Data<State>,
    sending: Sending,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (seat, action) = body.parse::<SeatBody>().await?.split(EventType::SeatAdded, hotel_id);
    act(&state, &sending, action, SeatUserId(seat).into()).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveQuery {
    /// Who gives the seat up.
    #[param(value_type = UserId, required = true)]
    user_id: Option<String>,
}

/// Give a seat up
#[utoipa::path(
    delete,
    path = "/v1/hotels/{hotel_id}/seats/{seat_user_id}",
    operation_id = "remove_seat",
    tag = "actions",
    params(HotelSeatPath, RemoveQuery, SendingParams),
    responses(
        (status = 200, description = "Given up, or not held", body = OutcomeBody),
        RemoveProblems,
    )
)]
pub(super) async fn remove_seat(
    Hotel { id: hotel_id, .. }: Hotel<Act>,
    state: web::Data<State>,
    SeatPath(seat): SeatPath,
    sending: Sending,
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
    act(&state, &sending, action, seat.into()).await
}
