//! `/v1/events` and a hotel's log.

use super::cursor;
use crate::access::permit::{EventSender, Hotel, ReadHotel};
use crate::app::State;
use crate::input::{
    self, CloudEvent, EventBody, HotelPath, Items, NoQuery, REPLAYED_HEADER, Sending,
    SendingParams, UnreadEvents,
};
use crate::openapi::{ActionProblems, ListProblems};
use crate::output::OutcomeBody;
use crate::problem::{Details, Problem};
use crate::writer::{WriteError, WriteResult};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use plg_core::catalogue::EventType;
use plg_core::decide::{Answer, Outcome};
use plg_core::event::{Command, RecordedEvent};
use plg_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// What became of one item of an array.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchItem)]
#[serde(untagged)]
enum Item {
    Outcome(OutcomeBody),
    Problem {
        #[schema(value_type = Details)]
        problem: Problem,
    },
}

/// What became of the items of an array, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchResult)]
struct Results {
    results: Vec<Item>,
}

/// Up to 1,000 events.
#[derive(ToSchema)]
#[schema(as = NewEventArray, max_items = 1000)]
#[expect(dead_code, reason = "it is there to be documented")]
struct EventArray(Vec<EventBody>);

/// One event, or several.
#[derive(ToSchema)]
#[schema(as = NewEvents)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is there to be documented")]
enum Events {
    One(EventBody),
    Many(EventArray),
}

/// The answer to one event, or to an array.
#[derive(ToSchema)]
#[schema(as = EventsResult)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is there to be documented")]
enum EventsResult {
    One(OutcomeBody),
    Many(Results),
}

/// Record events
///
/// One event, or an array of up to 1,000. The items of an array are answered one by one: those that are
/// not valid with a problem of their own, while the others are recorded. A billable event follows the
/// rules of the actions: 402 for a single one, outcome `quota_exceeded` for an item. With a session token,
/// an array counts against the rate limit as many times as it has items.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "record_events",
    tag = "events",
    params(SendingParams),
    request_body(content(
        (Events = "application/json"),
        (CloudEvent = "application/cloudevents+json"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
    )),
    responses(
        (status = 200, description = "Recorded, or recognised as a repetition", body = EventsResult),
        ActionProblems,
    )
)]
pub(super) async fn record(
    sender: EventSender,
    _: NoQuery,
    state: web::Data<State>,
    sending: Sending,
    body: UnreadEvents,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let body = body.read().await?;
    match body.items()? {
        Items::Many(items) => {
            sender.count(&request, items.len())?;
            let sending = sending.of_many()?;
            let permit = |command| sender.permit(command);
            let parse = |item: &RawValue| body.item(item.get().as_bytes()).command(sending, permit);
            let commands = items.iter().map(|item| parse(item)).collect();
            drop(items);
            drop(body);
            record_items(&state, commands).await
        }
        Items::One(item) => {
            let command = item.command(&sending, |command| sender.permit(command))?;
            drop(body);
            let recorded = record_one(&state, &sending, command).await?;
            Ok(recorded.respond(HttpResponse::Ok()))
        }
    }
}

/// What became of a single event.
pub(super) struct RecordedOne {
    pub(super) answer: Answer,
    /// It is answered as it was the first time.
    replayed: bool,
}

impl RecordedOne {
    pub(super) fn respond(self, mut response: HttpResponseBuilder) -> HttpResponse {
        if self.replayed {
            response.insert_header((REPLAYED_HEADER, "true"));
        }
        response.json(OutcomeBody::from(self.answer))
    }
}

/// Records a single event. When its quota refuses it, that is an error (402); in an array it is an
/// outcome. A repetition of an idempotency key is answered as the first time.
pub(super) async fn record_one(
    state: &State,
    sending: &Sending,
    command: Command,
) -> Result<RecordedOne, Problem> {
    let keyed = sending.is_keyed().then(|| command.clone());
    let answer = state.writer.record(command).await?;
    if let (Outcome::QuotaExceeded, Some(quota)) = (answer.outcome, &answer.quota) {
        return Err(Problem::quota_exceeded(quota));
    }
    let once = |answer| Ok(RecordedOne { answer, replayed: false });
    let (Outcome::Duplicate, Some(again)) = (answer.outcome, keyed) else { return once(answer) };
    let event = again.event().clone();
    let first = state
        .reader
        .read(move |db| async move { plg_store::events::of_sending(&db, &again).await })
        .await;
    // Whether it is what was recorded under this key, or something else, is not known.
    let first = first.map_err(|error| {
        tracing::warn!(%error, "what an idempotency key has recorded cannot be read");
        WriteError::OutcomeUnknown
    })?;
    match first {
        // Another sending has recorded the job, export or seat.
        None => once(answer),
        Some(first) if !first.records(&event) => Err(Problem::idempotency_key_reused()),
        Some(first) => {
            let answer =
                Answer { outcome: Outcome::Recorded, event: Some(Arc::new(first)), ..answer };
            Ok(RecordedOne { answer, replayed: true })
        }
    }
}

async fn record_items(
    state: &State,
    parsed: Vec<Result<Command, Problem>>,
) -> Result<HttpResponse, Problem> {
    let mut commands = Vec::with_capacity(parsed.len());
    let valid: Vec<Result<(), Problem>> =
        parsed.into_iter().map(|command| command.map(|command| commands.push(command))).collect();

    let mut written = state.writer.record_all(commands).await;
    // An array of which nothing could be recorded is worth sending again as a whole.
    if written.iter().all(Result::is_err)
        && let Some(error) = error_of_all(&mut written)
    {
        return Err(error.into());
    }
    let mut written = written.into_iter();
    let results: Vec<Item> = valid
        .into_iter()
        .map(|valid| match valid.map(|()| written.next()) {
            Err(problem) => Item::Problem { problem },
            Ok(Some(Ok(answer))) => Item::Outcome(answer.into()),
            Ok(Some(Err(error))) => Item::Problem { problem: error.into() },
            Ok(None) => Item::Problem { problem: WriteError::ShuttingDown.into() },
        })
        .collect();
    Ok(HttpResponse::Ok().json(Results { results }))
}

/// Takes the error that is true of all, if there is one that is none of the data: when of some it is not known whether
/// they were recorded, that of the others does not say that nothing was.
fn error_of_all(results: &mut [WriteResult]) -> Option<WriteError> {
    let is_unknown = |result: &WriteResult| matches!(result, Err(WriteError::OutcomeUnknown));
    let passes = |result: &WriteResult| {
        !matches!(result, Ok(_) | Err(WriteError::Store(StoreError::Data(_))))
    };
    let place = results.iter().position(is_unknown).or_else(|| results.iter().position(passes))?;
    std::mem::replace(&mut results[place], Err(WriteError::Unavailable)).err()
}

/// Most events of one page.
const PAGE_MAX: u64 = 1_000;
const PAGE_DEFAULT: u64 = 50;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only events of this type.
    #[param(value_type = Option<EventType>)]
    event_type: Option<String>,
    /// Most events of the page; 50 unless told.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EventList)]
struct ListBody {
    events: Vec<RecordedEvent>,
    /// Where the next page begins; null on the last. A page may be short, and not the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// List a hotel's events, newest first
#[utoipa::path(
    get,
    path = "/v1/hotels/{hotel_id}/events",
    operation_id = "list_events",
    tag = "events",
    params(HotelPath, ListQuery),
    responses((status = 200, description = "A page of events", body = ListBody), ListProblems)
)]
pub(super) async fn list(
    Hotel { id: hotel_id, .. }: Hotel<ReadHotel>,
    state: web::Data<State>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let event_type = query.event_type.as_deref().map(input::event_type).transpose()?;
    let limit = input::bounded("limit", query.limit.as_deref(), PAGE_DEFAULT, PAGE_MAX)?;
    let behind = query.cursor.as_deref().map(cursor::decode).transpose()?;
    let page = state
        .reader
        .read(move |db| async move {
            plg_store::events::list(&db, hotel_id, event_type, behind, limit).await
        })
        .await?;
    let next_cursor = page.next.map(cursor::encode);
    Ok(HttpResponse::Ok().json(ListBody { events: page.events, next_cursor }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::DbErr;

    #[test]
    fn nobody_is_told_that_nothing_was_recorded_when_something_may_have_been() {
        let data = || Err(StoreError::Data(DbErr::Custom("a zero byte".to_owned())).into());
        let overloaded = || Err(WriteError::Overloaded);
        let mut results = [data(), overloaded(), Err(WriteError::OutcomeUnknown), overloaded()];
        assert!(matches!(error_of_all(&mut results), Some(WriteError::OutcomeUnknown)));
        let mut results = [data(), overloaded(), Err(WriteError::ShuttingDown)];
        assert!(matches!(error_of_all(&mut results), Some(WriteError::Overloaded)));
        assert!(error_of_all(&mut [data(), data()]).is_none());
    }
}
