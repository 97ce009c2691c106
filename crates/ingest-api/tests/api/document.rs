//! The OpenAPI document: committed as it is served, and complete.

use crate::support::Service;
use ingest_api::{Code, DOCUMENT};
use plg_core::catalogue::CATALOGUE;
use plg_testkit::Backend;
use plg_testkit::app::Api;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;

/// Where the document is committed.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

fn document() -> Value {
    serde_json::from_str(&DOCUMENT).expect("JSON")
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    if std::env::var_os("PLG_WRITE_DOCUMENT").is_some() {
        std::fs::write(FILE, DOCUMENT.as_str()).expect("written");
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(committed == *DOCUMENT, "docs/openapi.json is not current: run `just openapi`");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_served_with_pages_that_need_nothing_else() {
    let t = Service::start(Backend::Sqlite).await;
    let stranger = t.with(None);
    let answer = stranger.get("/openapi.json").await;
    assert_eq!((answer.status, answer.body), (200, document()));
    let page = stranger.text("/docs/").await;
    let elsewhere = ["http://", "https://", "src=\"//", "href=\"//"];
    assert!(page.contains("swagger-ui") && !elsewhere.iter().any(|at| page.contains(at)), "{page}");
    let script = stranger.text("/docs/swagger-initializer.js").await;
    assert!(script.contains("\"/openapi.json\""), "{script}");
    assert!(stranger.text("/docs").await.contains("swagger-ui"), "the page without its slash");
    let absent = stranger.get("/docs/absent.js").await;
    assert_eq!((absent.status, absent.code()), (404, "not_found"));
}

/// They are kept compressed. Who does not know that gets them as they are.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_sent_as_they_are_accepted() {
    let t = Service::start(Backend::Sqlite).await;
    let page = async |accepted: Option<&str>| {
        let mut request = t.with(None).request(Method::GET, "/docs/swagger-ui.css");
        if let Some(accepted) = accepted {
            request = request.header("accept-encoding", accepted);
        }
        let response = request.send().await.expect("an answer");
        let encoding = response.headers().get("content-encoding").cloned();
        assert_eq!(response.headers()["vary"], "accept-encoding");
        (encoding, response.bytes().await.expect("a body"))
    };
    let (encoding, plain) = page(None).await;
    assert_eq!((encoding, plain.starts_with(b".swagger-ui")), (None, true));
    let (encoding, packed) = page(Some("br, gzip;q=0.8")).await;
    assert_eq!(encoding.expect("packed"), "gzip");
    assert!(packed.len() < plain.len() / 3, "{} of {}", packed.len(), plain.len());
    for accepted in ["identity", "gzip;q=0", "br"] {
        assert_eq!(page(Some(accepted)).await, (None, plain.clone()), "{accepted}");
    }
}

/// The document's operations, as the routes write them.
fn operations() -> BTreeSet<(String, String)> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, operations): (&String, &Value)| {
        let methods = operations.as_object().expect("operations").keys().cloned();
        methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_exists_and_no_other_method_does() {
    let t = Service::start(Backend::Sqlite).await;
    for (_, path) in &operations() {
        let methods = operations().into_iter().filter(|(_, p)| p == path).map(|(m, _)| m);
        let methods: BTreeSet<String> = methods.collect();
        let target = path.replace("{quota}", "exports");
        let target = target.replace(['{', '}'], "");
        let answer = Api::send(t.request(Method::PATCH, &target)).await;
        let allowed = answer.header("allow").expect("the methods of the resource");
        let allowed = allowed.split(", ").filter(|method| *method != "HEAD");
        let allowed: BTreeSet<String> = allowed.map(str::to_owned).collect();
        assert_eq!((answer.status, allowed), (405, methods), "{path}");
    }
}

#[test]
fn every_problem_and_every_event_type_is_in_it() {
    let document = document();
    let examples = &document["components"]["examples"];
    for (code, name, status, title) in Code::TABLE {
        let example = &examples[name];
        assert_eq!(example["summary"], title, "{code:?}");
        let value = &example["value"];
        assert_eq!((&value["code"], &value["status"]), (&name.into(), &status.into()), "{code:?}");
    }
    let names = |schema: &str| {
        let values = document["components"]["schemas"][schema]["enum"].as_array().expect(schema);
        values.iter().map(|name| name.as_str().expect("a name").to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(names("Code"), Code::TABLE.iter().map(|row| row.1.to_owned()).collect());
    assert_eq!(names("EventType"), CATALOGUE.iter().map(|row| row.name.to_owned()).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_the_head_gets_that_of_get_and_no_body() {
    let t = Service::start(Backend::Sqlite).await;
    let usage = format!("/v1/hotels/{}/usage", crate::support::HOTEL);
    for path in ["/livez", "/readyz", "/openapi.json", "/client.js", "/docs/", &usage] {
        let [get, head] = [Method::GET, Method::HEAD].map(|method| t.request(method, path));
        let [get, head] = [get.send().await, head.send().await].map(|answer| answer.expect("one"));
        assert_eq!((get.status(), head.status().as_u16()), (head.status(), 200), "{path}");
        for name in ["content-type", "content-length", "etag"] {
            assert_eq!(get.headers().get(name), head.headers().get(name), "{path}: {name}");
        }
        assert!(head.bytes().await.expect("a body").is_empty(), "{path}");
    }
}
