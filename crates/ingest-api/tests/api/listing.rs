//! A hotel's log: newest first, page by page, every event exactly once.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_invalid, assert_outcome, list};
use plg_testkit::Backend;
use plg_testkit::app::event;
use plg_testkit::ledger;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

/// All pages of a listing.
async fn pages(t: &Service, hotel: Uuid, query: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = t.get(&format!("/v1/hotels/{hotel}/events?{query}{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        pages.push(list(&page.body["events"]));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().expect("an id")).collect()
}

/// 25 events over three months: every third is a price calculation, the others are clicks.
async fn fill(t: &Service) -> Vec<String> {
    let mut recorded = Vec::new();
    for number in 0..25 {
        t.clock.set_to(match number {
            0..7 => "2026-09-30T12:00:00Z",
            7..14 => "2026-10-31T12:00:00Z",
            _ => "2026-12-01T12:00:00Z",
        });
        let event_type = if number % 3 == 0 { "pricing_quote_run" } else { "upgrade_click" };
        let id = format!("id-{number}");
        assert_outcome(&t.event(HOTEL, event_type, json!({ "id": id })).await, "recorded");
        recorded.push(id);
    }
    t.event(OTHER_HOTEL, "upgrade_click", json!({ "id": "of another hotel" })).await;
    recorded.reverse();
    recorded
}

/// Data that is larger than a page may be, which only somebody with SQL can write.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_a_page_is_a_page_of_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for id in ["1", "2", "3"] {
        assert_outcome(&t.event(HOTEL, "upgrade_click", json!({ "id": id })).await, "recorded");
    }
    let large = json!({ "a": "x".repeat(2 * 1024 * 1024) });
    let enlarge = format!("update product_event set event_data = '{large}' where seq > 1");
    assert_eq!(ledger::damage(&t.books().await, &enlarge).await, 2);
    for query in ["", "event_type=upgrade_click"] {
        let pages = pages(&t, HOTEL, query).await;
        assert_eq!(pages.iter().map(|page| ids(page)).collect::<Vec<_>>(), [["3"], ["2"], ["1"]]);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn pages_reach_every_event_exactly_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let newest_first = fill(&t).await;
    for limit in [1, 4, 5, 7, 24, 25, 26, 1000] {
        let pages = pages(&t, HOTEL, &format!("limit={limit}")).await;
        assert_eq!(pages.len(), 25_usize.div_ceil(limit), "pages of {limit}");
        assert!(pages.iter().all(|page| page.len() <= limit));
        assert_eq!(ids(&pages.concat()), newest_first, "pages of {limit}");
    }
    let default = pages(&t, HOTEL, "").await;
    assert_eq!((default.len(), default[0].len()), (1, 25));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_filtered_by_type(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let newest_first = fill(&t).await;
    let of_type = |kept: bool| -> Vec<&str> {
        let number = |id: &str| id[3..].parse::<u32>().expect("a number");
        let wanted = newest_first.iter().map(String::as_str);
        wanted.filter(|id| number(id).is_multiple_of(3) == kept).collect()
    };
    for limit in [1, 2, 3, 9, 16, 100] {
        for (name, kept) in [("pricing_quote_run", true), ("upgrade_click", false)] {
            let pages = pages(&t, HOTEL, &format!("limit={limit}&event_type={name}")).await;
            assert_eq!(ids(&pages.concat()), of_type(kept), "{name}, pages of {limit}");
            assert!(pages.iter().all(|page| page.len() <= limit));
        }
    }
    assert_eq!(pages(&t, HOTEL, "event_type=paywall_view").await, [Vec::<Value>::new()]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_meanwhile_does_not_disturb_a_reader(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let newest_first = fill(&t).await;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = t.get(&format!("/v1/hotels/{HOTEL}/events?limit=10{cursor}")).await;
        found.extend(list(&page.body["events"]));
        assert_outcome(&t.event(HOTEL, "upgrade_click", json!({})).await, "recorded");
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(ids(&found), newest_first);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_sees_only_its_own_log(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    fill(&t).await;
    assert_eq!(ids(&pages(&t, OTHER_HOTEL, "").await.concat()), ["of another hotel"]);
    // A cursor is a place, not a permission.
    let page = t.get(&format!("/v1/hotels/{HOTEL}/events?limit=1")).await;
    let cursor = page.body["next_cursor"].as_str().expect("a cursor");
    let events = pages(&t, OTHER_HOTEL, &format!("cursor={cursor}")).await.concat();
    assert!(events.iter().all(|event| event["hotel_id"] == json!(OTHER_HOTEL)), "{events:?}");
    assert_eq!(pages(&t, Uuid::from_u128(3), "").await, [Vec::<Value>::new()]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_rare_type_is_found_behind_a_long_log(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    assert_outcome(&t.event(HOTEL, "create_hotel_attempt", json!({})).await, "recorded");
    let clicks = vec![event(HOTEL, "upgrade_click", json!({})); 1_000];
    for _ in 0..11 {
        assert_eq!(t.post("/v1/events", &json!(clicks)).await.status, 200);
    }
    let pages = pages(&t, HOTEL, "event_type=create_hotel_attempt&limit=5").await;
    // No page looks through more of the log than it may.
    let found: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(found, [0, 1]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_refuses_what_it_does_not_understand(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    fill(&t).await;
    for limit in ["0", "1001", "-1", "1.5", "all", "", "99999999999999999999"] {
        for listing in ["events", "seats"] {
            let answer = t.get(&format!("/v1/hotels/{HOTEL}/{listing}?limit={limit}")).await;
            assert_invalid(&answer, "limit");
        }
    }
    for cursor in ["x", "", "MjAyNjEz.", "MjAyNjExLjE=", "%00", "..", "MjAyNjExLjE.1"] {
        let answer = t.get(&format!("/v1/hotels/{HOTEL}/events?cursor={cursor}")).await;
        assert_invalid(&answer, "cursor");
    }
    for cursor in ["x", "", "%00", "MjAyNjExLjE"] {
        let answer = t.get(&format!("/v1/hotels/{HOTEL}/seats?cursor={cursor}")).await;
        assert_invalid(&answer, "cursor");
    }
    for event_type in ["page_view", "", "%00", "UPGRADE_CLICK"] {
        let answer = t.get(&format!("/v1/hotels/{HOTEL}/events?event_type={event_type}")).await;
        assert_eq!((answer.status, answer.code()), (422, "unknown_event_type"), "{answer:?}");
        assert_eq!(answer.body["field"], "event_type");
    }
}
