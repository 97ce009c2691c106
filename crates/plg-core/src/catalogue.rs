//! The event catalogue, as data. Only these types exist: anything else is refused.
//!
//! Source: design §2. Nothing outside this table knows a rule of a single event type.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An event of this session that was recorded less than this long ago suppresses the next one.
pub const SESSION_WINDOW: TimeDelta = TimeDelta::minutes(30);

/// Price calculations recorded per hotel and hotel-local day.
pub const PRICING_QUOTE_RUNS_PER_DAY: i64 = 10;

/// What is counted against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Counter {
    /// Imports completed in the month.
    Imports,
    /// Exports completed in the month.
    Exports,
    /// Seats held; carried from month to month.
    ActiveUsers,
}

impl Counter {
    /// Every counter, in the order of the API.
    pub const ALL: [Self; 3] = [Self::Imports, Self::Exports, Self::ActiveUsers];

    /// The name in the API and the column name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imports => "imports",
            Self::Exports => "exports",
            Self::ActiveUsers => "active_users",
        }
    }

    /// Whether a month begins with the balance of the one before, instead of zero.
    #[must_use]
    pub const fn carries_over(self) -> bool {
        matches!(self, Self::ActiveUsers)
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Counter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|counter| counter.name() == text).ok_or(())
    }
}

/// Which earlier event makes a new one a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupRule {
    /// One per `dedup_key`, for ever.
    OncePerKey,
    /// Only when the seat named by `dedup_key` is not held.
    SeatFree,
    /// Only when the seat named by `dedup_key` is held.
    SeatHeld,
    /// One per session and [`SESSION_WINDOW`].
    OncePerSession,
    /// None: each sending counts.
    Each,
    /// At most this many per hotel-local day.
    PerDay(i64),
}

/// What recording an event does to a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Which counter moves.
    pub counter: Counter,
    /// By how many units: +1 or −1.
    pub step: i64,
    /// What is logged when the counter's limit refuses the event.
    pub when_refused: Option<EventType>,
}

/// Who may send an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The application's backend only.
    Backend,
    /// A browser too, for its own session's hotel and user.
    BrowserOrBackend,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The type this row is about.
    pub event_type: EventType,
    /// Its name in the API and the database.
    pub name: &'static str,
    /// When it is a repetition.
    pub dedup: DedupRule,
    /// What it counts.
    pub effect: Option<Effect>,
    /// Who may send it.
    pub sender: Sender,
}

/// A product event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// An import completed.
    ImportSuccess,
    /// An export completed.
    ExportSuccess,
    /// An export was refused by its quota.
    ExportBlocked,
    /// A seat was granted.
    SeatAdded,
    /// A seat was given up.
    SeatRemoved,
    /// The playbook tab was opened.
    PlaybookOpen,
    /// An upgrade call to action was clicked.
    UpgradeClick,
    /// A second hotel was attempted.
    CreateHotelAttempt,
    /// An invite was refused by the seat limit.
    InviteAttemptBlocked,
    /// A paywall or upgrade modal was seen.
    PaywallView,
    /// The dashboard was viewed (trial bonus).
    DashboardViewSession,
    /// The pricing tab was viewed (trial bonus).
    PricingTabSessionView,
    /// A price calculation ran.
    PricingQuoteRun,
}

const fn entry(
    event_type: EventType,
    name: &'static str,
    dedup: DedupRule,
    sender: Sender,
) -> Entry {
    Entry { event_type, name, dedup, effect: None, sender }
}

const fn counted(
    event_type: EventType,
    name: &'static str,
    dedup: DedupRule,
    (counter, step): (Counter, i64),
    when_refused: Option<EventType>,
) -> Entry {
    let effect = Some(Effect { counter, step, when_refused });
    Entry { event_type, name, dedup, effect, sender: Sender::Backend }
}

use Counter::{ActiveUsers, Exports, Imports};
use DedupRule::{Each, OncePerKey, OncePerSession, PerDay, SeatFree, SeatHeld};
use EventType as E;
use Sender::{Backend, BrowserOrBackend};

/// The whole catalogue, in the order of [`EventType`].
#[rustfmt::skip]
pub static CATALOGUE: [Entry; 13] = [
    counted(E::ImportSuccess, "import_success", OncePerKey, (Imports, 1), None),
    counted(E::ExportSuccess, "export_success", OncePerKey, (Exports, 1), Some(E::ExportBlocked)),
    entry(E::ExportBlocked, "export_blocked", OncePerSession, Backend),
    counted(E::SeatAdded, "seat_added", SeatFree, (ActiveUsers, 1), Some(E::InviteAttemptBlocked)),
    counted(E::SeatRemoved, "seat_removed", SeatHeld, (ActiveUsers, -1), None),
    entry(E::PlaybookOpen, "playbook_open", OncePerSession, BrowserOrBackend),
    entry(E::UpgradeClick, "upgrade_click", Each, BrowserOrBackend),
    entry(E::CreateHotelAttempt, "create_hotel_attempt", Each, BrowserOrBackend),
    entry(E::InviteAttemptBlocked, "invite_attempt_blocked", Each, Backend),
    entry(E::PaywallView, "paywall_view", OncePerSession, BrowserOrBackend),
    entry(E::DashboardViewSession, "dashboard_view_session", OncePerSession, BrowserOrBackend),
    entry(E::PricingTabSessionView, "pricing_tab_session_view", OncePerSession, BrowserOrBackend),
    entry(E::PricingQuoteRun, "pricing_quote_run", PerDay(PRICING_QUOTE_RUNS_PER_DAY), BrowserOrBackend),
];

/// The text names no event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an event type; the catalogue has: {}", EventType::names())]
pub struct UnknownEventType;

impl EventType {
    /// This type's row of the catalogue.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        &CATALOGUE[self as usize]
    }

    /// The name in the API and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// All names, for messages.
    #[must_use]
    pub fn names() -> String {
        CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<Self, UnknownEventType> {
        let row = CATALOGUE.iter().find(|entry| entry.name == text);
        row.map(|entry| entry.event_type).ok_or(UnknownEventType)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_type() {
        for (index, row) in CATALOGUE.iter().enumerate() {
            assert_eq!(row.event_type as usize, index);
            assert_eq!(row.name.parse(), Ok(row.event_type));
            assert_eq!(row.event_type.entry().name, row.name);
        }
        assert_eq!("Import_Success".parse::<EventType>(), Err(UnknownEventType));
    }

    /// Promise 7: a browser can never move a counter.
    #[test]
    fn whatever_counts_is_for_backends() {
        for row in &CATALOGUE {
            assert!(row.effect.is_none() || row.sender == Sender::Backend, "{}", row.name);
        }
    }
}
