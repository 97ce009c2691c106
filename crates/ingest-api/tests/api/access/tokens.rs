//! Session tokens: ours, and those of a deployment's own login.

use super::{assert_refused, mint};
use crate::support::{HOTEL, NOON, Service, assert_created};
use chrono::TimeDelta;
use plg_testkit::Backend;
use plg_testkit::app::{Api, USER, event};
use reqwest::Method;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_valid_for_its_time_and_the_clocks_skew(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let body = json!({ "hotel_id": HOTEL, "user_id": USER });
    let minted = t.post("/v1/session-tokens", &body).await;
    assert_eq!(minted.body["expires_at"], "2026-11-15T12:15:00Z");
    let browser = t.with(minted.body["token"].as_str());
    let path = format!("/v1/hotels/{HOTEL}/usage");
    t.wait(TimeDelta::seconds(900 + 29));
    assert_eq!(browser.get(&path).await.status, 200);
    t.wait(TimeDelta::seconds(1));
    let stale = browser.get(&path).await;
    assert_refused(&stale, 401);
    assert!(stale.body["detail"].as_str().expect("text").contains("expired"), "{stale:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_changed_without_downtime(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let old = "the-secret-that-was-used-until-yesterday";
    let t = Service::start_with(backend, NOON, |settings| {
        settings.access.session_secret = SecretString::from(old);
    })
    .await;
    let token = mint(&t, HOTEL).await;
    let mut settings = t.database.settings();
    let path = format!("/v1/hotels/{HOTEL}/usage");
    for (previous, status) in [("", 401), (old, 200)] {
        settings.access.previous_session_secret = SecretString::from(previous);
        let app = plg_testkit::TestApp::start_with(&settings, &t.clock).await;
        assert_eq!(app.api.with(Some(&token)).get(&path).await.status, status);
    }
}

/// Whoever guesses what a backend will send next could have it taken for a repetition.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_a_browser_are_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let browser = t.with(Some(&mint(&t, HOTEL).await));
    let guesses = ["1001", "1002"].map(|id| event(HOTEL, "upgrade_click", json!({ "id": id })));
    let claimed = browser.post("/v1/events", &json!(guesses)).await;
    assert_eq!(claimed.body["results"][1]["outcome"], "recorded", "{claimed:?}");

    let import = async |job: &str, key: &str, id: Option<&str>| {
        let body = json!({ "job_id": job, "user_id": USER, "id": id });
        let request = t.request(Method::POST, &format!("/v1/hotels/{HOTEL}/imports"));
        let request = if id.is_none() { request.header("Idempotency-Key", key) } else { request };
        Api::send(request.json(&body)).await
    };
    assert_created(&import("job-1", "", Some("1001")).await);
    for replayed in [None, Some("true")] {
        let answer = import("job-2", "1002", None).await;
        assert_created(&answer);
        assert_eq!(answer.header("idempotent-replayed"), replayed);
    }
    assert_eq!(t.used(HOTEL, "imports").await, 2);

    // The browser repeats itself, and another user does not repeat it.
    let send = async |api: &Api, user: Uuid| {
        let click = json!({ "event_type": "upgrade_click", "hotel_id": HOTEL, "user_id": user });
        let request = api.request(Method::POST, "/v1/events").header("Idempotency-Key", "1001");
        Api::send(request.json(&click)).await
    };
    let again = send(&browser, USER).await;
    assert_eq!(again.body["event"]["event_type"], "upgrade_click", "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = Uuid::from_u128(99);
    let minted =
        t.post("/v1/session-tokens", &json!({ "hotel_id": HOTEL, "user_id": other })).await;
    let colleague = t.with(minted.body["token"].as_str());
    let first = send(&colleague, other).await;
    assert_eq!((first.outcome(), first.header("idempotent-replayed")), ("recorded", None));
    assert_eq!(t.events(HOTEL).await.len(), 5);
    t.assert_balanced().await;
}

/// A replica after another.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn how_long_tokens_live_is_changed_without_refusing_any(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_with(backend, NOON, |settings| {
        settings.access.session_seconds = 86_400;
    })
    .await;
    let token = mint(&t, HOTEL).await;
    let replica = plg_testkit::TestApp::start_with(&t.database.settings(), &t.clock).await;
    let path = format!("/v1/hotels/{HOTEL}/usage");
    assert_eq!(replica.api.with(Some(&token)).get(&path).await.status, 200);
}
