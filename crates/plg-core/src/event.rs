//! One event: as somebody wants it recorded ([`NewEvent`], checked into a [`Command`]), and as it
//! was recorded ([`RecordedEvent`]).

use crate::calendar::Month;
use crate::catalogue::{DedupRule, EventType};
use crate::gate::Gate;
use crate::ids::{DedupKey, EventId, HotelId, SeatUserId, SessionId, UserId};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;

/// Longest accepted `event_data`, in bytes of JSON as sent.
pub const EVENT_DATA_MAX_BYTES: usize = 8 * 1024;
/// Deepest accepted `event_data`, in levels; the object itself is the first.
pub const EVENT_DATA_MAX_LEVELS: usize = 16;

/// What the sender wants to remember with an event: a JSON object within bounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct EventData(Value);

/// Why a JSON text is not [`EventData`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventDataError {
    /// Longer than [`EVENT_DATA_MAX_BYTES`].
    #[error("must be at most {EVENT_DATA_MAX_BYTES} bytes of JSON, got {bytes}")]
    TooLarge {
        /// Bytes received.
        bytes: usize,
    },
    /// Deeper than [`EVENT_DATA_MAX_LEVELS`].
    #[error("must be at most {EVENT_DATA_MAX_LEVELS} levels deep")]
    TooDeep,
    /// A number, a text, an array …
    #[error("must be a JSON object")]
    NotAnObject,
    /// `\u0000` somewhere in a key or a text: databases cannot store it.
    #[error("must not contain the character U+0000")]
    Nul,
    /// Not JSON at all.
    #[error("must be a JSON object: {0}")]
    Malformed(String),
}

impl EventData {
    /// Checks a JSON text.
    ///
    /// # Errors
    /// Says which bound it breaks.
    pub fn parse(json: &str) -> Result<Self, EventDataError> {
        if json.len() > EVENT_DATA_MAX_BYTES {
            return Err(EventDataError::TooLarge { bytes: json.len() });
        }
        let value: Value = serde_json::from_str(json).map_err(|e| match e.to_string() {
            message if message.starts_with("recursion limit") => EventDataError::TooDeep,
            message => EventDataError::Malformed(message),
        })?;
        if !value.is_object() {
            return Err(EventDataError::NotAnObject);
        }
        check_level(&value, 1)?;
        Ok(Self(value))
    }

    /// From a stored value, which was checked when it was written.
    #[must_use]
    pub const fn from_stored(value: Value) -> Self {
        Self(value)
    }

    /// As JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.to_string()
    }
}

fn check_level(value: &Value, level: usize) -> Result<(), EventDataError> {
    let deeper = |value: &Value| match value {
        Value::Array(_) | Value::Object(_) if level == EVENT_DATA_MAX_LEVELS => {
            Err(EventDataError::TooDeep)
        }
        _ => check_level(value, level + 1),
    };
    let text = |text: &str| {
        if text.contains('\0') { Err(EventDataError::Nul) } else { Ok(()) }
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(s) => text(s),
        Value::Array(items) => items.iter().try_for_each(deeper),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            text(key)?;
            deeper(value)
        }),
    }
}

/// An event to record, before its rule has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub event_type: EventType,
    /// At which hotel.
    pub hotel_id: HotelId,
    /// Who did it.
    pub user_id: UserId,
    /// In which browser session. Required where the rule is once per session.
    pub session_id: Option<SessionId>,
    /// The client's id of this sending.
    pub event_id: Option<EventId>,
    /// The job, export or seat. Required where the rule is once per key or about a seat.
    pub dedup_key: Option<DedupKey>,
    /// Whatever else the sender wants to remember.
    pub event_data: Option<EventData>,
}

/// What an event's dedup rule requires, and does not find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NewEventError {
    /// Once per session, but no session.
    #[error("is required: {0} is recorded once per session")]
    SessionIdMissing(EventType),
    /// Once per key, but no key.
    #[error("is required: {0} is recorded once per job, export or seat")]
    DedupKeyMissing(EventType),
    /// A seat is named by the UUID of its user.
    #[error("must be the UUID of the seat's user for {0}")]
    SeatNotUuid(EventType),
}

impl NewEventError {
    /// The field at fault.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::SessionIdMissing(_) => "session_id",
            Self::DedupKeyMissing(_) | Self::SeatNotUuid(_) => "dedup_key",
        }
    }
}

/// An event's dedup rule with what it needs to be applied.
#[derive(Debug, Clone, PartialEq)]
enum Dedup {
    Key(DedupKey),
    Seat { seat: SeatUserId, must_be_held: bool },
    Session(SessionId),
    Each,
    PerDay(i64),
}

/// An event that can be decided upon: it has all that its rule needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    event: NewEvent,
    dedup: Dedup,
    sending: Option<Gate>,
}

/// What stands between a command and its record, besides its sending's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barrier {
    None,
    Gate(Gate),
    Seat { seat: SeatUserId, must_be_held: bool },
}

impl TryFrom<NewEvent> for Command {
    type Error = NewEventError;

    fn try_from(event: NewEvent) -> Result<Self, NewEventError> {
        let event_type = event.event_type;
        let key = || event.dedup_key.clone().ok_or(NewEventError::DedupKeyMissing(event_type));
        let seat = |must_be_held| {
            let seat = key()?.as_str().parse();
            let seat = seat.map_err(|_| NewEventError::SeatNotUuid(event_type))?;
            Ok(Dedup::Seat { seat, must_be_held })
        };
        let dedup = match event_type.entry().dedup {
            DedupRule::OncePerKey => Dedup::Key(key()?),
            DedupRule::SeatFree => seat(false)?,
            DedupRule::SeatHeld => seat(true)?,
            DedupRule::OncePerSession => {
                let session = event.session_id.clone();
                Dedup::Session(session.ok_or(NewEventError::SessionIdMissing(event_type))?)
            }
            DedupRule::Each => Dedup::Each,
            DedupRule::PerDay(max) => Dedup::PerDay(max),
        };
        let sending = event.event_id.as_ref().map(|id| Gate::of_sending(event.hotel_id, id));
        Ok(Self { event, dedup, sending })
    }
}

impl Command {
    /// The event as it was sent.
    #[must_use]
    pub const fn event(&self) -> &NewEvent {
        &self.event
    }

    /// Whose event it is.
    #[must_use]
    pub const fn hotel_id(&self) -> HotelId {
        self.event.hotel_id
    }

    /// The gate of the client's id, if it sent one.
    pub(crate) const fn sending(&self) -> Option<Gate> {
        self.sending
    }

    /// What the dedup rule asks on this hotel-local day.
    pub(crate) fn barrier(&self, day: NaiveDate) -> Barrier {
        let (hotel_id, name) = (self.event.hotel_id, self.event.event_type.name());
        match &self.dedup {
            Dedup::Each => Barrier::None,
            Dedup::Key(key) => Barrier::Gate(Gate::of_key(hotel_id, name, key)),
            Dedup::Session(session) => Barrier::Gate(Gate::of_session(hotel_id, name, session)),
            Dedup::PerDay(max) => Barrier::Gate(Gate::of_day(hotel_id, name, day, *max)),
            Dedup::Seat { seat, must_be_held } => {
                Barrier::Seat { seat: *seat, must_be_held: *must_be_held }
            }
        }
    }

    /// The event that is logged when this one is refused by its quota, if its type has one.
    ///
    /// Design §2: `export_blocked` once per session, or once per export when no session is named;
    /// `invite_attempt_blocked` at each attempt, and a repeated sending is no new attempt.
    pub(crate) fn refusal(&self) -> Option<Self> {
        let event_type = self.event.event_type.entry().effect?.when_refused?;
        let dedup = match (event_type.entry().dedup, &self.event.session_id, &self.event.dedup_key)
        {
            (DedupRule::OncePerSession, Some(session), _) => Dedup::Session(session.clone()),
            (DedupRule::OncePerSession, None, Some(key)) => Dedup::Key(key.clone()),
            _ => Dedup::Each,
        };
        let sending = match (&dedup, &self.event.event_id) {
            (Dedup::Each, Some(id)) => Some(Gate::of_refusal(self.event.hotel_id, id)),
            _ => None,
        };
        let event = NewEvent { event_type, event_id: None, event_data: None, ..self.event.clone() };
        Some(Self { event, dedup, sending })
    }
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordedEvent {
    /// What happened.
    pub event_type: EventType,
    /// At which hotel.
    pub hotel_id: HotelId,
    /// Who did it.
    pub user_id: UserId,
    /// In which browser session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The client's id of the sending.
    #[serde(rename = "id", skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// The job, export or seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<DedupKey>,
    /// What the sender wanted to remember.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_data: Option<EventData>,
    /// The hotel-local month, as decided when the event was recorded.
    pub month: Month,
    /// The hotel-local day, likewise.
    pub day: NaiveDate,
    /// Position in the hotel-month, 1, 2, 3, … without a gap.
    pub seq: i64,
    /// When it was recorded, to the microsecond.
    pub recorded_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_data_is_a_bounded_object() {
        assert!(EventData::parse(r#"{"a": [1, {"b": null}]}"#).is_ok());
        assert_eq!(EventData::parse("[1]"), Err(EventDataError::NotAnObject));
        assert_eq!(EventData::parse(r#"{"a\u0000": 1}"#), Err(EventDataError::Nul));
        assert_eq!(EventData::parse(r#"{"a": ["\u0000"]}"#), Err(EventDataError::Nul));
        assert!(matches!(EventData::parse("{"), Err(EventDataError::Malformed(_))));

        let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(EventData::parse(&sized(EVENT_DATA_MAX_BYTES)).is_ok());
        assert_eq!(
            EventData::parse(&sized(EVENT_DATA_MAX_BYTES + 1)),
            Err(EventDataError::TooLarge { bytes: EVENT_DATA_MAX_BYTES + 1 })
        );

        let deep = |levels: usize| {
            format!("{{\"a\":{}0{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
        };
        assert!(EventData::parse(&deep(EVENT_DATA_MAX_LEVELS)).is_ok());
        assert_eq!(
            EventData::parse(&deep(EVENT_DATA_MAX_LEVELS + 1)),
            Err(EventDataError::TooDeep)
        );
    }
}
