//! W3C Trace Context: every answer says which trace it belongs to.

use crate::support::{HOTEL, Service};
use plg_testkit::Backend;
use plg_testkit::app::{Answer, Api};
use reqwest::Method;

/// Trace, span and flags of an answer.
pub(crate) fn trace(answer: &Answer) -> [String; 3] {
    let header = answer.header("traceparent").expect("a traceparent");
    let parts: Vec<&str> = header.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{header}");
    [parts[1], parts[2], parts[3]].map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_names_the_trace_of_its_request() {
    let t = Service::start(Backend::Sqlite).await;
    let path = format!("/v1/hotels/{HOTEL}/usage");
    let ask = async |parent: &str| {
        Api::send(t.request(Method::GET, &path).header("traceparent", parent)).await
    };
    let (id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let [answered, span, flags] = trace(&ask(&format!("00-{id}-{parent}-01")).await);
    assert_eq!((answered.as_str(), flags.as_str()), (id, "01"));
    assert_ne!(span, parent);
    let [other, ..] = trace(&ask("nonsense").await);
    assert_ne!(other, id);
    let [first, ..] = trace(&t.get("/livez").await);
    let [second, ..] = trace(&t.get("/nowhere").await);
    assert_ne!(first, second);
}
