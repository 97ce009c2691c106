//! What pollers save: bodies that they have, and bytes of long listings.

use crate::support::{HOTEL, Service, assert_created, list};
use plg_testkit::Backend;
use plg_testkit::app::{Answer, Api};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

async fn ask(t: &Service, path: &str, known: &str) -> Answer {
    Api::send(t.request(Method::GET, path).header("If-None-Match", known)).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_not_changed_is_not_sent_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for path in ["/usage", "/usage/history", "/quotas/imports", ""] {
        let path = format!("/v1/hotels/{HOTEL}{path}");
        let first = t.get(&path).await;
        assert_eq!(first.header("cache-control"), Some("private, no-cache"), "{path}");
        let tag = first.header("etag").expect("a tag").to_owned();
        for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = ask(&t, &path, &known).await;
            assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())), "{path}");
            assert_eq!(again.body, Value::Null);
        }
        assert_eq!(ask(&t, &path, "\"other\"").await.status, 200, "{path}");
        assert_eq!(ask(&t, &path, "nonsense").await.status, 200, "{path}");
    }
    let path = format!("/v1/hotels/{HOTEL}/usage");
    let before = t.get(&path).await.header("etag").expect("a tag").to_owned();
    assert_created(&t.import(HOTEL, "job").await);
    let after = ask(&t, &path, &before).await;
    assert_eq!((after.status, &after.body["quotas"]["imports"]["used"]), (200, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_page_may_import_the_browser_client() {
    let t = Service::start(Backend::Sqlite).await;
    let stranger = t.with(None);
    let request =
        || stranger.request(Method::GET, "/client.js").header("Origin", "https://a.example");
    let answer = Api::send(request()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
    let tag = answer.header("etag").expect("a tag").to_owned();
    let again = Api::send(request().header("If-None-Match", &tag)).await;
    assert_eq!((again.status, again.header("access-control-allow-origin")), (304, Some("*")));
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/browser/dist/client.js");
    let committed = std::fs::read_to_string(committed).expect("the module");
    assert_eq!(stranger.text("/client.js").await, committed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_listing_is_compressed_for_those_who_want_it() {
    let t = Service::start(Backend::Sqlite).await;
    t.unlimit(HOTEL).await;
    for job in 0..50 {
        assert_created(&t.import(HOTEL, &format!("job-{job}")).await);
    }
    let path = format!("/v1/hotels/{HOTEL}/events");
    let plain = t.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(plain.headers().get("content-encoding"), None);
    let plain = plain.bytes().await.expect("a body");
    let request = t.request(Method::GET, &path).header("Accept-Encoding", "gzip");
    let packed = request.send().await.expect("an answer");
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.expect("a body");
    assert!(packed.len() * 4 < plain.len(), "{} of {}", packed.len(), plain.len());
    let events: Value = serde_json::from_slice(&plain).expect("JSON");
    assert_eq!(list(&events["events"]).len(), 50);
}
