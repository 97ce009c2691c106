//! A hotel's plan, zone and own limits.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_created, assert_invalid, assert_problem};
use futures_util::future::join_all;
use plg_testkit::app::{Api, hotel};
use plg_testkit::{Backend, ledger};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

async fn put(t: &Service, body: Value) -> Value {
    let answer = t.put(&format!("/v1/hotels/{HOTEL}"), &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn get(t: &Service) -> Value {
    let answer = t.get(&format!("/v1/hotels/{HOTEL}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// `None` is unlimited.
fn limits(imports: Option<u32>, exports: Option<u32>, active_users: Option<u32>) -> Value {
    json!({ "imports": imports, "exports": exports, "active_users": active_users })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_nobody_has_registered_has_the_default_plan(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let expected = json!({
        "hotel_id": HOTEL, "plan": "standard", "time_zone": "UTC", "limits": {},
        "effective_limits": limits(Some(3), Some(30), Some(1)),
    });
    assert_eq!(get(&t).await, expected);
    // Looking does not register, nor does using it.
    assert_created(&t.import(HOTEL, "job-1").await);
    assert_eq!(get(&t).await, expected);
    assert!(t.census().await.contains(&("hotel", 0)));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_registered_hotel_is_what_it_was_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let own = json!({ "imports": null, "active_users": 0 });
    let body = json!({ "plan": "superior", "time_zone": "Europe/Vienna", "limits": own });
    let expected = json!({
        "hotel_id": HOTEL, "plan": "superior", "time_zone": "Europe/Vienna", "limits": own,
        "effective_limits": limits(None, Some(300), Some(0)),
    });
    assert_eq!(put(&t, body).await, expected);
    assert_eq!(get(&t).await, expected);
    let other = t.get(&format!("/v1/hotels/{OTHER_HOTEL}")).await.body;
    assert_eq!(other["plan"], "standard");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_replaces_everything(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let own = json!({ "exports": 1 });
    put(&t, json!({ "plan": "deluxe", "time_zone": "Asia/Tokyo", "limits": own })).await;

    let changed = put(&t, json!({ "plan": "suite", "time_zone": "UTC" })).await;

    let expected = json!({
        "hotel_id": HOTEL, "plan": "suite", "time_zone": "UTC", "limits": {},
        "effective_limits": limits(None, None, None),
    });
    assert_eq!(changed, expected);
    assert_eq!(get(&t).await, expected);
    assert!(t.census().await.contains(&("hotel", 1)));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_limit_is_the_largest_exact_number_of_json(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const LARGEST: i64 = 9_007_199_254_740_991;

    let t = Service::start(backend).await;
    let body = |limit: i64| {
        let limits = json!({ "imports": limit });
        json!({ "plan": "standard", "time_zone": "UTC", "limits": limits })
    };
    put(&t, body(LARGEST)).await;
    assert_eq!(get(&t).await["effective_limits"]["imports"], LARGEST);
    assert_created(&t.import(HOTEL, "job-1").await);
    let usage = t.get(&format!("/v1/hotels/{HOTEL}/usage")).await.body;
    assert_eq!(usage["quotas"]["imports"]["remaining"], LARGEST - 1);
    let answer = t.put(&format!("/v1/hotels/{HOTEL}"), &body(LARGEST + 1)).await;
    assert_invalid(&answer, "limits.imports");
}

/// Billing sells a plan while somebody gives a unit back: neither undoes what the other did.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_is_changed_as_it_was_read_or_not_at_all(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let path = |hotel: Uuid| format!("/v1/hotels/{hotel}");
    let read = async |hotel| t.get(&path(hotel)).await.header("etag").expect("a tag").to_owned();
    let change = async |hotel, tag: &str, plan: &str| {
        let limits = json!({ "imports": 4, "exports": null });
        let body = json!({ "plan": plan, "time_zone": "UTC", "limits": limits });
        let request = t.request(Method::PUT, &path(hotel)).header("If-Match", tag);
        Api::send(request.json(&body)).await
    };
    // Of a hotel that nobody has registered, and of one that is.
    for (plan, next) in [("standard", "superior"), ("superior", "deluxe")] {
        let tag = read(HOTEL).await;
        let refused = change(HOTEL, "\"another\"", next).await;
        assert_problem(&refused, (412, "precondition_failed"), None);
        assert_eq!(get(&t).await["plan"], plan);
        let strong = tag.trim_start_matches("W/").to_owned();
        assert_eq!(change(HOTEL, &format!("\"another\", {strong}"), next).await.status, 200);
        let refused = change(HOTEL, &tag, "suite").await;
        assert_problem(&refused, (412, "precondition_failed"), None);
        assert_eq!(get(&t).await["plan"], next);
    }
    assert_eq!(change(HOTEL, "*", "suite").await.status, 200);
    assert_invalid(&change(HOTEL, "nonsense", "standard").await, "If-Match");
    // Of many that have read the same one changes it; the first time it is registered by that.
    for number in 10..13 {
        for plans in [["standard", "superior", "deluxe"], ["suite"; 3], ["standard"; 3]] {
            let tag = read(hotel(number)).await;
            let answers = join_all(plans.map(|plan| change(hotel(number), &tag, plan))).await;
            let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 412, 412], "{answers:?}");
        }
    }
}

/// Its month is over, and with which limits nobody can say.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_cannot_be_read_is_set_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("time_zone = 'Mars/Olympus'", "limit_overrides = '{\"rockets\": 1}'")] damage: &str,
) {
    let t = Service::start_at(backend, "2026-10-15T12:00:00Z").await;
    put(&t, json!({ "plan": "superior", "time_zone": "UTC" })).await;
    assert_created(&t.import(HOTEL, "job-1").await);
    ledger::damage(&t.books().await, &format!("update hotel set {damage}")).await;
    t.clock.set_to("2026-11-15T12:00:00Z");
    let unreadable = t.import(HOTEL, "job-2").await;
    assert_eq!((unreadable.status, unreadable.code()), (500, "internal"));

    put(&t, json!({ "plan": "deluxe", "time_zone": "UTC" })).await;

    assert_created(&t.import(HOTEL, "job-2").await);
    let usage = t.get(&format!("/v1/hotels/{HOTEL}/usage")).await.body;
    assert_eq!((&usage["month"], &usage["plan"]), (&json!("2026-11"), &json!("deluxe")));
    t.assert_balanced().await;
}
