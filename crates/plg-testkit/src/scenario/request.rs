//! What the group's people and programs send.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A request, and when it arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The instant, to the microsecond.
    pub at: DateTime<Utc>,
    /// The header `X-Session-Id`: the session of everything that names none itself.
    pub session_header: Option<String>,
    /// What is called, with what.
    pub call: Call,
}

/// A limit of its own for each named counter; none is unlimited.
pub type OwnLimits = &'static [(&'static str, Option<i64>)];

/// A call of the API.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// `PUT /v1/hotels/{hotel_id}`
    Register {
        /// Whom.
        hotel: Uuid,
        /// Its plan, perhaps one that does not exist.
        plan: &'static str,
        /// Its time zone.
        zone: &'static str,
        /// What it has instead of its plan's limits.
        limits: OwnLimits,
    },
    /// A billable action, by the route of its own.
    Action(Sending),
    /// `POST /v1/events` with one event.
    Event(Sending),
    /// `POST /v1/events` with an array.
    Events(Vec<Sending>),
    /// `POST /v1/events` with a body that breaks off.
    BrokenEvent(Sending),
    /// `GET /v1/hotels/{hotel_id}/usage`
    Usage(Uuid),
}

/// An event as it is sent, valid or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Sending {
    /// Its type, perhaps one that does not exist.
    pub event_type: &'static str,
    /// Where.
    pub hotel: Uuid,
    /// Who.
    pub user: Uuid,
    /// In which session.
    pub session: Option<String>,
    /// The client's id of the sending.
    pub id: Option<String>,
    /// The job, export or seat.
    pub key: Option<String>,
}

impl Request {
    /// The hotel it is about; none when it is about several.
    pub fn hotel(&self) -> Option<Uuid> {
        match &self.call {
            Call::Register { hotel, .. } | Call::Usage(hotel) => Some(*hotel),
            Call::Action(sending) | Call::Event(sending) | Call::BrokenEvent(sending) => {
                Some(sending.hotel)
            }
            Call::Events(sendings) => {
                let first = sendings.first()?.hotel;
                sendings.iter().all(|sending| sending.hotel == first).then_some(first)
            }
        }
    }
}
