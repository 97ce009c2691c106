//! Session tokens: ours, and those of a deployment's own login.

use super::{assert_refused, mint};
use crate::support::{HOTEL, NOON, Service};
use chrono::TimeDelta;
use plg_testkit::Backend;
use plg_testkit::app::USER;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::json;

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
