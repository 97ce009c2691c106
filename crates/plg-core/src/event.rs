//! One event: as somebody wants it recorded ([`NewEvent`], checked into a [`Command`]), and as it
//! was recorded ([`RecordedEvent`]).

use crate::as_text;
use crate::calendar::Month;
use crate::catalogue::{DedupRule, EventType};
use crate::event_data::EventData;
use crate::gate::Gate;
use crate::ids::{DedupKey, EventId, HotelId, SeatUserId, SessionId, UserId};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

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
    /// Once per key or per session.
    Gate(Gate),
    Seat {
        seat: SeatUserId,
        must_be_held: bool,
    },
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

    fn try_from(mut event: NewEvent) -> Result<Self, NewEventError> {
        let NewEvent { event_type, hotel_id, .. } = event;
        let name = event_type.name();
        let key = || event.dedup_key.as_ref().ok_or(NewEventError::DedupKeyMissing(event_type));
        let seat = |must_be_held| {
            let seat = key()?.as_str().parse();
            let seat = seat.map_err(|_| NewEventError::SeatNotUuid(event_type))?;
            Ok(Dedup::Seat { seat, must_be_held })
        };
        let dedup = match event_type.entry().dedup {
            DedupRule::OncePerKey => Dedup::Gate(Gate::of_key(hotel_id, name, key()?)),
            DedupRule::SeatFree => seat(false)?,
            DedupRule::SeatHeld => seat(true)?,
            DedupRule::OncePerSession => {
                let session = event.session_id.as_ref();
                let session = session.ok_or(NewEventError::SessionIdMissing(event_type))?;
                Dedup::Gate(Gate::of_session(hotel_id, name, session))
            }
            DedupRule::Each => Dedup::Each,
            DedupRule::PerDay(max) => Dedup::PerDay(max),
        };
        if let Dedup::Seat { seat, .. } = dedup {
            // A UUID has several spellings, and the log has one.
            event.dedup_key = Some(seat.into());
        }
        let sending = event.event_id.as_ref().map(|id| Gate::of_sending(hotel_id, id));
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
    #[must_use]
    pub const fn sending(&self) -> Option<Gate> {
        self.sending
    }

    /// Whether it grants a seat, or gives one up.
    #[must_use]
    pub const fn is_about_a_seat(&self) -> bool {
        matches!(self.dedup, Dedup::Seat { .. })
    }

    /// The same, sent by a user's browser. Its ids are remembered apart from those of backends, and of other users:
    /// whoever guesses the ids that a backend will use could have its actions taken for repetitions, and never
    /// counted.
    #[must_use]
    pub fn from_browser(self) -> Self {
        let NewEvent { hotel_id, user_id, event_id, .. } = &self.event;
        let gate = |id| Gate::of_browser_sending(*hotel_id, *user_id, id);
        Self { sending: event_id.as_ref().map(gate), ..self }
    }

    /// What the dedup rule asks on this hotel-local day.
    pub(crate) fn barrier(&self, day: NaiveDate) -> Barrier {
        let (hotel_id, name) = (self.event.hotel_id, self.event.event_type.name());
        match &self.dedup {
            Dedup::Each => Barrier::None,
            Dedup::Gate(gate) => Barrier::Gate(*gate),
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
        let NewEvent { hotel_id, session_id, dedup_key, event_id, .. } = &self.event;
        let (hotel_id, name) = (*hotel_id, event_type.name());
        let dedup = match (event_type.entry().dedup, session_id, dedup_key) {
            (DedupRule::OncePerSession, Some(session), _) => {
                Dedup::Gate(Gate::of_session(hotel_id, name, session))
            }
            (DedupRule::OncePerSession, None, Some(key)) => {
                Dedup::Gate(Gate::of_key(hotel_id, name, key))
            }
            _ => Dedup::Each,
        };
        let sending = match (&dedup, event_id) {
            (Dedup::Each, Some(id)) => Some(Gate::of_refusal(hotel_id, id)),
            _ => None,
        };
        let event = NewEvent { event_type, event_id: None, event_data: None, ..self.event.clone() };
        Some(Self { event, dedup, sending })
    }
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Event))]
pub struct RecordedEvent {
    /// What happened.
    pub event_type: EventType,
    /// At which hotel.
    pub hotel_id: HotelId,
    /// Who did it.
    pub user_id: UserId,
    /// In which browser session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub session_id: Option<SessionId>,
    /// The client's id of the sending.
    #[serde(rename = "id", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub event_id: Option<EventId>,
    /// The job, export or seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub dedup_key: Option<DedupKey>,
    /// What the sender wanted to remember.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub event_data: Option<EventData>,
    /// The hotel-local month, as decided when the event was recorded.
    pub month: Month,
    /// The hotel-local day, likewise.
    #[serde(serialize_with = "as_text::day")]
    pub day: NaiveDate,
    /// Position in the hotel-month, 1, 2, 3, … without a gap.
    pub seq: i64,
    /// When it was recorded, to the microsecond.
    #[serde(serialize_with = "as_text::instant")]
    pub recorded_at: DateTime<Utc>,
}

impl RecordedEvent {
    /// Whether this is what `event` wants recorded.
    #[must_use]
    pub fn records(&self, event: &NewEvent) -> bool {
        let NewEvent { event_type, hotel_id, user_id, session_id, event_id, dedup_key, event_data } =
            event;
        let same_data = match (&self.event_data, event_data) {
            (Some(own), Some(other)) => own.is_same(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        same_data
            && (self.event_type, self.hotel_id, self.user_id) == (*event_type, *hotel_id, *user_id)
            && (&self.session_id, &self.event_id, &self.dedup_key)
                == (session_id, event_id, dedup_key)
    }
}
