//! Events as CloudEvents 1.0.2, as emitters that already speak it send them.
//!
//! `type` is the event type, `subject` the hotel, and `source` with `id` the id of the sending. `data`
//! says who and in which session; whatever else it holds is the event's data. `time` and extension
//! attributes are accepted and not kept: the time of an event is when it was recorded.

use super::event::event_type;
use super::{Sending, optional, required};
use crate::json::{Object, parse_part};
use crate::problem::Problem;
use plg_core::catalogue::EventType;
use plg_core::event::NewEvent;
use plg_core::event_data::{self, EVENT_DATA_MAX_BYTES};
use plg_core::ids::{DedupKey, EventId, HotelId, SessionId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// Fields of an event of ours, and what they are called here.
pub(super) const NAMES: [(&str, &str); 6] = [
    ("event_type", "type"),
    ("hotel_id", "subject"),
    ("user_id", "data.user_id"),
    ("session_id", "data.session_id"),
    ("dedup_key", "data.dedup_key"),
    ("event_data", "data"),
];

/// Longest `data`, in bytes as sent. What is kept of it is bounded by itself; letters written as escapes take three times
/// as much, and there are ids beside it.
const DATA_MAX_BYTES: usize = 4 * EVENT_DATA_MAX_BYTES;

/// A CloudEvent to record.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CloudEvent {
    /// `1.0`
    #[schema(pattern = "^1\\.0$")]
    specversion: String,
    /// With `source`, the id of this sending: recorded once per hotel. Together they have at most 127 characters.
    #[schema(min_length = 1, max_length = 63, pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F]*$")]
    id: String,
    /// Who emits: a URI reference, without white space.
    #[schema(min_length = 1, max_length = 63, pattern = "^[!-~]*$")]
    source: String,
    #[serde(rename = "type")]
    #[schema(value_type = EventType)]
    event_type: String,
    /// The hotel.
    #[schema(value_type = HotelId)]
    subject: Uuid,
    /// `application/json`, if anything.
    #[schema(value_type = Option<String>, pattern = "^application/json$")]
    datacontenttype: Option<String>,
    #[schema(value_type = CloudEventData)]
    data: Box<RawValue>,
}

/// Who did it, and whatever else there is to remember.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CloudEventData {
    #[schema(value_type = UserId)]
    user_id: Uuid,
    /// Required where the rule is once per session, unless `X-Session-Id` names it.
    #[schema(value_type = Option<SessionId>)]
    session_id: Option<String>,
    /// The job, export or seat. Required where the rule is once per job, export or seat.
    #[schema(value_type = Option<DedupKey>)]
    dedup_key: Option<String>,
    /// The event's data.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl CloudEvent {
    pub(super) fn into_event(self, sending: &Sending) -> Result<NewEvent, Problem> {
        if self.specversion != "1.0" {
            let detail = format!("must be 1.0, got {:?}", self.specversion);
            return Err(Problem::field("specversion", detail));
        }
        let kind = self.datacontenttype.as_deref().unwrap_or("application/json");
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let kind = kind.to_ascii_lowercase();
        if kind != "application/json" && !kind.ends_with("+json") {
            let detail = format!("must be application/json, got {kind:?}");
            return Err(Problem::field("datacontenttype", detail));
        }
        let id = sending_id(&self.source, &self.id)?;
        // Before it is understood, which takes a hundred times as much memory.
        let bytes = self.data.get().len();
        if bytes > DATA_MAX_BYTES {
            let detail = format!("must be at most {DATA_MAX_BYTES} bytes of JSON, got {bytes}");
            return Err(Problem::field("data", detail));
        }
        // First: what `rest` is read as would hide it.
        event_data::check_exact(self.data.get()).map_err(|error| Problem::field("data", error))?;
        let Object(sent) = parse_part::<Object<CloudEventData>>("data", &self.data)?;
        let data = (!sent.rest.is_empty()).then_some(sent.rest);
        let data = data.map(|rest| serde_json::value::to_raw_value(&rest)).transpose();
        let data = data.map_err(|error| Problem::field("data", error))?;
        Ok(NewEvent {
            event_type: event_type(&self.event_type)?,
            hotel_id: HotelId(self.subject),
            user_id: UserId(sent.user_id),
            session_id: sending.session(sent.session_id)?,
            event_id: sending.id(Some(id.to_string()))?,
            dedup_key: optional("dedup_key", sent.dedup_key, DedupKey::parse)?,
            event_data: super::event_data(data.as_deref())?,
        })
    }
}

/// No two pairs make the same id: a source holds no space.
fn sending_id(source: &str, id: &str) -> Result<EventId, Problem> {
    if source.is_empty() || source.contains(char::is_whitespace) {
        return Err(Problem::field("source", "must be a URI reference, without white space"));
    }
    if id.is_empty() {
        return Err(Problem::field("id", "must not be empty"));
    }
    required("source and id", format!("{source} {id}"), EventId::parse)
}
