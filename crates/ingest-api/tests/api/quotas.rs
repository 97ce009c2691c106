//! Billable actions: counted in line, refused when the quota is used up, admitted again at once
//! after an upgrade.

use crate::support::{HOTEL, Service, assert_created, assert_exceeded, assert_outcome, seat, used};
use plg_testkit::Backend;
use plg_testkit::app::{Answer, event};
use rstest::rstest;
use serde_json::{Value, json};

async fn quota(t: &Service, name: &str) -> Value {
    t.get(&format!("/v1/hotels/{HOTEL}/quotas/{name}")).await.body
}

/// The same action as an event of `POST /v1/events`.
async fn import_as_event(t: &Service, job: &str) -> Answer {
    t.event(HOTEL, "import_success", json!({ "dedup_key": job })).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_counted_before_it_is_answered(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let answer = t.import(HOTEL, "job-1").await;
    assert_created(&answer);
    let state = json!({
        "quota": "imports", "used": 1, "limit": 3, "remaining": 2,
        "near_limit": false, "exceeded": false, "resets_at": "2026-12-01T00:00:00Z",
    });
    assert_eq!(answer.body["quota"], state);
    let mut recorded = event(HOTEL, "import_success", json!({ "dedup_key": "job-1" }));
    recorded["month"] = json!("2026-11");
    recorded["day"] = json!("2026-11-15");
    recorded["seq"] = json!(1);
    recorded["recorded_at"] = json!("2026-11-15T12:00:00Z");
    assert_eq!(answer.body["event"], recorded);

    let mut checked = state;
    checked["hotel_id"] = json!(HOTEL);
    checked["month"] = json!("2026-11");
    assert_eq!(quota(&t, "imports").await, checked);
    assert_eq!(t.all_used(HOTEL).await, [1, 0, 0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_counts_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    assert_created(&t.import(HOTEL, "job-1").await);
    let before = t.census().await;

    let again = t.import(HOTEL, "job-1").await;

    assert_outcome(&again, "duplicate");
    assert_eq!(again.body["quota"]["used"], 1);
    assert_eq!(again.body.get("event"), None);
    assert_eq!((t.all_used(HOTEL).await, t.census().await), ([1, 0, 0], before));
    assert_created(&t.import(HOTEL, "JOB-1").await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_the_same_through_either_door(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_outcome(&import_as_event(&t, "job-1").await, "recorded");
    assert_outcome(&t.import(HOTEL, "job-1").await, "duplicate");
    assert_created(&t.import(HOTEL, "job-2").await);
    assert_outcome(&import_as_event(&t, "job-2").await, "duplicate");

    let export = json!({ "dedup_key": "job-1" });
    assert_outcome(&t.event(HOTEL, "export_success", export.clone()).await, "recorded");
    assert_outcome(&t.export(HOTEL, "job-1").await, "duplicate");

    // A seat is its user, however the UUID is written.
    let shouted = json!({ "dedup_key": seat(1).to_string().to_uppercase() });
    assert_outcome(&t.event(HOTEL, "seat_added", shouted.clone()).await, "recorded");
    assert_outcome(&t.add_seat(HOTEL, seat(1)).await, "duplicate");
    assert_outcome(&t.event(HOTEL, "seat_removed", shouted).await, "recorded");
    assert_outcome(&t.remove_seat(HOTEL, seat(1)).await, "duplicate");
    assert_eq!(t.all_used(HOTEL).await, [2, 1, 0]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_says_so(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    for job in ["job-1", "job-2", "job-3"] {
        assert_created(&t.import(HOTEL, job).await);
    }
    for refused in [t.import(HOTEL, "job-4").await, import_as_event(&t, "job-4").await] {
        assert_exceeded(&refused, "imports");
        assert_eq!((&refused.body["used"], &refused.body["limit"]), (&json!(3), &json!(3)));
        assert_eq!(refused.body["resets_at"], "2026-12-01T00:00:00Z");
        let detail = refused.body["detail"].as_str().expect("text");
        assert!(detail.contains("2026-12-01") && detail.contains("upgrade"), "{detail}");
    }
    // A job that was counted is answered as before: its quota is no reason to refuse a retry.
    assert_outcome(&t.import(HOTEL, "job-3").await, "duplicate");
    assert_eq!(t.all_used(HOTEL).await, [3, 0, 0]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn after_an_upgrade_the_same_retry_succeeds_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.limit(HOTEL, json!({ "imports": 0, "exports": 0, "active_users": 0 })).await;
    let replica = t.replica().await;
    for api in [&*t, &replica] {
        assert_exceeded(&api.import(HOTEL, "job-1").await, "imports");
        assert_exceeded(&api.export(HOTEL, "export-1").await, "exports");
        assert_exceeded(&api.add_seat(HOTEL, seat(1)).await, "active_users");
    }

    replica.register(HOTEL, "superior", "UTC").await;

    assert_created(&t.import(HOTEL, "job-1").await);
    assert_created(&t.export(HOTEL, "export-1").await);
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    assert_eq!(t.all_used(HOTEL).await, [1, 1, 1]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn after_a_downgrade_more_is_used_than_the_limit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for job in ["job-1", "job-2"] {
        assert_created(&t.import(HOTEL, job).await);
    }
    t.limit(HOTEL, json!({ "imports": 1 })).await;
    let state = quota(&t, "imports").await;
    let said = [&state["used"], &state["limit"], &state["remaining"], &state["exceeded"]];
    assert_eq!(said, [&json!(2), &json!(1), &json!(0), &json!(true)]);
    assert_exceeded(&t.import(HOTEL, "job-3").await, "imports");
}

/// The override of the imports, and what follows from it before anything is used.
#[rstest]
#[case::absent_follows_the_plan(json!({}), json!(3), (false, false))]
#[case::zero_is_zero(json!({ "imports": 0 }), json!(0), (true, true))]
#[case::null_is_unlimited(json!({ "imports": null }), json!(null), (false, false))]
#[case::own(json!({ "imports": 7 }), json!(7), (false, false))]
#[tokio::test(flavor = "multi_thread")]
async fn limits_mean_what_they_say(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] limits: Value,
    #[case] limit: Value,
    #[case] (near, exceeded): (bool, bool),
) {
    let t = Service::start(backend).await;
    t.limit(HOTEL, limits).await;
    let state = quota(&t, "imports").await;
    let expected = json!({
        "quota": "imports", "used": 0, "limit": limit, "remaining": limit, "near_limit": near,
        "exceeded": exceeded, "resets_at": "2026-12-01T00:00:00Z", "hotel_id": HOTEL,
        "month": "2026-11",
    });
    assert_eq!(state, expected);
    let mut admitted = 0;
    for number in 1..=9 {
        admitted += i64::from(t.import(HOTEL, &format!("job-{number}")).await.status == 201);
    }
    assert_eq!(admitted, limit.as_i64().unwrap_or(9));
    assert_eq!(t.all_used(HOTEL).await, [admitted, 0, 0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn near_limit_begins_at_80_percent(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.limit(HOTEL, json!({ "exports": 5 })).await;
    let mut states = Vec::new();
    for number in 1..=5 {
        let body = t.export(HOTEL, &format!("export-{number}")).await.body;
        states.push((body["quota"]["near_limit"] == true, body["quota"]["exceeded"] == true));
    }
    let (fine, near, full) = ((false, false), (true, false), (true, true));
    assert_eq!(states, [fine, fine, fine, near, full]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn near_limit_is_exact(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    t.limit(HOTEL, json!({ "imports": 1000 })).await;
    let jobs = |numbers: std::ops::RangeInclusive<u32>| {
        let job = |n| event(HOTEL, "import_success", json!({ "dedup_key": format!("job-{n}") }));
        Value::Array(numbers.map(job).collect())
    };
    for (numbers, near, exceeded) in
        [(1..=799, false, false), (800..=800, true, false), (801..=1000, true, true)]
    {
        let last = i64::from(*numbers.end());
        t.post("/v1/events", &jobs(numbers)).await;
        let state = quota(&t, "imports").await;
        assert_eq!(state["used"], last);
        assert_eq!((state["near_limit"] == true, state["exceeded"] == true), (near, exceeded));
    }
    assert_exceeded(&t.import(HOTEL, "job-1001").await, "imports");
}

/// Every plan of the design: imports, exports, seats.
#[rstest]
#[case("standard", [Some(3), Some(30), Some(1)])]
#[case("superior", [Some(15), Some(300), Some(3)])]
#[case("deluxe", [Some(50), None, Some(10)])]
#[case("suite", [None, None, None])]
#[tokio::test(flavor = "multi_thread")]
async fn plans_have_the_limits_of_the_design(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] plan: &str,
    #[case] limits: [Option<i64>; 3],
) {
    let t = Service::start(backend).await;
    t.register(HOTEL, plan, "UTC").await;
    let usage = t.get(&format!("/v1/hotels/{HOTEL}/usage")).await.body;
    assert_eq!(usage["plan"], plan);
    let quotas = &usage["quotas"];
    assert_eq!(used(quotas), [0, 0, 0]);
    let listed = ["imports", "exports", "active_users"].map(|name| quotas[name]["limit"].as_i64());
    assert_eq!(listed, limits);
    // Each check shows the limit of its own counter.
    for name in ["imports", "exports", "active_users"] {
        let mut check = quota(&t, name).await;
        let told = ["used", "limit", "remaining", "near_limit", "exceeded"];
        let checked: Value = told.iter().map(|key| (*key, check[*key].take())).collect();
        assert_eq!(checked, quotas[name], "{name}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_check_has_no_side_effect(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for name in ["imports", "exports", "active_users"] {
        assert_eq!(quota(&t, name).await["used"], 0);
    }
    assert_eq!(t.get(&format!("/v1/hotels/{HOTEL}/quotas/beds")).await.status, 404);
    assert!(t.census().await.iter().all(|(_, rows)| *rows == 0));
}
