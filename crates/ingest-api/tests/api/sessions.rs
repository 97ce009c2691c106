//! Once per session: the window of 30 minutes after the last *recorded* event.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_invalid, assert_outcome, list};
use chrono::TimeDelta;
use plg_testkit::Backend;
use plg_testkit::app::{Answer, Api, USER, event};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

const WINDOW: TimeDelta = TimeDelta::minutes(30);
const MOMENT: TimeDelta = TimeDelta::milliseconds(1);

async fn view(t: &Service, session: &str) -> Answer {
    t.event(HOTEL, "paywall_view", json!({ "session_id": session })).await
}

/// One event or an array, with the header `X-Session-Id`.
async fn send_in_session(t: &Service, session: &str, body: &Value) -> Answer {
    let request = t.request(Method::POST, "/v1/events").header("X-Session-Id", session);
    Api::send(request.json(body)).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_window_is_closed_for_30_minutes_and_not_a_millisecond_longer(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for _ in 0..3 {
        assert_outcome(&view(&t, "s-1").await, "recorded");
        t.wait(WINDOW - MOMENT);
        assert_outcome(&view(&t, "s-1").await, "suppressed_session");
        t.wait(MOMENT);
    }
    assert_eq!(t.count(HOTEL, "paywall_view").await, 3);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_suppressed_event_does_not_extend_the_window(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_outcome(&view(&t, "s-1").await, "recorded");
    for _ in 0..29 {
        t.wait(TimeDelta::minutes(1));
        assert_outcome(&view(&t, "s-1").await, "suppressed_session");
    }
    t.wait(TimeDelta::minutes(1));
    assert_outcome(&view(&t, "s-1").await, "recorded");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_suppressed_event_leaves_no_trace(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    view(&t, "s-1").await;
    let before = t.census().await;

    let suppressed = view(&t, "s-1").await;

    assert_eq!(
        (suppressed.status, suppressed.body),
        (200, json!({"outcome": "suppressed_session"}))
    );
    assert_eq!(t.census().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_window_belongs_to_a_hotel_a_type_and_a_session(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let send = async |hotel: Uuid, event_type: &str, session: &str, user: Uuid| {
        t.event(hotel, event_type, json!({ "session_id": session, "user_id": user })).await
    };
    assert_outcome(&send(HOTEL, "paywall_view", "s-1", USER).await, "recorded");
    assert_outcome(&send(HOTEL, "paywall_view", "s-2", USER).await, "recorded");
    assert_outcome(&send(HOTEL, "paywall_view", "S-1", USER).await, "recorded");
    assert_outcome(&send(HOTEL, "playbook_open", "s-1", USER).await, "recorded");
    assert_outcome(&send(OTHER_HOTEL, "paywall_view", "s-1", USER).await, "recorded");
    // Who looks does not matter.
    let somebody_else = Uuid::from_u128(0x8);
    let answer = send(HOTEL, "paywall_view", "s-1", somebody_else).await;
    assert_outcome(&answer, "suppressed_session");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_header_names_the_session_of_a_body_that_names_none(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let silent = event(HOTEL, "paywall_view", json!({}));

    let first = send_in_session(&t, "s-1", &silent).await;
    assert_outcome(&first, "recorded");
    assert_eq!(first.body["event"]["session_id"], "s-1");
    assert_outcome(&view(&t, "s-1").await, "suppressed_session");
    assert_outcome(&view(&t, "s-2").await, "recorded");
    assert_outcome(&send_in_session(&t, "s-2", &silent).await, "suppressed_session");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_body_wins_over_the_header(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let own = event(HOTEL, "paywall_view", json!({ "session_id": "of-the-body" }));

    let answer = send_in_session(&t, "of-the-header", &own).await;

    assert_eq!(answer.body["event"]["session_id"], "of-the-body");
    assert_outcome(&view(&t, "of-the-body").await, "suppressed_session");
    assert_outcome(&view(&t, "of-the-header").await, "recorded");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_header_names_the_session_of_an_array(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let items = json!([
        event(HOTEL, "paywall_view", json!({})),
        event(HOTEL, "paywall_view", json!({ "session_id": "s-2" })),
        event(HOTEL, "paywall_view", json!({ "session_id": "s-1" })),
    ]);
    let answer = send_in_session(&t, "s-1", &items).await;
    let results = list(&answer.body["results"]);
    let outcomes: Vec<_> = results.iter().map(|result| &result["outcome"]).collect();
    assert_eq!(outcomes, ["recorded", "recorded", "suppressed_session"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_missing_or_empty_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for more in [json!({}), json!({ "session_id": null }), json!({ "session_id": "" })] {
        assert_invalid(&t.event(HOTEL, "paywall_view", more).await, "session_id");
    }
    let silent = event(HOTEL, "paywall_view", json!({}));
    assert_invalid(&send_in_session(&t, "", &silent).await, "X-Session-Id");
    // An empty one does not fall back to the header: it is a mistake to be told.
    let empty = event(HOTEL, "paywall_view", json!({ "session_id": "" }));
    assert_invalid(&send_in_session(&t, "s-1", &empty).await, "session_id");
    assert_eq!(t.events(HOTEL).await, Vec::<Value>::new());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_window_goes_on_over_the_month_turn(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T23:45:00Z").await;
    assert_outcome(&view(&t, "s-1").await, "recorded");
    t.clock.set_to("2026-11-01T00:14:59.999Z");
    assert_outcome(&view(&t, "s-1").await, "suppressed_session");
    t.clock.set_to("2026-11-01T00:15:00Z");
    assert_outcome(&view(&t, "s-1").await, "recorded");
    let months: Vec<_> = t.events(HOTEL).await.iter().map(|e| e["month"].clone()).collect();
    assert_eq!(months, ["2026-10", "2026-11"]);
    t.assert_balanced().await;
}
