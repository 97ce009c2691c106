//! What a receiver of OpenTelemetry's protocol is sent: a span for each request of a sampled trace. The last
//! ones when the service stops, so nothing here waits.

use crate::operations::complaint;
use crate::support::{HOTEL, NOON, Service, assert_created, assert_problem};
use crate::traces::trace;
use plg_testkit::access::ROOT_KEY;
use plg_testkit::app::{Answer, Api, USER};
use plg_testkit::collector::Span;
use plg_testkit::{Backend, Collector, TestDatabase, ledger};
use reqwest::Method;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

async fn start(endpoint: &str, sample_ratio: f64) -> Service {
    let set = |settings: &mut plg_service::Settings| {
        settings.traces.endpoint = endpoint.to_owned();
        settings.traces.sample_ratio = sample_ratio;
    };
    Service::start_with(Backend::Sqlite, NOON, set).await
}

/// Asks as part of a trace, with these flags.
async fn ask(t: &Service, path: &str, flags: &str) -> Answer {
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    Api::send(t.request(Method::GET, path).header("traceparent", parent)).await
}

fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

/// The span of an answer.
fn span_of(spans: &[Span], answer: &Answer) -> Span {
    let [of, id, flags] = trace(answer);
    assert_eq!(flags, "01");
    let mut found = spans.iter().filter(|span| span.trace == of && span.id == id);
    let span = found.next().unwrap_or_else(|| panic!("no span of {answer:?}: {spans:?}"));
    assert!(found.next().is_none(), "two spans of {answer:?}: {spans:?}");
    span.clone()
}

fn attributes(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_of_its_trace() {
    let collector = Collector::start();
    let t = start(collector.url(), 1.0).await;
    let path = format!("/v1/hotels/{HOTEL}/usage");
    let began = now_nanos();
    let called = ask(&t, &format!("{path}?month=2026-11"), "01").await;
    let answered = now_nanos();
    assert_eq!(called.status, 200, "{called:?}");
    let begun = t.import(HOTEL, "job-1").await;
    assert_created(&begun);
    t.stop().await;

    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let span = span_of(&spans, &called);
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, CALLER));
    assert_eq!(span.name, "GET /v1/hotels/{hotel_id}/usage");
    assert!(span.is_server && !span.is_error, "{span:?}");
    let expected = attributes(&[
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/hotels/{hotel_id}/usage"),
        ("url.path", path.as_str()),
        ("url.scheme", "http"),
    ]);
    assert_eq!(span.attributes, expected);
    let (start, end) = span.times;
    assert!(began <= start && start < end && end <= answered, "{began} {span:?} {answered}");
    assert_eq!(span.service["service.name"], "ingest-api");
    assert_eq!(span.service["service.version"], env!("CARGO_PKG_VERSION"));

    let span = span_of(&spans, &begun);
    assert_eq!(
        (span.parent.as_str(), span.name.as_str()),
        ("", "POST /v1/hotels/{hotel_id}/imports")
    );
    assert_eq!(span.attributes["http.response.status_code"], "201");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_service_are_errors_and_those_of_callers_are_not() {
    let collector = Collector::start();
    let t = start(collector.url(), 1.0).await;
    ledger::damage(&t.books().await, "delete from seaql_migrations").await;
    let failed = t.get("/readyz").await;
    assert_problem(&failed, (503, "schema_behind"), None);
    let nowhere = t.get("/nowhere").await;
    assert_problem(&nowhere, (404, "not_found"), None);
    let brew = Method::from_bytes(b"BREW").expect("a method");
    let invented = Api::send(t.request(brew, "/nowhere")).await;
    t.stop().await;

    let spans = collector.spans();
    let span = span_of(&spans, &failed);
    assert!(span.is_error, "{span:?}");
    assert_eq!(
        (span.name.as_str(), span.attributes["error.type"].as_str()),
        ("GET /readyz", "schema_behind")
    );
    for (answer, name, method) in [(nowhere, "GET", "GET"), (invented, "HTTP", "_OTHER")] {
        let span = span_of(&spans, &answer);
        assert_eq!(span.name, name);
        assert!(!span.is_error && !span.attributes.contains_key("error.type"), "{span:?}");
        let status = answer.status.to_string();
        let expected = attributes(&[
            ("http.request.method", method),
            ("http.response.status_code", status.as_str()),
            ("url.path", "/nowhere"),
            ("url.scheme", "http"),
        ]);
        assert_eq!(span.attributes, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_body_or_credential_is_sent() {
    let collector = Collector::start();
    let t = start(collector.url(), 1.0).await;
    assert_created(&t.import(HOTEL, "geheim-1").await);
    t.get(&format!("/v1/hotels/{HOTEL}/events?cursor=geheim-2")).await;
    let request =
        t.request(Method::GET, "/livez?token=geheim-3").header("X-Session-Id", "geheim-4");
    Api::send(request.header("Cookie", "geheim-5")).await;
    t.with(Some("geheim-6")).get("/v1/rollups").await;
    let long = "a".repeat(2_000);
    t.get(&format!("/{long}")).await;
    t.stop().await;

    let sent = collector.text();
    assert!(sent.contains(&HOTEL.to_string()), "the path is sent");
    for secret in ["geheim", ROOT_KEY, &USER.to_string(), &long] {
        assert!(!sent.contains(secret), "{secret}");
    }
    assert_eq!(collector.spans().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_is_not_sent() {
    let collector = Collector::start();
    let all = start(collector.url(), 1.0).await;
    assert_eq!(trace(&ask(&all, "/livez", "00").await)[2], "00");
    all.stop().await;
    assert!(collector.spans().is_empty());

    let none = start(collector.url(), 0.0).await;
    assert_eq!(trace(&none.get("/livez").await)[2], "00");
    assert_eq!(trace(&ask(&none, "/livez", "00").await)[2], "00");
    let sampled = ask(&none, "/livez", "01").await;
    none.stop().await;
    let spans = collector.spans();
    assert_eq!(spans, [span_of(&spans, &sampled)]);
}

/// Nobody listens, or somebody who never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_hurts_nobody() {
    // Longer than the service may take to give up, shorter than anybody would wait.
    const PATIENCE: Duration = Duration::from_secs(30);

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = (format!("http://{}", silent.local_addr().expect("bound")), silent);
    for endpoint in ["http://127.0.0.1:1", &silent.0] {
        let t = start(endpoint, 1.0).await;
        for job in 1..=3 {
            assert_created(&t.import(HOTEL, &format!("job-{job}")).await);
        }
        tokio::time::timeout(PATIENCE, t.stop()).await.expect("it stops");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_no_trace_is_sampled_that_begins_here() {
    let t = start("", 1.0).await;
    assert_eq!(trace(&t.get("/livez").await)[2], "00");
    assert_eq!(trace(&ask(&t, "/livez", "01").await)[2], "01");
    t.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_start_with_a_receiver_that_cannot_be_one() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let mut settings = database.settings();
    settings.traces.endpoint = "collector:4318".to_owned();
    let complaint = complaint(&settings).await;
    assert!(complaint.contains("traces.endpoint must be an http or https URL"), "{complaint}");
}
