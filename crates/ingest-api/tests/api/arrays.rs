//! `POST /v1/events` with an array: each item for itself, in order.

use crate::support::{HOTEL, NOON, OTHER_HOTEL, Service, assert_problem, list, seat};
use plg_testkit::Backend;
use plg_testkit::app::{event, hotel};
use rstest::rstest;
use serde_json::{Value, json};

async fn send(t: &Service, items: Vec<Value>) -> Vec<Value> {
    let answer = t.post("/v1/events", &Value::Array(items)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    list(&answer.body["results"])
}

/// The outcome of each item, or the code of its problem.
fn summary(results: &[Value]) -> Vec<&str> {
    results
        .iter()
        .map(|item| {
            let outcome = item["outcome"].as_str().or_else(|| item["problem"]["code"].as_str());
            outcome.unwrap_or_else(|| panic!("neither outcome nor problem: {item}"))
        })
        .collect()
}

fn import(job: &str) -> Value {
    event(HOTEL, "import_success", json!({ "dedup_key": job }))
}

fn click(id: usize) -> Value {
    event(HOTEL, "upgrade_click", json!({ "id": format!("id-{id}") }))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn items_are_recorded_and_answered_in_their_order(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let results = send(&t, (0..100).map(click).collect()).await;
    assert_eq!(results.len(), 100);
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result["event"]["id"], format!("id-{number}"));
        assert_eq!(result["event"]["seq"], number + 1);
    }
    let answered: Vec<Value> = results.iter().map(|result| result["event"].clone()).collect();
    assert_eq!(t.events(HOTEL).await, answered);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_item_sees_what_those_before_it_did(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let view = || event(HOTEL, "paywall_view", json!({ "session_id": "s-1" }));
    let seat_event = |kind: &str| event(HOTEL, kind, json!({ "dedup_key": seat(1) }));
    let mut items = vec![
        (import("job-1"), "recorded"),
        (import("job-1"), "duplicate"),
        (view(), "recorded"),
        (view(), "suppressed_session"),
        (seat_event("seat_added"), "recorded"),
        (seat_event("seat_added"), "duplicate"),
        (event(HOTEL, "seat_added", json!({ "dedup_key": seat(2) })), "quota_exceeded"),
        (seat_event("seat_removed"), "recorded"),
        (seat_event("seat_removed"), "duplicate"),
        (event(HOTEL, "seat_added", json!({ "dedup_key": seat(2) })), "recorded"),
        (import("job-2"), "recorded"),
        (import("job-3"), "recorded"),
        (import("job-4"), "quota_exceeded"),
        (import("job-3"), "duplicate"),
        (click(1), "recorded"),
        (click(1), "duplicate"),
    ];
    let calculation = || event(HOTEL, "pricing_quote_run", json!({}));
    items.extend((0..10).map(|_| (calculation(), "recorded")));
    items.push((calculation(), "suppressed_daily_cap"));
    let (items, expected): (Vec<Value>, Vec<&str>) = items.into_iter().unzip();

    let results = send(&t, items).await;

    assert_eq!(summary(&results), expected);
    assert_eq!(t.all_used(HOTEL).await, [3, 0, 1]);
    assert_eq!(t.count(HOTEL, "invite_attempt_blocked").await, 1);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_item_says_what_is_used(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.limit(HOTEL, json!({ "imports": 1, "exports": 0 })).await;
    let export = event(HOTEL, "export_success", json!({ "dedup_key": "e-1", "session_id": "s" }));
    let results = send(&t, vec![import("job-1"), import("job-2"), export.clone(), export]).await;
    assert_eq!(
        summary(&results),
        ["recorded", "quota_exceeded", "quota_exceeded", "quota_exceeded"]
    );
    let expected = json!({
        "outcome": "quota_exceeded",
        "quota": {
            "quota": "imports", "used": 1, "limit": 1, "remaining": 0, "near_limit": true,
            "exceeded": true, "resets_at": "2026-12-01T00:00:00Z",
        },
    });
    assert_eq!(results[1], expected);
    assert_eq!(t.event_types(HOTEL).await, ["import_success", "export_blocked"]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_item_answers_for_itself(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let unnamed = event(HOTEL, "paywall_view", json!({}));
    let strange = event(HOTEL, "upgrade_click", json!({ "colour": "red" }));
    let deep = event(HOTEL, "upgrade_click", json!({ "event_data": [] }));
    let nul = event(HOTEL, "upgrade_click", json!({ "event_data": { "a": "\0" } }));
    let invalid = [
        (json!({}), "event_type"),
        (json!(7), "body"),
        (json!(null), "body"),
        (json!([]), "body"),
        (unnamed, "session_id"),
        (strange, "colour"),
        (deep, "event_data"),
        (nul, "event_data"),
        (event(HOTEL, "import_success", json!({ "user_id": "me", "dedup_key": "j" })), "user_id"),
    ];
    let unknown = event(HOTEL, "page_view", json!({}));
    let mut items = vec![click(0), unknown];
    for (number, (item, _)) in invalid.iter().enumerate() {
        items.extend([item.clone(), click(number + 1)]);
    }

    let results = send(&t, items).await;

    assert_eq!(results[1]["problem"]["code"], "unknown_event_type");
    for (number, (item, field)) in invalid.iter().enumerate() {
        let problem = &results[2 + 2 * number]["problem"];
        let said = (&problem["status"], &problem["code"], &problem["field"]);
        assert_eq!(said, (&json!(422), &json!("invalid_field"), &json!(field)), "{item}");
        assert_eq!(results[3 + 2 * number]["outcome"], "recorded", "the neighbour of {item}");
    }
    assert_eq!(t.events(HOTEL).await.len(), invalid.len() + 1);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn several_hotels_share_an_array(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let of = |hotel, job: &str| event(hotel, "import_success", json!({ "dedup_key": job }));
    t.limit(OTHER_HOTEL, json!({ "imports": 1 })).await;
    let items = vec![
        of(OTHER_HOTEL, "job-1"),
        of(HOTEL, "job-1"),
        of(OTHER_HOTEL, "job-2"),
        of(HOTEL, "job-2"),
        of(HOTEL, "job-1"),
    ];
    let results = send(&t, items).await;
    let expected = ["recorded", "recorded", "quota_exceeded", "recorded", "duplicate"];
    assert_eq!(summary(&results), expected);
    let recorded_at: Vec<_> = results.iter().map(|r| r["event"]["hotel_id"].clone()).collect();
    assert_eq!(recorded_at[..2], [json!(OTHER_HOTEL), json!(HOTEL)]);
    assert_eq!((t.all_used(HOTEL).await, t.all_used(OTHER_HOTEL).await), ([2, 0, 0], [1, 0, 0]));
    t.assert_balanced().await;
}

/// As on a database that is distributed by hotel.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_array_may_be_split_over_lanes_and_transactions(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const HOTELS: u8 = 17;

    let t = Service::start_with(backend, NOON, |settings| {
        settings.writer.lanes = 4;
        settings.writer.hotels_per_transaction = 1;
    })
    .await;
    let item = |n| {
        let id = json!({ "id": format!("id-{}", n % 100) });
        event(hotel(n % u128::from(HOTELS)), "upgrade_click", id)
    };
    let items: Vec<Value> = (0..200).map(item).collect();

    let results = send(&t, items.clone()).await;

    assert_eq!(results.len(), items.len());
    for (item, result) in items.iter().zip(&results) {
        assert_eq!(result["outcome"], "recorded", "{item}");
        assert_eq!(result["event"]["hotel_id"], item["hotel_id"]);
        assert_eq!(result["event"]["id"], item["id"]);
    }
    let transactions = t.metric("plg_writer_batches_total{outcome=\"committed\"}").await;
    assert_eq!(transactions, f64::from(HOTELS), "one for each hotel");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_retried_array_succeeds_with_duplicates(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let first: Vec<Value> = (0..500).map(click).collect();
    let whole: Vec<Value> = (0..1_000).map(click).collect();
    assert_eq!(summary(&send(&t, first).await), ["recorded"; 500]);

    let results = send(&t, whole.clone()).await;

    assert_eq!(summary(&results[..500]), ["duplicate"; 500]);
    assert_eq!(summary(&results[500..]), ["recorded"; 500]);
    assert_eq!(summary(&send(&t, whole).await), ["duplicate"; 1_000]);
    assert_eq!(t.events(HOTEL).await.len(), 1_000);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_array_has_at_most_1000_items(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let many = |count: usize| (0..count).map(click).collect::<Vec<_>>();
    let refused = t.post("/v1/events", &json!(many(1_001))).await;
    assert_problem(&refused, (422, "too_many_items"), None);
    let detail = refused.body["detail"].as_str().expect("text");
    assert!(detail.contains("1000") && detail.contains("1001"), "{detail}");
    assert!(t.census().await.iter().all(|(_, rows)| *rows == 0));
    assert_eq!(summary(&send(&t, many(1_000)).await), ["recorded"; 1_000]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_array_is_fine(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    assert_eq!(send(&t, Vec::new()).await, Vec::<Value>::new());
    assert!(t.census().await.iter().all(|(_, rows)| *rows == 0));
}
