//! The events of `POST /v1/events`: ours or CloudEvents, one or several.

use super::body::{Arrived, Unread, declared};
use super::cloud_event::{self, CloudEvent};
use super::{Sending, event_data, optional};
use crate::json::{Object, parse_json};
use crate::problem::Problem;
use actix_web::{FromRequest, HttpRequest, dev};
use plg_core::catalogue::EventType;
use plg_core::event::{Command, NewEvent};
use plg_core::event_data::EventData;
use plg_core::ids::{DedupKey, EventId, HotelId, SessionId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most items of an array.
pub(crate) const ITEMS_MAX: usize = 1_000;

/// How events are written: ours, a CloudEvent, a batch of those.
const FORMS: [&str; 3] =
    ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"];

/// A body of one event or several that is not read yet.
pub(crate) struct UnreadEvents {
    body: Unread,
    form: &'static str,
}

/// A body of one event or several, not yet understood.
#[derive(Debug)]
pub(crate) struct EventsBody {
    body: Arrived,
    form: &'static str,
}

/// One event, or several, not yet understood.
pub(crate) enum Items<'a> {
    /// The body is one.
    One(Item<'a>),
    /// The body is an array.
    Many(Vec<Box<RawValue>>),
}

/// One event, not yet understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    json: &'a [u8],
    is_cloud_event: bool,
}

impl FromRequest for UnreadEvents {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let form = declared(request.headers(), &FORMS);
        std::future::ready(form.map(|form| Self { body: Unread::of(request, payload), form }))
    }
}

impl UnreadEvents {
    /// Reads the body.
    ///
    /// # Errors
    /// When it does not arrive in its bounds.
    pub(crate) async fn read(self) -> Result<EventsBody, Problem> {
        Ok(EventsBody { body: self.body.read().await?, form: self.form })
    }
}

impl EventsBody {
    fn is_cloud_event(&self) -> bool {
        self.form != FORMS[0]
    }

    /// The events in it.
    ///
    /// # Errors
    /// When the body is no JSON, or has too many items.
    pub(crate) fn items(&self) -> Result<Items<'_>, Problem> {
        let first = self.body.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let is_array = first == Some(&b'[');
        if self.form == FORMS[1] || (self.form == FORMS[0] && !is_array) {
            return Ok(Items::One(self.item(&self.body.bytes)));
        }
        let items: Vec<Box<RawValue>> = parse_json(&self.body.bytes)?;
        if items.len() > ITEMS_MAX {
            return Err(Problem::too_many_items(ITEMS_MAX, items.len()));
        }
        Ok(Items::Many(items))
    }

    /// One event of this body.
    #[must_use]
    pub(crate) fn item<'a>(&self, json: &'a [u8]) -> Item<'a> {
        Item { json, is_cloud_event: self.is_cloud_event() }
    }
}

impl Item<'_> {
    /// Checks everything that can be checked without the database, and lets pass what is permitted.
    ///
    /// # Errors
    /// Names the field that is wrong, as the sender does.
    pub(crate) fn command(
        self,
        sending: &Sending,
        permit: impl FnOnce(Command) -> Result<Command, Problem>,
    ) -> Result<Command, Problem> {
        let check = |event: NewEvent| {
            let command = Command::try_from(event);
            permit(command.map_err(|error| Problem::field(error.field(), error))?)
        };
        if self.is_cloud_event {
            let Object(event) = parse_json::<Object<CloudEvent>>(self.json)?;
            let command = event.into_event(sending).and_then(check);
            command.map_err(|problem| problem.renamed(&cloud_event::NAMES))
        } else {
            let Object(event) = parse_json::<Object<EventBody>>(self.json)?;
            event.into_event(sending).and_then(check)
        }
    }
}

/// An event to record.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewEvent)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventBody {
    #[schema(value_type = EventType)]
    event_type: String,
    #[schema(value_type = HotelId)]
    hotel_id: Uuid,
    #[schema(value_type = UserId)]
    user_id: Uuid,
    /// Required where the rule is once per session, unless `X-Session-Id` names it.
    #[schema(value_type = Option<SessionId>)]
    session_id: Option<String>,
    /// Your own id of this sending: recorded once per hotel. Ids from a browser are its user's own.
    #[schema(value_type = Option<EventId>)]
    id: Option<String>,
    /// The job, export or seat. Required where the rule is once per job, export or seat.
    #[schema(value_type = Option<DedupKey>)]
    dedup_key: Option<String>,
    #[schema(value_type = Option<EventData>)]
    event_data: Option<Box<RawValue>>,
}

impl EventBody {
    fn into_event(self, sending: &Sending) -> Result<NewEvent, Problem> {
        Ok(NewEvent {
            event_type: event_type(&self.event_type)?,
            hotel_id: HotelId(self.hotel_id),
            user_id: UserId(self.user_id),
            session_id: sending.session(self.session_id)?,
            event_id: sending.id(self.id)?,
            dedup_key: optional("dedup_key", self.dedup_key, DedupKey::parse)?,
            event_data: event_data(self.event_data.as_deref())?,
        })
    }
}

/// A type of the catalogue.
///
/// # Errors
/// When it is not in it.
pub(crate) fn event_type(name: &str) -> Result<EventType, Problem> {
    name.parse().map_err(|_| Problem::unknown_event_type(name))
}
