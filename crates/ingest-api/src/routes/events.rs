//! `/v1/events` and a hotel's log.

use super::cursor;
use crate::access::permit::{EventSender, Hotel, ReadHotel};
use crate::app::State;
use crate::input::{self, Body, EventBody, SessionHeader};
use crate::output::OutcomeBody;
use crate::problem::Problem;
use crate::writer::{WriteError, WriteResult};
use actix_web::{HttpResponse, web};
use plg_core::catalogue::EventType;
use plg_core::decide::{Answer, Outcome};
use plg_core::event::{Command, RecordedEvent};
use plg_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What became of one item of an array.
#[derive(Serialize)]
#[serde(untagged)]
enum Item {
    Outcome(OutcomeBody),
    Problem { problem: Problem },
}

#[derive(Serialize)]
struct Results {
    results: Vec<Item>,
}

/// `POST /v1/events`: one event, or an array of them.
pub(super) async fn record(
    sender: EventSender,
    state: web::Data<State>,
    session: SessionHeader,
    body: Body,
) -> Result<HttpResponse, Problem> {
    match body.items()? {
        Some(items) => record_items(&state, &sender, &session, &items).await,
        None => {
            let command = sender.permit(body.parse::<EventBody>()?.into_command(&session)?)?;
            let answer = refuse_exceeded(state.writer.record(command).await?)?;
            Ok(HttpResponse::Ok().json(OutcomeBody::from(answer)))
        }
    }
}

/// A single action that its quota refuses is an error (402); in an array it is an outcome.
pub(super) fn refuse_exceeded(answer: Answer) -> Result<Answer, Problem> {
    match (answer.outcome, &answer.quota) {
        (Outcome::QuotaExceeded, Some(quota)) => Err(Problem::quota_exceeded(quota)),
        _ => Ok(answer),
    }
}

async fn record_items(
    state: &State,
    sender: &EventSender,
    session: &SessionHeader,
    items: &[Box<RawValue>],
) -> Result<HttpResponse, Problem> {
    let parse = |item: &RawValue| {
        sender.permit(input::parse_item::<EventBody>(item)?.into_command(session)?)
    };
    let parsed: Vec<Result<Command, Problem>> = items.iter().map(|item| parse(item)).collect();
    let mut commands = Vec::with_capacity(parsed.len());
    let valid: Vec<Result<(), Problem>> =
        parsed.into_iter().map(|command| command.map(|command| commands.push(command))).collect();

    let mut written = state.writer.record_all(commands).await;
    // An array of which nothing could be recorded is worth sending again as a whole.
    if written.iter().all(Result::is_err)
        && let Some(error) = first_error(&mut written)
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

/// Takes the first error that is none of the data, if there is one.
fn first_error(results: &mut [WriteResult]) -> Option<WriteError> {
    let passing = |result: &&mut WriteResult| {
        !matches!(result, Ok(_) | Err(WriteError::Store(StoreError::Data(_))))
    };
    let result = results.iter_mut().find(passing)?;
    std::mem::replace(result, Err(WriteError::Unavailable)).err()
}

/// Most events of one page.
const PAGE_MAX: u64 = 1_000;
const PAGE_DEFAULT: u64 = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    event_type: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct ListBody {
    events: Vec<RecordedEvent>,
    next_cursor: Option<String>,
}

/// `GET /v1/hotels/{hotel_id}/events`: newest first.
pub(super) async fn list(
    Hotel { id: hotel_id, .. }: Hotel<ReadHotel>,
    state: web::Data<State>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let parse =
        |name: &String| name.parse::<EventType>().map_err(|_| Problem::unknown_event_type(name));
    let event_type = query.event_type.as_ref().map(parse).transpose()?;
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
