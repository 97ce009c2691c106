//! CloudEvents 1.0.2 on `POST /v1/events`, one and many.

use crate::support::{HOTEL, Service, assert_invalid, assert_outcome, assert_problem, list};
use plg_testkit::Backend;
use plg_testkit::app::{Answer, Api, USER};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

async fn send(t: &Service, kind: &str, body: &Value) -> Answer {
    let request = t.request(Method::POST, "/v1/events").header("Content-Type", kind);
    Api::send(request.body(body.to_string())).await
}

async fn one(t: &Service, body: &Value) -> Answer {
    send(t, "application/cloudevents+json; charset=utf-8", body).await
}

/// An export, as an emitter writes it that has never heard of us.
fn export(id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/exports/worker-1", "type": "export_success",
        "subject": HOTEL, "time": "2026-11-15T11:59:59Z", "datacontenttype": "Application/JSON",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": { "user_id": USER, "dedup_key": id, "rows": 12, "format": "csv" },
    })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn one_is_recorded_once_by_source_and_id(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let answer = one(&t, &export("1")).await;
    assert_outcome(&answer, "recorded");
    let event = &answer.body["event"];
    assert_eq!(event["id"], "/exports/worker-1 1");
    assert_eq!(event["dedup_key"], "1");
    assert_eq!(event["event_data"], json!({ "rows": 12, "format": "csv" }));
    assert_outcome(&one(&t, &export("1")).await, "duplicate");
    // The same id of another source is another sending: a click is recorded again.
    let mut click = export("2");
    click["type"] = json!("upgrade_click");
    assert_outcome(&one(&t, &click).await, "recorded");
    assert_outcome(&one(&t, &click).await, "duplicate");
    click["source"] = json!("/exports/worker-2");
    assert_outcome(&one(&t, &click).await, "recorded");
    assert_eq!(t.all_used(HOTEL).await, [0, 1, 0]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_item_by_item_and_may_be_sent_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let mut broken = export("2");
    broken["type"] = json!("page_view");
    let batch = json!([export("1"), broken, export("3"), 7, export("1")]);
    for outcomes in [["recorded", "recorded"], ["duplicate", "duplicate"]] {
        let answer = send(&t, "application/cloudevents-batch+json", &batch).await;
        let results = list(&answer.body["results"]);
        assert_eq!([&results[0]["outcome"], &results[2]["outcome"]], outcomes);
        assert_eq!(results[1]["problem"]["code"], "unknown_event_type");
        assert_eq!(results[3]["problem"]["code"], "invalid_field");
        assert_eq!(results[4]["outcome"], "duplicate");
    }
    assert_eq!(t.all_used(HOTEL).await, [0, 2, 0]);
    t.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let t = Service::start(Backend::Sqlite).await;
    let with = |field: &str, value: Value| {
        let mut event = export("1");
        event[field] = value;
        event
    };
    for (field, value) in [
        ("specversion", json!("0.3")),
        ("id", json!("")),
        ("source", json!("")),
        ("source", json!("a b")),
        ("subject", json!("hotel 1")),
        ("datacontenttype", json!("text/xml")),
        ("data", json!("text")),
    ] {
        assert_invalid(&one(&t, &with(field, value)).await, field);
    }
    assert_invalid(&one(&t, &with("id", json!("x".repeat(128)))).await, "source and id");
    assert_invalid(&one(&t, &with("data", json!({ "rows": 1 }))).await, "data.user_id");
    let big = json!({ "user_id": USER, "dedup_key": "1", "text": "x".repeat(9_000) });
    assert_invalid(&one(&t, &with("data", big)).await, "data");
    let unkeyed = json!({ "user_id": USER });
    assert_invalid(&one(&t, &with("data", unkeyed)).await, "data.dedup_key");
    let odd = json!({ "user_id": "anna" });
    assert_invalid(&one(&t, &with("data", odd)).await, "data.user_id");
    let odd = json!({ "user_id": USER, "session_id": "" });
    assert_invalid(&one(&t, &with("data", odd)).await, "data.session_id");
    let answer = one(&t, &with("type", json!("page_view"))).await;
    assert_problem(&answer, (422, "unknown_event_type"), Some("type"));
    let detail = answer.body["detail"].as_str().expect("text");
    assert!(detail.starts_with("type \"page_view\""), "{detail}");
    let request = t.request(Method::POST, "/v1/events");
    let request = request.header("Content-Type", "application/cloudevents+json");
    let data = format!(r#"{{"user_id":"{USER}","dedup_key":"1","a":{{"b":1,"b":2}}}}"#);
    let twice = with("data", json!("here")).to_string().replace(r#""here""#, &data);
    assert_invalid(&Api::send(request.body(twice)).await, "data");
    // Too long to be understood at all.
    let long = data.replace(r#""b":2"#, &format!(r#""b":"{}""#, "x".repeat(32_768)));
    let long = with("data", json!("here")).to_string().replace(r#""here""#, &long);
    let request = t.request(Method::POST, "/v1/events");
    let request = request.header("Content-Type", "application/cloudevents+json");
    let answer = Api::send(request.body(long)).await;
    assert_invalid(&answer, "data");
    let detail = answer.body["detail"].as_str().expect("text");
    assert!(detail.contains("at most 32768 bytes"), "{detail}");
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for (name, value) in [("$serde_json::private::RawValue", json!("[]")), ("deep", deep)] {
        let data = json!({ "user_id": USER, "dedup_key": "1", name: value });
        assert_invalid(&one(&t, &with("data", data)).await, "data");
    }
    // An array is a batch, and must say so; an action is no CloudEvent.
    assert_invalid(&one(&t, &json!([export("1")])).await, "body");
    let batch = send(&t, "application/cloudevents-batch+json", &export("1")).await;
    assert_invalid(&batch, "body");
    let request = t.request(Method::POST, &format!("/v1/hotels/{HOTEL}/imports"));
    let request = request.header("Content-Type", "application/cloudevents+json").body("{}");
    assert_problem(&Api::send(request).await, (415, "unsupported_media_type"), None);
    assert_eq!(t.events(HOTEL).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_callers_is_named_as_it_was_sent() {
    let t = Service::start(Backend::Sqlite).await;
    let token = crate::access::mint(&t, HOTEL).await;
    let send = async |field: &str, value: Value| {
        let mut event = export("1");
        event["type"] = json!("upgrade_click");
        event[field] = value;
        let request = t.with(Some(&token)).request(Method::POST, "/v1/events");
        let request = request.header("Content-Type", "application/cloudevents+json");
        Api::send(request.body(event.to_string())).await
    };
    let answer = send("subject", json!(crate::support::OTHER_HOTEL)).await;
    assert_problem(&answer, (403, "forbidden"), Some("subject"));
    let answer = send("type", json!("export_success")).await;
    assert_problem(&answer, (403, "forbidden"), Some("type"));
    let answer = send("data", json!({ "user_id": HOTEL })).await;
    assert_problem(&answer, (403, "forbidden"), Some("data.user_id"));
}
