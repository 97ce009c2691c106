//! Seats: held, listed, given up, and taken again.

use crate::support::{
    HOTEL, OTHER_HOTEL, Service, assert_created, assert_exceeded, assert_outcome, list, seat,
};
use chrono::TimeDelta;
use plg_testkit::Backend;
use plg_testkit::app::{Api, USER, event};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

async fn holders(t: &Service, hotel: Uuid) -> Vec<Value> {
    let seats = t.get(&format!("/v1/hotels/{hotel}/seats")).await;
    assert_eq!((seats.status, &seats.body["next_cursor"]), (200, &Value::Null));
    list(&seats.body["seats"]).iter().map(|seat| seat["seat_user_id"].clone()).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_granted_and_listed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let body = json!({
        "seat_user_id": seat(1), "user_id": USER, "session_id": "s-1", "id": "id-1",
        "event_data": { "role": "night porter" },
    });
    let answer = t.post(&format!("/v1/hotels/{HOTEL}/seats"), &body).await;

    assert_created(&answer);
    assert_eq!(
        (&answer.body["quota"]["used"], &answer.body["quota"]["limit"]),
        (&1.into(), &1.into())
    );
    let mut recorded = event(HOTEL, "seat_added", json!({ "dedup_key": seat(1), "seq": 1 }));
    for field in ["session_id", "id", "event_data"] {
        recorded[field] = body[field].clone();
    }
    recorded["month"] = json!("2026-11");
    recorded["day"] = json!("2026-11-15");
    recorded["recorded_at"] = json!("2026-11-15T12:00:00Z");
    assert_eq!(answer.body["event"], recorded);

    let listed = t.get(&format!("/v1/hotels/{HOTEL}/seats")).await;
    let held = json!({
        "seat_user_id": seat(1), "added_by": USER, "added_at": "2026-11-15T12:00:00Z",
    });
    assert_eq!(listed.body, json!({ "seats": [held], "next_cursor": null }));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_is_held_is_not_granted_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    t.wait(TimeDelta::days(40));
    let again = t.add_seat(HOTEL, seat(1)).await;
    assert_outcome(&again, "duplicate");
    assert_eq!(again.body["quota"]["used"], 1);
    // The one seat is held, so the quota refuses another user's, and no repetition of it.
    assert_exceeded(&t.add_seat(HOTEL, seat(2)).await, "active_users");
    assert_eq!(holders(&t, HOTEL).await, [json!(seat(1))]);
    assert_created(&t.add_seat(OTHER_HOTEL, seat(1)).await);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_given_up_by_whoever_asks_and_once_for_each_key(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    let manager = Uuid::from_u128(0x3a);
    let path = format!("/v1/hotels/{HOTEL}/seats/{}?user_id={manager}", seat(1));
    let remove = || t.request(Method::DELETE, &path).header("Idempotency-Key", "key-1");
    let removed = Api::send(remove()).await;
    assert_outcome(&removed, "recorded");
    assert_eq!(removed.body["event"]["user_id"], json!(manager));
    assert_eq!(removed.header("idempotent-replayed"), None);
    // It is granted again before the answer that was lost is asked for once more.
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    let again = Api::send(remove()).await;
    assert_outcome(&again, "recorded");
    assert_eq!(again.body["event"], removed.body["event"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(holders(&t, HOTEL).await, [json!(seat(1))]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_given_up_frees_the_quota(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    let refused = t.add_seat(HOTEL, seat(2)).await;
    assert_exceeded(&refused, "active_users");
    let detail = refused.body["detail"].as_str().expect("text");
    assert!(detail.contains("give up a seat or upgrade the plan"), "{detail}");

    let removed = t.remove_seat(HOTEL, seat(1)).await;

    assert_outcome(&removed, "recorded");
    assert_eq!(removed.body["event"]["event_type"], "seat_removed");
    assert_eq!(removed.body["event"]["dedup_key"], json!(seat(1)));
    assert_eq!(
        (&removed.body["quota"]["used"], &removed.body["quota"]["exceeded"]),
        (&0.into(), &false.into())
    );
    assert_eq!(holders(&t, HOTEL).await, Vec::<Value>::new());
    assert_created(&t.add_seat(HOTEL, seat(2)).await);
    assert_eq!(holders(&t, HOTEL).await, [json!(seat(2))]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_is_not_held_cannot_be_given_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_outcome(&t.remove_seat(HOTEL, seat(1)).await, "duplicate");
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    assert_outcome(&t.remove_seat(OTHER_HOTEL, seat(1)).await, "duplicate");
    assert_outcome(&t.remove_seat(HOTEL, seat(1)).await, "recorded");
    let again = t.remove_seat(HOTEL, seat(1)).await;
    assert_outcome(&again, "duplicate");
    assert_eq!(again.body["quota"]["used"], 0);
    assert_eq!(t.event_types(HOTEL).await, ["seat_added", "seat_removed"]);
    t.assert_balanced().await;
}

/// A UUID may be written in several ways.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_has_one_name_in_the_log(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let (plain, odd) = (seat(0xab).to_string(), seat(0xab).braced().to_string().to_uppercase());
    assert_ne!(plain, odd);
    let granted = t.event(HOTEL, "seat_added", json!({ "dedup_key": odd })).await;
    assert_outcome(&granted, "recorded");
    assert_eq!(granted.body["event"]["dedup_key"], json!(plain));
    assert_outcome(&t.remove_seat(HOTEL, seat(0xab)).await, "recorded");
    let named: Vec<_> = t.events(HOTEL).await.iter().map(|e| e["dedup_key"].clone()).collect();
    assert_eq!(named, [json!(plain), json!(plain)]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_can_come_and_go_as_often_as_it_likes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for _ in 0..3 {
        assert_created(&t.add_seat(HOTEL, seat(1)).await);
        assert_eq!(t.used(HOTEL, "active_users").await, 1);
        assert_outcome(&t.remove_seat(HOTEL, seat(1)).await, "recorded");
        assert_eq!(t.used(HOTEL, "active_users").await, 0);
    }
    assert_eq!(t.events(HOTEL).await.len(), 6);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_listed_with_its_last_grant(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.add_seat(HOTEL, seat(1)).await;
    t.remove_seat(HOTEL, seat(1)).await;
    t.clock.set_to("2026-11-16T08:30:00.123456Z");
    let manager = Uuid::from_u128(0x9);
    let body = json!({ "seat_user_id": seat(1), "user_id": manager });
    assert_created(&t.post(&format!("/v1/hotels/{HOTEL}/seats"), &body).await);

    let listed = list(&t.get(&format!("/v1/hotels/{HOTEL}/seats")).await.body["seats"]);

    assert_eq!(listed[0]["added_by"], json!(manager));
    assert_eq!(listed[0]["added_at"], "2026-11-16T08:30:00.123456Z");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn pages_list_every_seat_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.unlimit(HOTEL).await;
    t.unlimit(OTHER_HOTEL).await;
    let added: Vec<Value> = (0..23)
        .map(|n| event(HOTEL, "seat_added", json!({ "dedup_key": seat(7 * n % 23) })))
        .collect();
    t.post("/v1/events", &json!(added)).await;
    t.add_seat(OTHER_HOTEL, seat(99)).await;

    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/v1/hotels/{HOTEL}/seats?limit=5{cursor}");
        let page = t.get(&path).await;
        let seats = list(&page.body["seats"]);
        assert!(seats.len() <= 5);
        found.extend(seats.iter().map(|seat| seat["seat_user_id"].clone()));
        pages += 1;
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }

    let all: Vec<Value> = (0..23).map(|number| json!(seat(number))).collect();
    assert_eq!((pages, found), (5, all));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_page_at_the_end_is_the_last(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.add_seat(HOTEL, seat(1)).await;
    let page = t.get(&format!("/v1/hotels/{HOTEL}/seats?limit=1")).await;
    assert_eq!((list(&page.body["seats"]).len(), &page.body["next_cursor"]), (1, &Value::Null));
}
