//! Usage now, in a month, and over the months.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_invalid, list, seat, used};
use plg_testkit::{Backend, ledger};
use rstest::rstest;
use serde_json::{Value, json};

async fn history(t: &Service, query: &str) -> Vec<Value> {
    let answer = t.get(&format!("/v1/hotels/{HOTEL}/usage/history{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    list(&answer.body["months"])
}

/// The months of a history, and what was used of imports, exports and seats.
fn summary(months: &[Value]) -> Vec<(&str, [i64; 3])> {
    let month = |m: &'_ Value| used(&m["quotas"]);
    months.iter().map(|m| (m["month"].as_str().expect("a month"), month(m))).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_nobody_has_heard_of_has_used_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let unused = |limit: i64| {
        json!({
            "used": 0, "limit": limit, "remaining": limit, "near_limit": false, "exceeded": false,
        })
    };
    let quotas = json!({ "imports": unused(3), "exports": unused(30), "active_users": unused(1) });
    let month = json!({
        "month": "2026-11", "resets_at": "2026-12-01T00:00:00Z", "quotas": quotas,
        "last_rollup_at": null,
    });
    let mut whole = month.clone();
    whole["hotel_id"] = json!(HOTEL);
    whole["plan"] = json!("standard");
    whole["time_zone"] = json!("UTC");
    assert_eq!(t.get(&format!("/v1/hotels/{HOTEL}/usage")).await.body, whole);
    assert_eq!(t.get(&format!("/v1/hotels/{HOTEL}/usage?month=2026-11")).await.body, whole);

    let history = t.get(&format!("/v1/hotels/{HOTEL}/usage/history")).await.body;
    let expected = json!({
        "hotel_id": HOTEL, "plan": "standard", "time_zone": "UTC", "months": [month],
    });
    assert_eq!(history, expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_says_what_is_used_of_each_quota(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.register(HOTEL, "deluxe", "Europe/Vienna").await;
    for job in ["job-1", "job-2"] {
        t.import(HOTEL, job).await;
    }
    t.export(HOTEL, "export-1").await;
    t.add_seat(HOTEL, seat(1)).await;
    t.import(OTHER_HOTEL, "job-1").await;

    let usage = t.get(&format!("/v1/hotels/{HOTEL}/usage")).await.body;

    let quota = |used: i64, limit: Option<i64>| {
        let remaining = limit.map(|limit| limit - used);
        json!({
            "used": used, "limit": limit, "remaining": remaining, "near_limit": false,
            "exceeded": false,
        })
    };
    let quotas = json!({
        "imports": quota(2, Some(50)), "exports": quota(1, None),
        "active_users": quota(1, Some(10)),
    });
    let expected = json!({
        "hotel_id": HOTEL, "plan": "deluxe", "time_zone": "Europe/Vienna", "month": "2026-11",
        "resets_at": "2026-11-30T23:00:00Z", "quotas": quotas, "last_rollup_at": null,
    });
    assert_eq!(usage, expected);
}

/// The months of the history, newest first, with the limit of imports.
async fn limits(t: &Service) -> Vec<(String, Value)> {
    let text = |month: &Value| month.as_str().expect("a month").to_owned();
    let months = history(t, "").await;
    months.iter().map(|m| (text(&m["month"]), m["quotas"]["imports"]["limit"].clone())).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_past_month_keeps_its_counters_and_the_limits_that_it_ended_with(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-09-15T12:00:00Z").await;
    t.register(HOTEL, "deluxe", "UTC").await;
    t.import(HOTEL, "job-1").await;
    t.register(HOTEL, "suite", "UTC").await;
    // Closed by the next action, and not by the change of a plan that comes behind it.
    t.clock.set_to("2026-10-15T12:00:00Z");
    t.import(HOTEL, "job-2").await;
    t.register(HOTEL, "superior", "UTC").await;
    // By the change of a plan, without any action.
    t.clock.set_to("2026-12-15T12:00:00Z");
    t.register(HOTEL, "standard", "UTC").await;

    let month = |month: &str, limit: Value| (month.to_owned(), limit);
    let mut expected = vec![
        month("2026-12", json!(3)),
        month("2026-11", json!(15)),
        month("2026-10", json!(15)),
        month("2026-09", Value::Null),
    ];
    assert_eq!(limits(&t).await, expected);
    // The month that is open has the limits of now.
    t.register(HOTEL, "deluxe", "UTC").await;
    expected[0].1 = json!(50);
    assert_eq!(limits(&t).await, expected);

    let october = t.get(&format!("/v1/hotels/{HOTEL}/usage?month=2026-10")).await.body;
    assert_eq!(
        (&october["plan"], &october["resets_at"]),
        (&json!("deluxe"), &json!("2026-11-01T00:00:00Z"))
    );
    let imports = &october["quotas"]["imports"];
    assert_eq!((&imports["used"], &imports["remaining"]), (&json!(1), &json!(14)));
    let before_all = t.get(&format!("/v1/hotels/{HOTEL}/usage?month=2026-08")).await.body;
    assert_eq!(used(&before_all["quotas"]), [0, 0, 0]);
    assert_eq!(before_all["quotas"]["imports"]["limit"], 50);
    t.import(HOTEL, "job-3").await;
    assert_eq!(limits(&t).await, expected);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_changed_when_nothing_is_over_turns_no_month(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T12:00:00Z").await;
    let books = t.books().await;
    let months = async || ledger::number(&books, "select count(*) as n from usage_monthly").await;
    t.register(HOTEL, "standard", "UTC").await;
    assert_eq!(months().await, 0, "nothing was recorded yet");
    t.import(HOTEL, "job-1").await;
    t.register(HOTEL, "superior", "UTC").await;
    assert_eq!(months().await, 1);
    // In Auckland it is November already, but there it was not until now.
    t.register(HOTEL, "deluxe", "Pacific/Auckland").await;
    assert_eq!(months().await, 1);
    t.register(HOTEL, "standard", "Pacific/Auckland").await;
    assert_eq!(months().await, 2);
    let expected = [("2026-11".to_owned(), json!(3)), ("2026-10".to_owned(), json!(50))];
    assert_eq!(limits(&t).await, expected);
    t.assert_balanced().await;
}

/// As one that was closed by a program before.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_which_no_limits_are_noted_is_against_those_of_today(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-15T12:00:00Z").await;
    t.import(HOTEL, "job-1").await;
    t.clock.set_to("2026-11-15T12:00:00Z");
    t.import(HOTEL, "job-2").await;
    let books = t.books().await;
    assert_eq!(ledger::damage(&books, "update usage_monthly set limits = null").await, 2);
    t.register(HOTEL, "superior", "UTC").await;
    let month = |month: &str| (month.to_owned(), json!(15));
    assert_eq!(limits(&t).await, [month("2026-11"), month("2026-10")]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_to_come_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-10-31T12:00:00Z").await;
    for month in ["2026-11", "2026-12", "9998-12"] {
        let answer = t.get(&format!("/v1/hotels/{HOTEL}/usage?month={month}")).await;
        assert_invalid(&answer, "month");
        assert!(answer.body["detail"].as_str().expect("text").contains("2026-10"), "{answer:?}");
    }
    // In Auckland it is November already.
    t.register(HOTEL, "standard", "Pacific/Auckland").await;
    let november = t.get(&format!("/v1/hotels/{HOTEL}/usage?month=2026-11")).await;
    assert_eq!(november.status, 200);
    let december = t.get(&format!("/v1/hotels/{HOTEL}/usage?month=2026-12")).await;
    assert_invalid(&december, "month");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_newest_first_and_without_gaps(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-07-15T12:00:00Z").await;
    t.import(HOTEL, "job-1").await;
    t.add_seat(HOTEL, seat(1)).await;
    t.clock.set_to("2026-10-15T12:00:00Z");
    t.export(HOTEL, "export-1").await;
    t.remove_seat(HOTEL, seat(1)).await;
    t.clock.set_to("2026-12-15T12:00:00Z");
    let all = [
        ("2026-12", [0, 0, 0]),
        ("2026-11", [0, 0, 0]),
        ("2026-10", [0, 1, 0]),
        ("2026-09", [0, 0, 1]),
        ("2026-08", [0, 0, 1]),
        ("2026-07", [1, 0, 1]),
    ];
    assert_eq!(summary(&history(&t, "").await), all);
    for count in 1..=7 {
        let some = history(&t, &format!("?months={count}")).await;
        assert_eq!(summary(&some), all[..count.min(all.len())], "{count}");
    }
    // Recording in a month changes nothing about how it is read.
    t.event(HOTEL, "upgrade_click", json!({})).await;
    assert_eq!(summary(&history(&t, "").await), all);
    let newest = &history(&t, "?months=1").await[0];
    assert_eq!(newest["resets_at"], "2027-01-01T00:00:00Z");
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_busy_months_has_as_many_as_asked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2026-07-15T12:00:00Z").await;
    let mut newest_first = Vec::new();
    for month in ["2026-07", "2026-08", "2026-09", "2026-10", "2026-11"] {
        t.clock.set_to(&format!("{month}-15T12:00:00Z"));
        t.import(HOTEL, month).await;
        newest_first.insert(0, (month, [1, 0, 0]));
    }
    for count in 1..=5 {
        let some = history(&t, &format!("?months={count}")).await;
        assert_eq!(summary(&some), newest_first[..count], "{count}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_history_has_twelve_months_unless_asked_otherwise(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_at(backend, "2015-01-01T00:00:00Z").await;
    t.import(HOTEL, "job-1").await;
    t.clock.set_to("2026-11-15T12:00:00Z");
    let year = history(&t, "").await;
    assert_eq!((year.len(), &year[11]["month"]), (12, &json!("2025-12")));
    let most = history(&t, "?months=120").await;
    assert_eq!((most.len(), &most[119]["month"]), (120, &json!("2016-12")));
}
