//! The client's own `id`: every sending can be repeated safely.

use crate::support::{
    HOTEL, OTHER_HOTEL, Service, assert_created, assert_exceeded, assert_outcome, seat,
};
use chrono::TimeDelta;
use plg_testkit::Backend;
use plg_testkit::app::{Answer, USER};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

async fn click(t: &Service, hotel: Uuid, id: &str) -> Answer {
    t.event(hotel, "upgrade_click", json!({ "id": id })).await
}

async fn export(t: &Service, export_id: &str, id: &str) -> Answer {
    let body = json!({ "export_id": export_id, "user_id": USER, "id": id });
    t.post(&format!("/v1/hotels/{HOTEL}/exports"), &body).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_sending_is_recorded_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let first = click(&t, HOTEL, "id-1").await;
    assert_outcome(&first, "recorded");
    assert_eq!(first.body["event"]["id"], "id-1");

    let again = click(&t, HOTEL, "id-1").await;

    assert_eq!((again.status, again.body), (200, json!({ "outcome": "duplicate" })));
    assert_outcome(&click(&t, HOTEL, "id-2").await, "recorded");
    let ids: Vec<_> = t.events(HOTEL).await.iter().map(|e| e["id"].clone()).collect();
    assert_eq!(ids, ["id-1", "id-2"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_used_up_whatever_the_type(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.unlimit(HOTEL).await;
    assert_outcome(&click(&t, HOTEL, "id-1").await, "recorded");
    let details = json!({ "id": "id-1", "session_id": "s-1", "dedup_key": seat(1) });
    for event_type in ["create_hotel_attempt", "paywall_view", "pricing_quote_run", "seat_added"] {
        assert_outcome(&t.event(HOTEL, event_type, details.clone()).await, "duplicate");
    }
    assert_outcome(&export(&t, "e-1", "id-1").await, "duplicate");

    // None of them has closed its rule's gate.
    let without_id = json!({ "session_id": "s-1", "dedup_key": seat(1) });
    assert_outcome(&t.event(HOTEL, "paywall_view", without_id.clone()).await, "recorded");
    assert_outcome(&t.event(HOTEL, "seat_added", without_id).await, "recorded");
    assert_created(&t.export(HOTEL, "e-1").await);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_hotels_may_use_the_same_id(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_outcome(&click(&t, HOTEL, "id-1").await, "recorded");
    assert_outcome(&click(&t, OTHER_HOTEL, "id-1").await, "recorded");
    assert_outcome(&click(&t, OTHER_HOTEL, "id-1").await, "duplicate");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_price_calculation_does_not_use_up_another_of_the_ten(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let calculate = async |id: &str| t.event(HOTEL, "pricing_quote_run", json!({ "id": id })).await;
    for number in 1..=10 {
        let id = format!("id-{number}");
        assert_outcome(&calculate(&id).await, "recorded");
        assert_outcome(&calculate(&id).await, "duplicate");
    }
    assert_outcome(&calculate("id-11").await, "suppressed_daily_cap");
    // A repetition is still one when the day is used up.
    assert_outcome(&calculate("id-10").await, "duplicate");
    assert_eq!(t.count(HOTEL, "pricing_quote_run").await, 10);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_capped_calculation_is_free_the_next_day(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for _ in 0..10 {
        t.event(HOTEL, "pricing_quote_run", json!({})).await;
    }
    let late = json!({ "id": "id-late" });
    let answer = t.event(HOTEL, "pricing_quote_run", late.clone()).await;
    assert_outcome(&answer, "suppressed_daily_cap");
    t.wait(TimeDelta::days(1));
    assert_outcome(&t.event(HOTEL, "pricing_quote_run", late.clone()).await, "recorded");
    assert_outcome(&t.event(HOTEL, "pricing_quote_run", late).await, "duplicate");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_suppressed_event_is_not_used_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let view = async |id: &str| {
        t.event(HOTEL, "paywall_view", json!({ "session_id": "s-1", "id": id })).await
    };
    assert_outcome(&view("id-1").await, "recorded");
    assert_outcome(&view("id-2").await, "suppressed_session");
    assert_outcome(&view("id-3").await, "suppressed_session");
    // Its own repetition is told as such.
    assert_outcome(&view("id-1").await, "duplicate");

    assert_outcome(&click(&t, HOTEL, "id-3").await, "recorded");
    t.wait(TimeDelta::minutes(30));
    assert_outcome(&view("id-2").await, "recorded");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_refused_action_is_not_used_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.limit(HOTEL, json!({ "exports": 0 })).await;
    assert_exceeded(&export(&t, "e-1", "id-1").await, "exports");
    assert_exceeded(&export(&t, "e-2", "id-2").await, "exports");
    assert_outcome(&click(&t, HOTEL, "id-2").await, "recorded");

    t.limit(HOTEL, json!({ "exports": 1 })).await;

    assert_created(&export(&t, "e-1", "id-1").await);
    assert_outcome(&export(&t, "e-1", "id-1").await, "duplicate");
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_does_not_use_its_id_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let bad = json!({ "id": "id-1", "event_data": "no object" });
    assert_eq!(t.event(HOTEL, "upgrade_click", bad).await.status, 422);
    assert_eq!(t.events(HOTEL).await, Vec::<Value>::new());
    assert_outcome(&click(&t, HOTEL, "id-1").await, "recorded");
}
