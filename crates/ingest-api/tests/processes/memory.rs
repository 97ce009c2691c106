//! What a sender may send and read does not decide how much memory the program takes.

use crate::support::Service;
use plg_testkit::app::{USER, hotel};
use plg_testkit::{Backend, TestDatabase};
use rstest::rstest;
use serde_json::{Value, json};

/// More than the program needs, and half of what an array of [`nested`] data takes when all of it is understood at once.
const MEMORY_MIB: f64 = 120.0;

/// Within the bounds of `event_data`, and understood a hundred times its size: objects of one key in one another.
fn nested() -> Value {
    let one = (0..13).fold(json!({}), |inner, _| json!({ "": inner }));
    json!({ "a": vec![one; 110] })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn data_takes_as_much_memory_as_its_text(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const AT_ONCE: usize = 100;
    const ARRAYS: usize = 4;

    let database = TestDatabase::new(backend).await;
    let service = Service::start(database.url(), &[]);
    let event = json!({
        "event_type": "upgrade_click", "hotel_id": hotel(1), "user_id": USER, "event_data": nested(),
    });
    let array = Value::Array(vec![event; AT_ONCE]);
    for _ in 0..ARRAYS {
        let answer = service.api.post("/v1/events", &array).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let results = answer.body["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["outcome"] == "recorded"));
    }
    assert!(service.peak_mib() < MEMORY_MIB, "{} MiB after the arrays", service.peak_mib());

    let (mut listed, mut cursor) = (0, String::new());
    while let Some(next) = Some(&cursor).filter(|_| listed < AT_ONCE * ARRAYS) {
        let page = format!("/v1/hotels/{}/events?limit=1000{next}", hotel(1));
        let page = service.api.get(&page).await;
        assert_eq!(page.status, 200, "{page:?}");
        let events = page.body["events"].as_array().unwrap();
        assert!(events.iter().all(|event| event["event_data"] == nested()));
        assert!(events.len() < AT_ONCE * ARRAYS / 2, "a page has its bound, too");
        listed += events.len();
        cursor = format!("&cursor={}", page.body["next_cursor"].as_str().unwrap_or_default());
    }
    assert_eq!(listed, AT_ONCE * ARRAYS);
    assert!(service.peak_mib() < MEMORY_MIB, "{} MiB after the listing", service.peak_mib());
    assert!(service.terminate().success());
}
