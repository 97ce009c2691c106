//! The catalogue and the plans, restated by hand from design §2: a row that is wrong in the product
//! must not be wrong here in the same way.

use chrono::TimeDelta;

/// What has been recorded in a session so lately suppresses its like.
pub(super) const SESSION_WINDOW: TimeDelta = TimeDelta::seconds(1_800);
/// Price calculations of a hotel on a local day.
pub(super) const QUOTE_RUNS_A_DAY: usize = 10;
/// Characters of a session, an id or a key.
pub(super) const TEXT_MAX: usize = 128;

/// What makes an event a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    OncePerKey,
    WhileFree,
    WhileHeld,
    OncePerSession,
    EachSending,
    SomePerDay,
}

/// The rule of an event type; none if there is no such type.
pub(super) fn rule(event_type: &str) -> Option<Rule> {
    Some(match event_type {
        "import_success" | "export_success" => Rule::OncePerKey,
        "seat_added" => Rule::WhileFree,
        "seat_removed" => Rule::WhileHeld,
        "export_blocked"
        | "playbook_open"
        | "paywall_view"
        | "dashboard_view_session"
        | "pricing_tab_session_view" => Rule::OncePerSession,
        "upgrade_click" | "create_hotel_attempt" | "invite_attempt_blocked" => Rule::EachSending,
        "pricing_quote_run" => Rule::SomePerDay,
        _ => return None,
    })
}

/// What counts.
pub(super) const METERS: [&str; 3] = ["imports", "exports", "active_users"];

/// Which meter an event type moves, and by how much.
pub(super) fn moves(event_type: &str) -> Option<(&'static str, i64)> {
    match event_type {
        "import_success" => Some(("imports", 1)),
        "export_success" => Some(("exports", 1)),
        "seat_added" => Some(("active_users", 1)),
        "seat_removed" => Some(("active_users", -1)),
        _ => None,
    }
}

/// A plan's limits, in the order of [`METERS`]; none if there is no such plan.
pub(super) fn plan_limits(plan: &str) -> Option<[Option<i64>; 3]> {
    match plan {
        "standard" => Some([Some(3), Some(30), Some(1)]),
        "superior" => Some([Some(15), Some(300), Some(3)]),
        "deluxe" => Some([Some(50), None, Some(10)]),
        "suite" => Some([None, None, None]),
        _ => None,
    }
}
