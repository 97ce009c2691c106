//! What the service logs by itself when it refuses an action, under that event's own dedup rule.

use crate::support::{HOTEL, Service, assert_created, assert_exceeded, assert_outcome, seat};
use chrono::TimeDelta;
use plg_testkit::Backend;
use plg_testkit::app::{Answer, Api, USER};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const WINDOW: TimeDelta = TimeDelta::minutes(30);

/// A hotel that may do nothing.
async fn start(backend: Backend) -> Service {
    let t = Service::start(backend).await;
    t.limit(HOTEL, json!({ "imports": 0, "exports": 0, "active_users": 0 })).await;
    t
}

async fn refused_export(t: &Service, export_id: &str, more: Value) {
    let mut body = json!({ "export_id": export_id, "user_id": USER });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = t.post(&format!("/v1/hotels/{HOTEL}/exports"), &body).await;
    assert_exceeded(&answer, "exports");
}

async fn refused_seat(t: &Service, number: u128, more: Value) {
    let mut body = json!({ "seat_user_id": seat(number), "user_id": USER });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = t.post(&format!("/v1/hotels/{HOTEL}/seats"), &body).await;
    assert_exceeded(&answer, "active_users");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_export_is_logged_once_per_session(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    let session = || json!({ "session_id": "s-1" });
    refused_export(&t, "export-1", session()).await;
    refused_export(&t, "export-1", session()).await;
    refused_export(&t, "export-2", session()).await;
    assert_eq!(t.event_types(HOTEL).await, ["export_blocked"]);

    refused_export(&t, "export-2", json!({ "session_id": "s-2" })).await;
    assert_eq!(t.count(HOTEL, "export_blocked").await, 2);

    t.wait(WINDOW - TimeDelta::milliseconds(1));
    refused_export(&t, "export-2", session()).await;
    assert_eq!(t.count(HOTEL, "export_blocked").await, 2);
    t.wait(TimeDelta::milliseconds(1));
    refused_export(&t, "export-2", session()).await;
    assert_eq!(t.count(HOTEL, "export_blocked").await, 3);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_session_may_stand_in_the_header(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    refused_export(&t, "export-1", json!({ "session_id": "s-1" })).await;
    for export_id in ["export-2", "export-3"] {
        let request = t.request(Method::POST, &format!("/v1/hotels/{HOTEL}/exports"));
        let body = json!({ "export_id": export_id, "user_id": USER });
        let answer = Api::send(request.header("X-Session-Id", "s-1").json(&body)).await;
        assert_exceeded(&answer, "exports");
    }
    assert_eq!(t.event_types(HOTEL).await, ["export_blocked"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_export_without_a_session_is_logged_once_per_export(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    refused_export(&t, "export-1", json!({})).await;
    refused_export(&t, "export-1", json!({})).await;
    refused_export(&t, "export-2", json!({})).await;
    t.wait(WINDOW);
    refused_export(&t, "export-1", json!({})).await;
    assert_eq!(t.event_types(HOTEL).await, ["export_blocked"; 2]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_service_and_the_backend_share_the_window(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    let session = json!({ "session_id": "s-1" });
    refused_export(&t, "export-1", session.clone()).await;
    let told = t.event(HOTEL, "export_blocked", session.clone()).await;
    assert_outcome(&told, "suppressed_session");
    t.wait(WINDOW);
    assert_outcome(&t.event(HOTEL, "export_blocked", session.clone()).await, "recorded");
    refused_export(&t, "export-2", session).await;
    assert_eq!(t.event_types(HOTEL).await, ["export_blocked"; 2]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_logged_refusal_says_what_was_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    let more = json!({ "session_id": "s-1", "id": "id-1", "event_data": { "rows": 5 } });
    refused_export(&t, "export-1", more).await;
    refused_seat(&t, 1, json!({ "id": "id-2" })).await;
    let logged = |event_type: &str, key: &str, seq: i64| {
        json!({
            "event_type": event_type, "hotel_id": HOTEL, "user_id": USER, "dedup_key": key,
            "month": "2026-11", "day": "2026-11-15", "seq": seq,
            "recorded_at": "2026-11-15T12:00:00Z",
        })
    };
    let mut export = logged("export_blocked", "export-1", 1);
    export["session_id"] = json!("s-1");
    let invite = logged("invite_attempt_blocked", &seat(1).to_string(), 2);
    assert_eq!(t.events(HOTEL).await, [export, invite]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_seat_is_logged_at_each_attempt(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    for attempts in 1..=3 {
        refused_seat(&t, 1, json!({ "session_id": "s-1" })).await;
        assert_eq!(t.count(HOTEL, "invite_attempt_blocked").await, attempts);
    }
    assert_eq!(t.events(HOTEL).await.len(), 3);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_sending_is_no_new_attempt(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    for (id, attempts) in [("id-1", 1), ("id-1", 1), ("id-2", 2), ("id-1", 2), ("id-2", 2)] {
        refused_seat(&t, 1, json!({ "id": id })).await;
        assert_eq!(t.count(HOTEL, "invite_attempt_blocked").await, attempts, "{id}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_import_logs_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    for _ in 0..2 {
        assert_exceeded(&t.import(HOTEL, "job-1").await, "imports");
    }
    assert_eq!(t.events(HOTEL).await, Vec::<Value>::new());
    assert_eq!(t.all_used(HOTEL).await, [0, 0, 0]);
    let gates = t.census().await[1];
    assert_eq!(gates, ("event_gate", 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_same_through_either_door(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    let send =
        async |event_type: &str, more: Value| -> Answer { t.event(HOTEL, event_type, more).await };
    let export = json!({ "dedup_key": "export-1", "session_id": "s-1" });
    assert_exceeded(&send("export_success", export).await, "exports");
    refused_export(&t, "export-1", json!({ "session_id": "s-1" })).await;
    let invite = json!({ "dedup_key": seat(1), "id": "id-1" });
    assert_exceeded(&send("seat_added", invite).await, "active_users");
    refused_seat(&t, 1, json!({ "id": "id-1" })).await;
    let import = json!({ "dedup_key": "job-1" });
    assert_exceeded(&send("import_success", import).await, "imports");
    assert_eq!(t.event_types(HOTEL).await, ["export_blocked", "invite_attempt_blocked"]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn after_an_upgrade_the_refused_sending_is_done_and_logged(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    let sending = json!({
        "export_id": "export-1", "user_id": USER, "session_id": "s-1", "id": "id-1",
        "event_data": { "rows": 5 },
    });
    let path = format!("/v1/hotels/{HOTEL}/exports");
    assert_exceeded(&t.post(&path, &sending).await, "exports");
    refused_seat(&t, 1, json!({ "id": "id-2" })).await;
    t.unlimit(HOTEL).await;

    let done = t.post(&path, &sending).await;

    assert_created(&done);
    assert_eq!(done.body["event"]["event_data"], json!({ "rows": 5 }));
    assert_outcome(&t.post(&path, &sending).await, "duplicate");
    let invite = json!({ "seat_user_id": seat(1), "user_id": USER, "id": "id-2" });
    assert_created(&t.post(&format!("/v1/hotels/{HOTEL}/seats"), &invite).await);
    let types = ["export_blocked", "invite_attempt_blocked", "export_success", "seat_added"];
    assert_eq!(t.event_types(HOTEL).await, types);
    assert_eq!(t.all_used(HOTEL).await, [0, 1, 1]);
    t.assert_balanced().await;
}
