//! Every field of every body: missing, of the wrong kind, out of its bounds.

use super::{Untouched, Wrong, assert_field_refused, changed, without, wrong};
use crate::support::{HOTEL, assert_created, assert_outcome, seat};
use plg_testkit::Backend;
use plg_testkit::app::{Api, USER, event};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const UUID: &str = "must be a UUID, such as 6f1f64b4-0000-4000-8000-000000000001";
const TEXT: &str = "must be a string, got ";
const CONTROL: &str = "must not contain control characters (found U+";
const EMPTY: &str = "must not be empty (1 to 128 characters)";
const LONG: &str = "must be at most 128 characters, got 129";

/// What can be wrong with a text of 1 to 128 characters.
fn wrong_texts(field: &'static str) -> Vec<Wrong> {
    let with = |value: Value, cure| wrong(json!({ field: value }), field, cure);
    vec![
        with(json!(""), EMPTY),
        with(json!("a".repeat(129)), LONG),
        with(json!("é".repeat(129)), LONG),
        with(json!("a\0b"), "found U+0000"),
        with(json!("\0"), CONTROL),
        with(json!("a\nb"), "found U+000A"),
        with(json!("\u{7f}"), CONTROL),
        with(json!("\u{85}"), CONTROL),
        with(json!(7), TEXT),
        with(json!(true), TEXT),
        with(json!(["a"]), TEXT),
        with(json!({ "a": 1 }), TEXT),
    ]
}

/// What can be wrong with a UUID.
fn wrong_uuids(field: &'static str) -> Vec<Wrong> {
    let with = |value: Value| wrong(json!({ field: value }), field, UUID);
    vec![
        with(json!("me")),
        with(json!("")),
        with(json!("4f7e1000-0000-0000-0000-00000000000")),
        with(json!("4f7e1000-0000-0000-0000-00000000000g")),
        with(json!("\0")),
        with(json!(7)),
        with(json!(null)),
        with(json!({})),
    ]
}

fn unknown_field() -> Wrong {
    wrong(json!({ "colour": "red" }), "colour", "is unknown: there is one of `")
}

/// Every change makes the body wrong, and is told; without a required field it is, too.
async fn assert_each_refused(
    t: &Untouched,
    (method, path): (Method, &str),
    (body, required): (&Value, &[&str]),
    all: Vec<Wrong>,
) {
    for Wrong { change, field, cure } in all {
        let request = t.request(method.clone(), path).json(&changed(body, &change));
        let answer = Api::send(request).await;
        assert_field_refused(&answer, field, cure);
    }
    for field in required {
        let request = t.request(method.clone(), path).json(&without(body, field));
        let answer = Api::send(request).await;
        assert_field_refused(&answer, field, "is required");
    }
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_an_event(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Untouched::start(backend).await;
    let body = event(HOTEL, "upgrade_click", json!({}));
    let mut all = vec![
        wrong(json!({ "event_type": 7 }), "event_type", TEXT),
        wrong(json!({ "event_type": null }), "event_type", TEXT),
        wrong(json!({ "event_type": ["upgrade_click"] }), "event_type", TEXT),
        unknown_field(),
        wrong(json!({ "month": "2026-10" }), "month", "is unknown: there is"),
        wrong(
            json!({ "recorded_at": "2026-11-15T12:00:00Z" }),
            "recorded_at",
            "is unknown: there is",
        ),
    ];
    for field in ["hotel_id", "user_id"] {
        all.extend(wrong_uuids(field));
    }
    for field in ["session_id", "id", "dedup_key"] {
        all.extend(wrong_texts(field));
    }
    let required = ["event_type", "hotel_id", "user_id"];
    let door = (Method::POST, "/v1/events");
    assert_each_refused(&t, door, (&body, &required), all).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_an_event_that_its_rule_asks_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    for (event_type, more, field, cure) in [
        ("paywall_view", json!({}), "session_id", "is required: paywall_view is recorded once per"),
        ("import_success", json!({}), "dedup_key", "is required: import_success is recorded once"),
        ("seat_added", json!({}), "dedup_key", "is required"),
        ("seat_added", json!({ "dedup_key": "me" }), "dedup_key", "must be the UUID of the seat's"),
        (
            "seat_removed",
            json!({ "dedup_key": "7" }),
            "dedup_key",
            "must be the UUID of the seat's",
        ),
    ] {
        assert_field_refused(&t.event(HOTEL, event_type, more).await, field, cure);
    }
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_an_import_and_an_export(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    for (action, key) in [("imports", "job_id"), ("exports", "export_id")] {
        let body = json!({ key: "key-1", "user_id": USER });
        let mut all = vec![unknown_field(), wrong(json!({ key: null }), key, TEXT)];
        for field in [key, "session_id", "id"] {
            all.extend(wrong_texts(field));
        }
        all.extend(wrong_uuids("user_id"));
        let path = format!("/v1/hotels/{HOTEL}/{action}");
        assert_each_refused(&t, (Method::POST, &path), (&body, &[key, "user_id"]), all).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_a_seat(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Untouched::start(backend).await;
    let body = json!({ "seat_user_id": seat(1), "user_id": USER });
    let mut all = vec![unknown_field()];
    for field in ["session_id", "id"] {
        all.extend(wrong_texts(field));
    }
    for field in ["seat_user_id", "user_id"] {
        all.extend(wrong_uuids(field));
    }
    let path = format!("/v1/hotels/{HOTEL}/seats");
    let required = ["seat_user_id", "user_id"];
    assert_each_refused(&t, (Method::POST, &path), (&body, &required), all).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hotel(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Untouched::start(backend).await;
    let body = json!({ "plan": "standard", "time_zone": "Europe/Vienna" });
    let plans = "must be one of: deluxe, standard, suite, superior";
    let zone = "must be an IANA time zone, for example Europe/Vienna or UTC";
    let whole = "must be a whole number from 0 to 9007199254740991, or null for unlimited, got ";
    let mut all = vec![
        unknown_field(),
        wrong(json!({ "hotel_id": HOTEL }), "hotel_id", "is unknown: there is"),
        wrong(json!({ "plan": 7 }), "plan", TEXT),
        wrong(json!({ "plan": null }), "plan", TEXT),
        wrong(json!({ "time_zone": 7 }), "time_zone", "string"),
        wrong(json!({ "time_zone": null }), "time_zone", "string"),
        wrong(json!({ "limits": null }), "limits", "must be a JSON object, got "),
        wrong(json!({ "limits": 7 }), "limits", "must be a JSON object, got "),
        wrong(json!({ "limits": [] }), "limits", "must be a JSON object, got "),
        wrong(json!({ "limits": [1, 2, 3] }), "limits", "must be a JSON object, got "),
        wrong(
            json!({ "limits": { "beds": 7 } }),
            "limits.beds",
            "is unknown: there is one of `imports`",
        ),
    ];
    for plan in ["gold", "", "Suite", "suite\0", "\0"] {
        all.push(wrong(json!({ "plan": plan }), "plan", plans));
    }
    for name in ["Mars/Olympus", "", "Vienna", "Europe/Vienna\0", "\0", "+01:00", "../etc/passwd"] {
        all.push(wrong(json!({ "time_zone": name }), "time_zone", zone));
    }
    for limit in [json!(-1), json!(1.5), json!(1e300), json!(true), json!("many"), json!([])] {
        for (counter, field) in [
            ("imports", "limits.imports"),
            ("exports", "limits.exports"),
            ("active_users", "limits.active_users"),
        ] {
            all.push(wrong(json!({ "limits": { counter: limit } }), field, whole));
        }
    }
    let path = format!("/v1/hotels/{HOTEL}");
    let required = ["plan", "time_zone"];
    assert_each_refused(&t, (Method::PUT, &path), (&body, &required), all).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn texts_at_their_bounds_are_kept(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    for text in ["x", "é", &"a".repeat(128), &"é".repeat(128), &"🛎".repeat(128), "  ' \" \\ % ;--"]
    {
        let more = json!({ "session_id": text, "dedup_key": text, "id": text });
        let answer = t.event(HOTEL, "paywall_view", more.clone()).await;
        assert_outcome(&answer, "recorded");
        let stored = t.events(HOTEL).await.pop().expect("an event");
        assert_eq!(changed(&stored, &more), stored);
        assert_created(&t.import(HOTEL, text).await);
        assert_created(&t.export(HOTEL, text).await);
        assert_outcome(&t.import(HOTEL, text).await, "duplicate");
    }
    t.assert_balanced().await;
}
