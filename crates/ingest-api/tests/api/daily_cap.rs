//! At most ten price calculations on a hotel's own day, however long that day is.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_outcome};
use chrono::{DateTime, TimeDelta, Utc};
use plg_testkit::Backend;
use plg_testkit::app::Answer;
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

async fn calculate(t: &Service, hotel: Uuid) -> Answer {
    t.event(hotel, "pricing_quote_run", json!({})).await
}

async fn use_up_the_day(t: &Service, hotel: Uuid) {
    for _ in 0..10 {
        assert_outcome(&calculate(t, hotel).await, "recorded");
    }
    assert_outcome(&calculate(t, hotel).await, "suppressed_daily_cap");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_eleventh_of_a_day_is_suppressed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    use_up_the_day(&t, HOTEL).await;
    let before = t.census().await;
    let answer = calculate(&t, HOTEL).await;
    assert_eq!((answer.status, answer.body), (200, json!({"outcome": "suppressed_daily_cap"})));
    assert_eq!(t.census().await, before);
    assert_eq!(t.count(HOTEL, "pricing_quote_run").await, 10);
    // Neither the user nor the session buys more, but another hotel has its own ten.
    let more = json!({ "session_id": "s-2", "user_id": Uuid::from_u128(0x8) });
    let answer = t.event(HOTEL, "pricing_quote_run", more).await;
    assert_outcome(&answer, "suppressed_daily_cap");
    use_up_the_day(&t, OTHER_HOTEL).await;
    t.assert_balanced().await;
}

/// A hotel's day: its zone, its date, its first instant and the first instant of the next one.
#[rstest]
#[case::utc("UTC", "2026-11-15", "2026-11-15T00:00:00Z", "2026-11-16T00:00:00Z")]
#[case::of_23_hours("Europe/Vienna", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")]
#[case::of_25_hours("Europe/Vienna", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")]
#[case::ahead("Pacific/Auckland", "2026-11-16", "2026-11-15T11:00:00Z", "2026-11-16T11:00:00Z")]
#[case::the_last_of_a_month(
    "America/New_York",
    "2026-11-30",
    "2026-11-30T05:00:00Z",
    "2026-12-01T05:00:00Z"
)]
#[tokio::test(flavor = "multi_thread")]
async fn the_day_is_the_hotels_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] zone: &str,
    #[case] day: &str,
    #[case] begins: DateTime<Utc>,
    #[case] ends: DateTime<Utc>,
) {
    const MOMENT: TimeDelta = TimeDelta::milliseconds(1);

    let t = Service::start(backend).await;
    t.clock.set(begins - MOMENT);
    t.register(HOTEL, "standard", zone).await;
    use_up_the_day(&t, HOTEL).await;

    for number in 0..10 {
        t.clock.set(begins + (ends - MOMENT - begins) / 9 * number);
        let answer = calculate(&t, HOTEL).await;
        assert_outcome(&answer, "recorded");
        assert_eq!(answer.body["event"]["day"], day);
    }
    t.clock.set(ends - MOMENT);
    assert_outcome(&calculate(&t, HOTEL).await, "suppressed_daily_cap");

    t.clock.set(ends);
    use_up_the_day(&t, HOTEL).await;
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn hotels_turn_their_days_at_different_instants(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-11-15T10:59:59.999Z").await;
    t.register(HOTEL, "standard", "Pacific/Auckland").await;
    t.register(OTHER_HOTEL, "standard", "America/New_York").await;
    use_up_the_day(&t, HOTEL).await;
    use_up_the_day(&t, OTHER_HOTEL).await;

    t.clock.set_to("2026-11-15T11:00:00Z");

    use_up_the_day(&t, HOTEL).await;
    assert_outcome(&calculate(&t, OTHER_HOTEL).await, "suppressed_daily_cap");
}
