//! Design §2, row by row: what a second sending meets, what is counted, what is listed, who may send it.

use crate::access::mint;
use crate::support::{
    HOTEL, OTHER_HOTEL, Service, assert_invalid, assert_outcome, assert_problem, list, seat,
};
use plg_testkit::Backend;
use plg_testkit::app::{USER, event, hotel};
use rstest::rstest;
use serde_json::{Value, json};

/// What a row of the catalogue requires besides hotel and user.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Session,
    Key,
    Nothing,
}

/// Who may send a row of the catalogue.
#[derive(Clone, Copy, PartialEq)]
enum Sender {
    Backend,
    BrowserToo,
}

/// A row of the catalogue, as the design has it.
struct Row {
    event_type: &'static str,
    needs: Needs,
    /// The outcome of the second sending.
    again: &'static str,
    sender: Sender,
    /// What recording it adds to imports, exports and seats.
    effect: [i64; 3],
}

const fn row(event_type: &'static str, needs: Needs, again: &'static str, sender: Sender) -> Row {
    Row { event_type, needs, again, sender, effect: [0, 0, 0] }
}

const fn counted(event_type: &'static str, effect: [i64; 3]) -> Row {
    Row { event_type, needs: Needs::Key, again: "duplicate", sender: Sender::Backend, effect }
}

const CATALOGUE: [Row; 13] = [
    counted("import_success", [1, 0, 0]),
    counted("export_success", [0, 1, 0]),
    row("export_blocked", Needs::Session, "suppressed_session", Sender::Backend),
    counted("seat_added", [0, 0, 1]),
    counted("seat_removed", [0, 0, -1]),
    row("playbook_open", Needs::Session, "suppressed_session", Sender::BrowserToo),
    row("upgrade_click", Needs::Nothing, "recorded", Sender::BrowserToo),
    row("create_hotel_attempt", Needs::Nothing, "recorded", Sender::BrowserToo),
    row("invite_attempt_blocked", Needs::Nothing, "recorded", Sender::Backend),
    row("paywall_view", Needs::Session, "suppressed_session", Sender::BrowserToo),
    row("dashboard_view_session", Needs::Session, "suppressed_session", Sender::BrowserToo),
    row("pricing_tab_session_view", Needs::Session, "suppressed_session", Sender::BrowserToo),
    row("pricing_quote_run", Needs::Nothing, "recorded", Sender::BrowserToo),
];

/// Held before a row is tried, so that it can be given up.
const HELD: u128 = 1;
/// Not held.
const FREE: u128 = 2;

impl Row {
    fn key(&self) -> String {
        match self.event_type {
            "seat_added" => seat(FREE).to_string(),
            "seat_removed" => seat(HELD).to_string(),
            _ => "key-1".to_owned(),
        }
    }

    /// Everything that an event can say, but for its id.
    fn details(&self) -> Value {
        let data = json!({ "where": "toolbar", "steps": [1, 2.5, null, { "ünï": "☃" }] });
        json!({ "session_id": "s-1", "dedup_key": self.key(), "event_data": data })
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_recorded_counted_and_listed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for (number, row) in CATALOGUE.iter().enumerate() {
        let hotel = hotel(100 + number as u128);
        t.unlimit(hotel).await;
        t.add_seat(hotel, seat(HELD)).await;
        let before = t.all_used(hotel).await;

        let answer = t.event(hotel, row.event_type, row.details()).await;

        assert_outcome(&answer, "recorded");
        let mut recorded = event(hotel, row.event_type, row.details());
        recorded["month"] = json!("2026-11");
        recorded["day"] = json!("2026-11-15");
        recorded["seq"] = json!(2);
        recorded["recorded_at"] = json!("2026-11-15T12:00:00Z");
        assert_eq!(answer.body["event"], recorded, "what {} answers", row.event_type);
        let path = format!("/v1/hotels/{hotel}/events?event_type={}&limit=1", row.event_type);
        let listed = list(&t.get(&path).await.body["events"]);
        assert_eq!(listed, [recorded], "how {} is listed", row.event_type);

        let after = t.all_used(hotel).await;
        let effect = [0, 1, 2].map(|counter| after[counter] - before[counter]);
        assert_eq!(effect, row.effect, "what {} counts", row.event_type);
        assert_eq!(answer.body["quota"].is_object(), row.effect != [0, 0, 0], "{answer:?}");
    }
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_row_has_its_own_rule_for_a_second_sending(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for (number, row) in CATALOGUE.iter().enumerate() {
        let hotel = hotel(100 + number as u128);
        t.unlimit(hotel).await;
        t.add_seat(hotel, seat(HELD)).await;
        assert_outcome(&t.event(hotel, row.event_type, row.details()).await, "recorded");
        let counted_once = t.all_used(hotel).await;

        let again = t.event(hotel, row.event_type, row.details()).await;

        assert_outcome(&again, row.again);
        let recorded_again = row.again == "recorded";
        assert_eq!(again.body["event"].is_object(), recorded_again, "{}", row.event_type);
        let logged = t.count(hotel, row.event_type).await;
        let held = usize::from(row.event_type == "seat_added");
        assert_eq!(logged, 1 + held + usize::from(recorded_again), "{}", row.event_type);
        assert_eq!(t.all_used(hotel).await, counted_once, "{}", row.event_type);
    }
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn hotels_do_not_suppress_each_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for hotel in [HOTEL, OTHER_HOTEL] {
        t.unlimit(hotel).await;
        t.add_seat(hotel, seat(HELD)).await;
        for row in &CATALOGUE {
            let answer = t.event(hotel, row.event_type, row.details()).await;
            assert_outcome(&answer, "recorded");
        }
    }
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_row_names_what_its_rule_needs(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.unlimit(HOTEL).await;
    for row in &CATALOGUE {
        let answer = t.event(HOTEL, row.event_type, json!({})).await;
        match row.needs {
            Needs::Session => assert_invalid(&answer, "session_id"),
            Needs::Key => assert_invalid(&answer, "dedup_key"),
            Needs::Nothing => assert_outcome(&answer, "recorded"),
        }
    }
    let nothing_needed = CATALOGUE.iter().filter(|row| row.needs == Needs::Nothing).count();
    assert_eq!(t.events(HOTEL).await.len(), nothing_needed);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_row_says_whether_a_browser_may_send_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.unlimit(HOTEL).await;
    let browser = t.with(Some(&mint(&t, HOTEL).await));
    for row in &CATALOGUE {
        let answer = browser.event(HOTEL, row.event_type, row.details()).await;
        match row.sender {
            Sender::Backend => assert_problem(&answer, (403, "forbidden"), Some("event_type")),
            Sender::BrowserToo => assert_outcome(&answer, "recorded"),
        }
    }
    let theirs = CATALOGUE.iter().filter(|row| row.sender == Sender::BrowserToo).count();
    assert_eq!((t.events(HOTEL).await.len(), t.all_used(HOTEL).await), (theirs, [0, 0, 0]));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_exists(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    for unknown in ["page_view", "Import_Success", "import_success ", "", "seat"] {
        let more = json!({ "session_id": "s-1", "dedup_key": "key-1", "user_id": USER });
        let answer = t.event(HOTEL, unknown, more).await;
        assert_eq!((answer.status, answer.code()), (422, "unknown_event_type"), "{unknown}");
        let detail = answer.body["detail"].as_str().expect("text");
        for row in &CATALOGUE {
            assert!(detail.contains(row.event_type), "{} is not among: {detail}", row.event_type);
        }
    }
    assert_eq!(t.events(HOTEL).await, Vec::<Value>::new());
}
