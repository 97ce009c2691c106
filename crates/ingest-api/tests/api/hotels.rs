//! A hotel's plan, zone and own limits.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_created, assert_invalid};
use plg_testkit::Backend;
use rstest::rstest;
use serde_json::{Value, json};

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
