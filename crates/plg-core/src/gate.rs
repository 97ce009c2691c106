//! Gates: the remembered state of a dedup rule, one per hotel and key.
//!
//! A gate changes only when an event is recorded. So a repetition, a suppressed event and a
//! refused action leave no trace, and the same sending may be tried again.

use crate::catalogue::SESSION_WINDOW;
use crate::ids::HotelId;
use chrono::{DateTime, NaiveDate, Utc};
use std::fmt::Display;
use uuid::Uuid;

/// A gate's key: UUIDv5 of hotel and rule, so every key has one short, fixed width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateKey(pub Uuid);

/// How a gate closes, and whether it opens again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateKind {
    /// Closed for ever by its first event.
    Once,
    /// Closed for [`SESSION_WINDOW`] after its last event.
    Session,
    /// Closed by the given number of events; its key holds the day.
    Day(i64),
}

/// The gate that an event has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Whose gate it is.
    pub hotel_id: HotelId,
    /// Its key.
    pub key: GateKey,
    /// Its rule.
    pub kind: GateKind,
}

/// What is stored of a gate that an event has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateState {
    /// When the last event passed.
    pub last_at: DateTime<Utc>,
    /// How many events have passed.
    pub passed: i64,
}

impl Gate {
    fn new(hotel_id: HotelId, kind: GateKind, rule: &str, key: impl Display) -> Self {
        let key = Uuid::new_v5(&hotel_id.0, format!("{rule}/{key}").as_bytes());
        Self { hotel_id, key: GateKey(key), kind }
    }

    /// Of a client's own id of a sending, whatever its event type.
    #[must_use]
    pub fn of_sending(hotel_id: HotelId, id: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Once, "id", id)
    }

    /// Of the event that the service logs when it refuses the sending with this id.
    #[must_use]
    pub fn of_refusal(hotel_id: HotelId, id: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Once, "refused", id)
    }

    /// Of an event type's dedup key.
    #[must_use]
    pub fn of_key(hotel_id: HotelId, event_type: &str, key: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Once, &format!("{event_type}/key"), key)
    }

    /// Of an event type in a session.
    #[must_use]
    pub fn of_session(hotel_id: HotelId, event_type: &str, session: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Session, &format!("{event_type}/session"), session)
    }

    /// Of an event type on a hotel-local day, for at most `max` events.
    #[must_use]
    pub fn of_day(hotel_id: HotelId, event_type: &str, day: NaiveDate, max: i64) -> Self {
        Self::new(hotel_id, GateKind::Day(max), &format!("{event_type}/day"), day)
    }

    /// Whether an event at `now` may pass.
    #[must_use]
    pub fn is_open(&self, state: Option<GateState>, now: DateTime<Utc>) -> bool {
        match (self.kind, state) {
            (_, None) => true,
            (GateKind::Once, Some(_)) => false,
            (GateKind::Session, Some(state)) => now - state.last_at >= SESSION_WINDOW,
            (GateKind::Day(max), Some(state)) => state.passed < max,
        }
    }

    /// The state after an event passed at `now`.
    #[must_use]
    pub fn passed(state: Option<GateState>, now: DateTime<Utc>) -> GateState {
        GateState { last_at: now, passed: state.map_or(0, |state| state.passed) + 1 }
    }
}
