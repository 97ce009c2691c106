//! A month of some hotels, replayed over HTTP on both databases: every answer and every total is
//! what an independent model says, and the same requests are made from the same seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use chrono::{DateTime, TimeDelta, Utc};
use plg_testkit::scenario::{Call, GROUP, Model, Scenario, books, replay};
use plg_testkit::{Backend, TestApp, TestClock, TestDatabase, ledger};
use rstest::rstest;
use std::collections::BTreeMap;

const SEED: u64 = 7;
/// The hotels at the head of the list, about 2,500 requests.
const FEW: usize = 3;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_comes_out_as_the_model_says(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let scenario = Scenario::generate(SEED, FEW);
    let database = TestDatabase::new(backend).await;
    let clock = TestClock::at("2026-09-30T00:00:00Z");
    let app = TestApp::start(&database, &clock).await;
    let mut model = Model::default();

    let report = replay(&app.api, &clock, &mut model, &scenario.requests, |_| {}).await;

    assert_eq!(report.wrong, 0, "{:#?}", report.differences);
    let expected = model.books();
    let hotels = scenario.hotels.iter().map(|hotel| hotel.id());
    assert_eq!(books::ask(&app.api, hotels).await, books::used(&expected));
    app.stop().await;
    let db = database.connect().await;
    assert_eq!(books::read(&db).await, expected);
    ledger::assert_balanced(&db).await;
}

/// Without a database: it is about the requests.
#[test]
fn the_same_seed_makes_the_same_requests() {
    let scenario = Scenario::generate(SEED, FEW);
    assert_eq!(scenario, Scenario::generate(SEED, FEW));
    assert_ne!(scenario, Scenario::generate(SEED + 1, FEW));
}

/// Without a database: it is about the requests.
#[test]
fn a_month_is_20_000_requests_in_order_of_time() {
    let requests = Scenario::generate(SEED, GROUP.len()).requests;
    assert!(requests.is_sorted_by_key(|request| request.at));
    assert!((18_000..=22_000).contains(&requests.len()), "{}", requests.len());
    let few = Scenario::generate(SEED, FEW).requests.len();
    assert!((2_000..=3_000).contains(&few), "{few}");
}

/// Without a database: it is about the requests.
#[test]
fn months_turn_and_an_hour_happens_twice() {
    let scenario = Scenario::generate(SEED, FEW);
    let mut model = Model::default();
    for request in &scenario.requests {
        model.answer(request);
    }
    for hotel in scenario.hotels {
        for month in ["2026-09", "2026-10", "2026-11"] {
            let totals = &model.books()[&(hotel.id(), month.to_owned())];
            assert!(totals.event_count() > 0, "{} {month}", hotel.name);
        }
    }
    // In Vienna it was twice from two to three o'clock on 25 October.
    for hour in ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"] {
        let from: DateTime<Utc> = hour.parse().unwrap();
        let within = |at: DateTime<Utc>| (from..from + TimeDelta::hours(1)).contains(&at);
        assert!(scenario.requests.iter().any(|request| within(request.at)), "{hour}");
    }
}

/// What a month has to have in it: a rule that never applies would not be tested.
const APPLIED: [(&str, &[&str]); 13] = [
    ("import_success", &["recorded", "duplicate", "quota_exceeded", "invalid_field"]),
    ("export_success", &["recorded", "duplicate", "quota_exceeded", "invalid_field"]),
    ("export_blocked", &["recorded", "suppressed_session"]),
    ("seat_added", &["recorded", "duplicate", "quota_exceeded", "invalid_field"]),
    ("seat_removed", &["recorded", "duplicate"]),
    ("playbook_open", &["recorded", "suppressed_session"]),
    ("upgrade_click", &["recorded", "duplicate", "invalid_field"]),
    ("create_hotel_attempt", &["recorded", "duplicate"]),
    ("invite_attempt_blocked", &["recorded"]),
    ("paywall_view", &["recorded", "suppressed_session", "invalid_field"]),
    ("dashboard_view_session", &["recorded", "suppressed_session", "invalid_field"]),
    ("pricing_tab_session_view", &["recorded", "suppressed_session"]),
    ("pricing_quote_run", &["recorded", "duplicate", "suppressed_daily_cap"]),
];

/// Without a database: it is about the requests.
#[rstest]
#[case::few(FEW, 1)]
#[case::all(GROUP.len(), 5)]
fn every_rule_applies(#[case] hotels: usize, #[case] times: u32) {
    let mut model = Model::default();
    let mut seen: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for request in &Scenario::generate(SEED, hotels).requests {
        let sendings = match &request.call {
            Call::Action(sending) | Call::Event(sending) => std::slice::from_ref(sending),
            Call::Events(sendings) => sendings,
            _ => &[],
        };
        for (sending, part) in sendings.iter().zip(model.answer(request).parts) {
            *seen.entry((sending.event_type, part.said)).or_default() += 1;
        }
    }
    for (event_type, outcomes) in APPLIED {
        for outcome in outcomes {
            let n = seen.get(&(event_type, (*outcome).to_owned())).copied().unwrap_or_default();
            assert!(n >= times, "{n} times {event_type} {outcome}");
        }
    }
}
