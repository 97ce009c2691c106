//! The catalogue of design §2, restated by hand: a row that is wrong in the core must not be wrong
//! here in the same way.

use chrono::TimeDelta;
use plg_core::catalogue::EventType;

pub(crate) const SESSION_WINDOW: TimeDelta = TimeDelta::seconds(30 * 60);
pub(crate) const QUOTE_RUNS_A_DAY: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    OncePerKey,
    WhileFree,
    WhileHeld,
    OncePerSession,
    EachSending,
    SomePerDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meter {
    Imports,
    Exports,
    Seats,
}

pub(crate) const EVENT_TYPES: [EventType; 13] = [
    EventType::ImportSuccess,
    EventType::ExportSuccess,
    EventType::ExportBlocked,
    EventType::SeatAdded,
    EventType::SeatRemoved,
    EventType::PlaybookOpen,
    EventType::UpgradeClick,
    EventType::CreateHotelAttempt,
    EventType::InviteAttemptBlocked,
    EventType::PaywallView,
    EventType::DashboardViewSession,
    EventType::PricingTabSessionView,
    EventType::PricingQuoteRun,
];

pub(crate) fn rule(event_type: EventType) -> Rule {
    match event_type {
        EventType::ImportSuccess | EventType::ExportSuccess => Rule::OncePerKey,
        EventType::SeatAdded => Rule::WhileFree,
        EventType::SeatRemoved => Rule::WhileHeld,
        EventType::ExportBlocked
        | EventType::PlaybookOpen
        | EventType::PaywallView
        | EventType::DashboardViewSession
        | EventType::PricingTabSessionView => Rule::OncePerSession,
        EventType::UpgradeClick
        | EventType::CreateHotelAttempt
        | EventType::InviteAttemptBlocked => Rule::EachSending,
        EventType::PricingQuoteRun => Rule::SomePerDay,
    }
}

/// Which meter a recorded event moves, and by how much.
pub(crate) fn moves(event_type: EventType) -> Option<(Meter, i64)> {
    match event_type {
        EventType::ImportSuccess => Some((Meter::Imports, 1)),
        EventType::ExportSuccess => Some((Meter::Exports, 1)),
        EventType::SeatAdded => Some((Meter::Seats, 1)),
        EventType::SeatRemoved => Some((Meter::Seats, -1)),
        _ => None,
    }
}
