//! `Idempotency-Key`: a single event that is sent again is answered as the first time, and another one
//! under the same key is refused.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_created, assert_invalid, assert_problem};
use chrono::TimeDelta;
use plg_testkit::app::{Answer, Api, USER};
use plg_testkit::{Backend, ledger};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

async fn keyed(t: &Service, path: &str, key: &str, body: &Value) -> Answer {
    Api::send(t.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
}

fn replayed(answer: &Answer) -> Option<&str> {
    answer.header("idempotent-replayed")
}

fn imports(hotel: Uuid) -> String {
    format!("/v1/hotels/{hotel}/imports")
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_as_the_first_time(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-11-30T23:50:00Z").await;
    let body = json!({
        "job_id": "job-1", "user_id": USER, "session_id": "tab",
        "event_data": { "rows": 1e2, "names": ["a", null] },
    });
    let first = keyed(&t, &imports(HOTEL), "key-1", &body).await;
    assert_created(&first);
    assert_eq!((&first.body["event"]["id"], replayed(&first)), (&json!("key-1"), None));
    // In the next month too, whose quota is another one.
    for used in [1, 1, 0] {
        let again = keyed(&t, &imports(HOTEL), "key-1", &body).await;
        assert_created(&again);
        assert_eq!(again.body["event"]["seq"], first.body["event"]["seq"]);
        assert_eq!(again.body["event"]["recorded_at"], first.body["event"]["recorded_at"]);
        assert_eq!(
            (again.body["quota"]["used"].as_i64(), replayed(&again)),
            (Some(used), Some("true"))
        );
        t.wait(TimeDelta::minutes(7));
    }
    // The body's `id` is the same thing, and says of itself that it is a duplicate.
    let mut unkeyed = body.clone();
    unkeyed["id"] = json!("key-1");
    let answer = t.post(&imports(HOTEL), &unkeyed).await;
    assert_eq!((answer.status, answer.outcome()), (200, "duplicate"), "{answer:?}");
    assert_eq!(t.events(HOTEL).await.len(), 1);
    t.assert_balanced().await;
}

/// Whoever hears that nothing was recorded may take the action back, and whoever hears that it is a duplicate may have
/// sent another one under the same key.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_repetition_whose_first_answer_cannot_be_read_is_not_known(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let body = json!({ "job_id": "job-1", "user_id": USER });
    assert_created(&keyed(&t, &imports(HOTEL), "key-1", &body).await);
    let books = t.books().await;
    ledger::damage(&books, "alter table product_event rename to elsewhere").await;

    for job in ["job-1", "job-2"] {
        let body = json!({ "job_id": job, "user_id": USER });
        let answer = keyed(&t, &imports(HOTEL), "key-1", &body).await;
        assert_problem(&answer, (503, "outcome_unknown"), None);
    }
    ledger::damage(&books, "alter table elsewhere rename to product_event").await;
    let again = keyed(&t, &imports(HOTEL), "key-1", &body).await;
    assert_created(&again);
    assert_eq!((again.body["quota"]["used"].as_i64(), replayed(&again)), (Some(1), Some("true")));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn another_content_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let body = json!({
        "event_type": "export_success", "hotel_id": HOTEL, "user_id": USER,
        "session_id": "tab", "dedup_key": "export-1", "event_data": { "rows": 1 },
    });
    assert_eq!(keyed(&t, "/v1/events", "key", &body).await.outcome(), "recorded");
    let others = [
        ("event_type", json!("import_success")),
        ("user_id", json!(Uuid::from_u128(99))),
        ("session_id", json!("another tab")),
        ("session_id", Value::Null),
        ("dedup_key", json!("export-2")),
        ("event_data", json!({ "rows": 2 })),
        ("event_data", Value::Null),
    ];
    for (field, value) in others {
        let mut other = body.clone();
        other[field] = value;
        let answer = keyed(&t, "/v1/events", "key", &other).await;
        assert_problem(&answer, (422, "idempotency_key_reused"), None);
    }
    // Another hotel's keys are its own.
    let mut other = body.clone();
    other["hotel_id"] = json!(OTHER_HOTEL);
    assert_eq!(replayed(&keyed(&t, "/v1/events", "key", &other).await), None);
    let again = keyed(&t, "/v1/events", "key", &body).await;
    assert_eq!((again.outcome(), replayed(&again)), ("recorded", Some("true")));
    assert_eq!(t.all_used(HOTEL).await, [0, 1, 0]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sending_uses_its_key_up_for_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.limit(HOTEL, json!({ "imports": 0 })).await;
    let body = json!({ "job_id": "job", "user_id": USER });
    assert_eq!(keyed(&t, &imports(HOTEL), "key", &body).await.status, 402);
    t.limit(HOTEL, json!({ "imports": 1 })).await;
    assert_created(&keyed(&t, &imports(HOTEL), "key", &body).await);
    // The job is counted under the key that counted it.
    let answer = keyed(&t, &imports(HOTEL), "another key", &body).await;
    assert_eq!((answer.status, answer.outcome()), (200, "duplicate"), "{answer:?}");
    assert_eq!(replayed(&answer), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_an_id_and_names_one_event() {
    let t = Service::start(Backend::Sqlite).await;
    let body = json!({ "job_id": "job", "user_id": USER, "id": "a" });
    assert_invalid(&keyed(&t, &imports(HOTEL), "b", &body).await, "Idempotency-Key");
    assert_invalid(&keyed(&t, &imports(HOTEL), "", &body).await, "Idempotency-Key");
    assert_invalid(&keyed(&t, &imports(HOTEL), &"x".repeat(129), &body).await, "Idempotency-Key");
    assert_invalid(&keyed(&t, "/v1/events", "key", &json!([])).await, "Idempotency-Key");
    assert_created(&keyed(&t, &imports(HOTEL), "a", &body).await);
}

/// Which of them is meant is not guessed.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_keys_are_none(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    for header in ["Idempotency-Key", "X-Session-Id"] {
        let request = t.request(Method::POST, &imports(HOTEL)).header(header, "a");
        let body = json!({ "job_id": "job-1", "user_id": USER });
        assert_invalid(&Api::send(request.header(header, "b").json(&body)).await, header);
    }
    assert_eq!(t.used(HOTEL, "imports").await, 0);
}
