//! How many requests a credential may send.

use crate::support::{HOTEL, NOON, OTHER_HOTEL, Service, assert_problem};
use chrono::TimeDelta;
use plg_core::access::Scope;
use plg_service::Clock as _;
use plg_service::settings::RateLimit;
use plg_testkit::Backend;
use plg_testkit::app::{Answer, USER};
use serde_json::json;
use uuid::Uuid;

async fn limited(keys: u32, tokens: u32) -> Service {
    Service::start_with(Backend::Sqlite, NOON, |settings| {
        settings.rate_limit.keys = RateLimit { requests: keys, seconds: 10 };
        settings.rate_limit.tokens = RateLimit { requests: tokens, seconds: 60 };
    })
    .await
}

async fn token(t: &Service, hotel: Uuid, user: Uuid) -> String {
    let answer = t.post("/v1/session-tokens", &json!({ "hotel_id": hotel, "user_id": user })).await;
    answer.body["token"].as_str().expect("a token").to_owned()
}

fn left(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (answer.header("ratelimit"), answer.header("ratelimit-policy"))
}

fn usage(hotel: Uuid) -> String {
    format!("/v1/hotels/{hotel}/usage")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_send_so_many_requests_and_then_waits() {
    let t = limited(0, 3).await;
    let browser = t.with(Some(&token(&t, HOTEL, USER).await));
    let policy = Some("\"token\";q=3;w=60");
    for expected in ["\"token\";r=2;t=20", "\"token\";r=1;t=40", "\"token\";r=0;t=60"] {
        let answer = browser.get(&usage(HOTEL)).await;
        assert_eq!((answer.status, left(&answer)), (200, (Some(expected), policy)));
    }
    let answer = browser.get(&usage(HOTEL)).await;
    assert_problem(&answer, (429, "rate_limited"), None);
    assert_eq!(left(&answer), (Some("\"token\";r=0;t=60"), policy));
    let wait: i64 = answer.header("retry-after").expect("a number").parse().expect("a number");
    // Another token of the same user is no other browser; another user, and another hotel, are.
    t.wait(TimeDelta::seconds(1));
    let same = t.with(Some(&token(&t, HOTEL, USER).await));
    assert_eq!(same.get(&usage(HOTEL)).await.status, 429);
    let other = t.with(Some(&token(&t, HOTEL, Uuid::from_u128(8)).await));
    assert_eq!(other.get(&usage(HOTEL)).await.status, 200);
    let other = t.with(Some(&token(&t, OTHER_HOTEL, USER).await));
    assert_eq!(other.get(&usage(OTHER_HOTEL)).await.status, 200);
    // Whoever waits as long as told is served again.
    t.wait(TimeDelta::seconds(wait));
    assert_eq!(browser.get(&usage(HOTEL)).await.status, 200);
    assert_eq!(browser.get(&usage(HOTEL)).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_limited_apart_from_tokens_and_from_each_other() {
    let t = limited(2, 0).await;
    let browser = token(&t, HOTEL, USER).await;
    let (_, one) = crate::access::store_key(&t, &[Scope::UsageRead], None).await;
    let (_, other) = crate::access::store_key(&t, &[Scope::UsageRead], None).await;
    for key in [&one, &other] {
        let backend = t.with(Some(key));
        let statuses = [(); 3].map(|()| usage(HOTEL));
        let mut answers = Vec::new();
        for path in &statuses {
            answers.push(backend.get(path).await.status);
        }
        assert_eq!(answers, [200, 200, 429]);
    }
    // No limit is no header.
    let answer = t.with(Some(&browser)).get(&usage(HOTEL)).await;
    assert_eq!((answer.status, left(&answer)), (200, (None, None)));
    // Nobody is limited by what others try in vain.
    let stranger = t.with(Some("plg_00000000000000000000000000000000_x"));
    for _ in 0..5 {
        assert_eq!(stranger.get(&usage(HOTEL)).await.status, 401);
    }
    let open = t.with(None).get("/livez").await;
    assert_eq!((open.status, left(&open)), (200, (None, None)));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sets_the_clock_gives_nobody_requests_and_takes_none() {
    let t = limited(3, 0).await;
    let (_, key) = crate::access::store_key(&t, &[Scope::UsageRead], None).await;
    let backend = t.with(Some(&key));
    assert_eq!(backend.get(&usage(HOTEL)).await.status, 200);
    t.clock.set(t.clock.now() - TimeDelta::minutes(5));
    assert_eq!(left(&backend.get(&usage(HOTEL)).await).0, Some("\"key\";r=1;t=7"));
    t.clock.set(t.clock.now() + TimeDelta::hours(1));
    assert_eq!(left(&backend.get(&usage(HOTEL)).await).0, Some("\"key\";r=0;t=10"));
    t.clock.set(t.clock.now() - TimeDelta::hours(1));
    let answer = backend.get(&usage(HOTEL)).await;
    assert_problem(&answer, (429, "rate_limited"), None);
    assert_eq!(answer.header("retry-after"), Some("4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_array_counts_as_its_items_and_a_keys_as_one() {
    let t = limited(3, 10).await;
    let events = |items: usize| {
        let event = plg_testkit::app::event(HOTEL, "upgrade_click", json!({}));
        serde_json::Value::from(vec![event; items])
    };
    let browser = t.with(Some(&token(&t, HOTEL, USER).await));
    let answer = browser.post("/v1/events", &events(4)).await;
    assert_eq!((answer.status, left(&answer).0), (200, Some("\"token\";r=6;t=24")));
    // One is counted, and those that would be too many are not.
    let answer = browser.post("/v1/events", &events(9)).await;
    assert_problem(&answer, (429, "rate_limited"), None);
    assert_eq!(left(&answer).0, Some("\"token\";r=5;t=30"));
    assert_eq!(t.events(HOTEL).await.len(), 4);
    // Whoever waits as long as told gets all of them recorded, also of the largest array. (Where not even
    // the request itself is let in, nobody has counted its items yet.)
    for (items, mut refusals) in [(9, 1), (1_000, 2)] {
        loop {
            let answer = browser.post("/v1/events", &events(items)).await;
            if answer.status == 200 {
                break;
            }
            assert!(refusals > 0, "{items}: {answer:?}");
            refusals -= 1;
            let wait = answer.header("retry-after").expect("a number").parse().expect("a number");
            t.wait(TimeDelta::seconds(wait));
        }
    }
    let (_, key) = crate::access::store_key(&t, &[Scope::EventsWrite], None).await;
    let answer = t.with(Some(&key)).post("/v1/events", &events(1_000)).await;
    assert_eq!((answer.status, left(&answer).0), (200, Some("\"key\";r=2;t=4")));
}
