//! The month turns at the hotel's own midnight: counters begin again, seats stay, and nothing is
//! ever stamped into a month that is over.

use crate::support::{
    HOTEL, OTHER_HOTEL, Service, assert_created, assert_exceeded, assert_outcome, seat, used,
};
use plg_testkit::Backend;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

async fn usage(t: &Service, hotel: Uuid) -> Value {
    t.get(&format!("/v1/hotels/{hotel}/usage")).await.body
}

async fn usage_in(t: &Service, hotel: Uuid, month: &str) -> Value {
    let answer = t.get(&format!("/v1/hotels/{hotel}/usage?month={month}")).await;
    assert_eq!((answer.status, &answer.body["month"]), (200, &json!(month)), "{answer:?}");
    answer.body
}

/// The months of a hotel's events, oldest first.
async fn stamps(t: &Service) -> Vec<(String, i64)> {
    let stamp = |e: &Value| (e["month"].as_str().unwrap().to_owned(), e["seq"].as_i64().unwrap());
    t.events(HOTEL).await.iter().map(stamp).collect()
}

/// A zone, the last millisecond of its October 2026, its first instant of November, and the end of
/// that month.
#[rstest]
#[case("UTC", "2026-10-31T23:59:59.999Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")]
#[case(
    "Pacific/Auckland",
    "2026-10-31T10:59:59.999Z",
    "2026-10-31T11:00:00Z",
    "2026-11-30T11:00:00Z"
)]
#[case(
    "America/New_York",
    "2026-11-01T03:59:59.999Z",
    "2026-11-01T04:00:00Z",
    "2026-12-01T05:00:00Z"
)]
#[tokio::test(flavor = "multi_thread")]
async fn counters_begin_again_and_seats_stay(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] zone: &str,
    #[case] last: &str,
    #[case] first: &str,
    #[case] end: &str,
) {
    let t = Service::start_at(backend, last).await;
    t.register(HOTEL, "standard", zone).await;
    for job in ["job-1", "job-2", "job-3"] {
        assert_created(&t.import(HOTEL, job).await);
    }
    assert_created(&t.export(HOTEL, "export-1").await);
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    assert_exceeded(&t.import(HOTEL, "job-4").await, "imports");
    let october = usage(&t, HOTEL).await;
    assert_eq!((&october["month"], &october["resets_at"]), (&json!("2026-10"), &json!(first)));
    assert_eq!(used(&october["quotas"]), [3, 1, 1]);

    t.clock.set_to(first);

    // Before anything is recorded in it.
    let november = usage(&t, HOTEL).await;
    assert_eq!((&november["month"], &november["resets_at"]), (&json!("2026-11"), &json!(end)));
    assert_eq!(used(&november["quotas"]), [0, 0, 1]);
    assert_created(&t.import(HOTEL, "job-4").await);
    assert_exceeded(&t.add_seat(HOTEL, seat(2)).await, "active_users");
    // What was counted in October is not counted again.
    assert_outcome(&t.import(HOTEL, "job-1").await, "duplicate");
    assert_outcome(&t.add_seat(HOTEL, seat(1)).await, "duplicate");
    assert_eq!(t.all_used(HOTEL).await, [1, 0, 1]);
    assert_outcome(&t.remove_seat(HOTEL, seat(1)).await, "recorded");

    assert_eq!(usage_in(&t, HOTEL, "2026-10").await, october);
    assert_eq!(used(&usage_in(&t, HOTEL, "2026-11").await["quotas"]), [1, 0, 0]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn hotels_turn_their_months_at_different_instants(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T10:59:59.999Z").await;
    t.register(HOTEL, "standard", "Pacific/Auckland").await;
    t.register(OTHER_HOTEL, "standard", "America/New_York").await;
    for (instant, months) in [
        ("2026-10-31T10:59:59.999Z", ["2026-10", "2026-10"]),
        ("2026-10-31T11:00:00Z", ["2026-11", "2026-10"]),
        ("2026-11-01T03:59:59.999Z", ["2026-11", "2026-10"]),
        ("2026-11-01T04:00:00Z", ["2026-11", "2026-11"]),
    ] {
        t.clock.set_to(instant);
        for (hotel, month) in [HOTEL, OTHER_HOTEL].into_iter().zip(months) {
            let recorded = t.event(hotel, "upgrade_click", json!({})).await;
            assert_eq!(recorded.body["event"]["month"], month, "{instant}");
            assert_eq!(usage(&t, hotel).await["month"], month, "{instant}");
        }
    }
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn each_month_has_its_own_gapless_sequence(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T12:00:00Z").await;
    for instant in ["2026-10-31T12:00:00Z", "2026-11-01T00:00:00Z", "2027-01-01T00:00:00Z"] {
        t.clock.set_to(instant);
        for _ in 0..2 {
            t.event(HOTEL, "upgrade_click", json!({})).await;
        }
    }
    let stamps = stamps(&t).await;
    let stamps: Vec<_> = stamps.iter().map(|(month, seq)| (month.as_str(), *seq)).collect();
    assert_eq!(
        stamps,
        [
            ("2026-10", 1),
            ("2026-10", 2),
            ("2026-11", 1),
            ("2026-11", 2),
            ("2027-01", 1),
            ("2027-01", 2),
        ]
    );
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn seats_stay_over_months_without_events(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-07-15T12:00:00Z").await;
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    t.clock.set_to("2026-11-15T12:00:00Z");
    assert_eq!(used(&usage_in(&t, HOTEL, "2026-09").await["quotas"]), [0, 0, 1]);
    assert_eq!(t.all_used(HOTEL).await, [0, 0, 1]);
    assert_exceeded(&t.add_seat(HOTEL, seat(2)).await, "active_users");
    assert_outcome(&t.remove_seat(HOTEL, seat(1)).await, "recorded");
    assert_eq!(t.all_used(HOTEL).await, [0, 0, 0]);
    assert_eq!(used(&usage_in(&t, HOTEL, "2026-10").await["quotas"]), [0, 0, 1]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_writes_into_the_open_month(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T23:00:00Z").await;
    assert_created(&t.import(HOTEL, "job-1").await);
    t.clock.set_to("2026-11-01T00:00:01Z");
    assert_created(&t.import(HOTEL, "job-2").await);

    t.clock.set_to("2026-10-31T23:59:59Z");

    let late = t.import(HOTEL, "job-3").await;
    assert_created(&late);
    let stamp = &late.body["event"];
    assert_eq!((&stamp["month"], &stamp["seq"]), (&json!("2026-11"), &json!(2)));
    assert_eq!(stamp["recorded_at"], "2026-11-01T00:00:01Z", "time runs backwards in a month");
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    let now = usage(&t, HOTEL).await;
    assert_eq!((&now["month"], used(&now["quotas"])), (&json!("2026-11"), [2, 0, 1]));
    assert_eq!(used(&usage_in(&t, HOTEL, "2026-10").await["quotas"]), [1, 0, 0]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_behind_a_month_that_a_refusal_opened_writes_into_it_too(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T23:00:00Z").await;
    t.limit(HOTEL, json!({ "imports": 0 })).await;
    t.event(HOTEL, "upgrade_click", json!({})).await;
    t.clock.set_to("2026-11-01T00:00:00Z");
    assert_exceeded(&t.import(HOTEL, "job-1").await, "imports");

    t.clock.set_to("2026-10-31T23:59:59Z");

    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    let stamps = stamps(&t).await;
    assert_eq!(stamps, [("2026-10".to_owned(), 1), ("2026-11".to_owned(), 1)]);
    t.clock.set_to("2026-12-01T00:00:00Z");
    assert_eq!(t.all_used(HOTEL).await, [0, 0, 1]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_ahead_opens_the_month_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T12:00:00Z").await;
    assert_created(&t.import(HOTEL, "job-1").await);
    t.register(HOTEL, "standard", "Pacific/Auckland").await;
    let now = usage(&t, HOTEL).await;
    assert_eq!((&now["month"], &now["time_zone"]), (&json!("2026-11"), &json!("Pacific/Auckland")));
    assert_eq!(now["resets_at"], "2026-11-30T11:00:00Z");
    let recorded = t.import(HOTEL, "job-2").await;
    assert_eq!(recorded.body["event"]["month"], "2026-11");
    assert_eq!(recorded.body["event"]["day"], "2026-11-01");
    assert_eq!(t.all_used(HOTEL).await, [1, 0, 0]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_behind_stays_in_the_open_month(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-11-01T02:00:00Z").await;
    assert_created(&t.import(HOTEL, "job-1").await);
    let before = t.events(HOTEL).await;
    t.register(HOTEL, "standard", "America/New_York").await;
    let now = usage(&t, HOTEL).await;
    assert_eq!((&now["month"], used(&now["quotas"])), (&json!("2026-11"), [1, 0, 0]));
    assert_eq!(now["resets_at"], "2026-12-01T05:00:00Z");
    let recorded = t.import(HOTEL, "job-2").await;
    assert_eq!(recorded.body["event"]["month"], "2026-11");
    assert_eq!(recorded.body["event"]["day"], "2026-10-31");
    assert_eq!(t.all_used(HOTEL).await, [2, 0, 0]);
    // What stands in the log was decided when it was recorded.
    assert_eq!(t.events(HOTEL).await[..1], before);
    t.assert_balanced().await;
}
