//! The fields of an event that can hold anything: `event_data`, and the type.

use super::{Untouched, assert_field_refused, assert_refused};
use crate::support::{HOTEL, assert_outcome};
use plg_testkit::Backend;
use plg_testkit::app::{USER, event};
use rstest::rstest;
use serde_json::{Value, json};

/// Everything that takes `event_data`: its path, and a body with this as its `event_data`.
fn doors(data: &str) -> [(String, String); 4] {
    let hotel = format!("/v1/hotels/{HOTEL}");
    let body = |key: &str| format!(r#"{{{key},"user_id":"{USER}","event_data":{data}}}"#);
    [
        ("/v1/events".to_owned(), with_data(data)),
        (format!("{hotel}/imports"), body(r#""job_id":"job-1""#)),
        (format!("{hotel}/exports"), body(r#""export_id":"export-1""#)),
        (format!("{hotel}/seats"), body(&format!(r#""seat_user_id":"{USER}""#))),
    ]
}

/// An event whose `event_data` is this JSON text.
fn with_data(data: &str) -> String {
    let body = event(HOTEL, "upgrade_click", json!({ "event_data": "here" })).to_string();
    body.replace(r#""here""#, data)
}

/// A JSON object of this many bytes.
fn of_bytes(bytes: usize) -> String {
    format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8))
}

/// A JSON object of this many levels.
fn of_levels(levels: usize) -> String {
    format!(r#"{{"a":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn event_data_out_of_its_bounds_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let object = "must be a JSON object";
    let readable = "must be JSON that can be read";
    let nul = "must not contain the character U+0000";
    let deep = "must be at most 16 levels deep";
    for (data, cure) in [
        ("[]", object),
        (r#"[{"a":1}]"#, object),
        (r#""text""#, object),
        ("7", object),
        ("true", object),
        (r#"{"a\u0000":1}"#, nul),
        (r#"{"a":"\u0000"}"#, nul),
        (r#"{"a":["b",{"c":"x\u0000y"}]}"#, nul),
        (r#"{"a":{"b":{"\u0000":null}}}"#, nul),
        (r#"{"a":"\ud800"}"#, readable),
        (r#"{"\udc00":1}"#, readable),
        (r#"{"a":1e999}"#, readable),
        (r#"{"a":1,"a":2}"#, "must not have a key twice"),
        (r#"{"a":[{"b":{},"\u0062":null}]}"#, "must not have a key twice"),
        (r#"{"$serde_json::private::RawValue":5}"#, "must not have the key $serde_json::private"),
        (r#"{"a":{"$serde_json::private::RawValue":"[]"}}"#, "must not have the key $serde_json"),
        (r#"{"a":18446744073709551616}"#, "18446744073709551616: send it as text"),
        (r#"{"a":[-9223372036854775809]}"#, "-9223372036854775809: send it as text"),
        (&of_bytes(8 * 1024 + 1), "must be at most 8192 bytes of JSON, got 8193"),
        (&of_levels(17), deep),
        (&of_levels(100), deep),
        (&of_levels(4_000), deep),
    ] {
        for (path, body) in doors(data) {
            assert_field_refused(&t.post_raw(&path, body).await, "event_data", cure);
        }
    }
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn event_data_at_its_bounds_is_kept(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    for data in [
        "{}",
        &of_bytes(8 * 1024),
        &of_levels(16),
        r#"{"":"","emoji":"🛎","big":9007199254740993,"small":-0.1,"yes":true,"no":null}"#,
        r#"{"a":"\\u0000 in words","b":"line\nbreak\u0001"}"#,
        // Its neighbours are a double away.
        r#"{"ratio":1.0578373760421862e-07,"tiny":5e-324,"pi":3.141592653589793}"#,
        r#"{"most":18446744073709551615,"least":-9223372036854775808,"text":"18446744073709551616"}"#,
    ] {
        let answer = t.post_raw("/v1/events", with_data(data)).await;
        assert_outcome(&answer, "recorded");
        let sent: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(answer.body["event"]["event_data"], sent);
        assert_eq!(t.events(HOTEL).await.last().expect("an event")["event_data"], sent);
    }
    let none = t.post_raw("/v1/events", with_data("null")).await;
    assert_outcome(&none, "recorded");
    assert_eq!(none.body["event"].get("event_data"), None);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_type_is_answered_with_the_catalogue(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    for unknown in ["page_view", "", "UPGRADE_CLICK", "upgrade_click\0", "\0"] {
        let answer = t.event(HOTEL, unknown, json!({})).await;
        let problem = (422, "unknown_event_type");
        assert_refused(&answer, problem, Some("event_type"), "the catalogue has: import_success");
    }
    t.assert_untouched().await;
}

/// One bad field does not hide behind another: the first is named, and then the next.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_can_be_mended_one_by_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let mut body = event(HOTEL, "import_view", json!({ "event_data": [], "id": "" }));
    let repairs = [
        ("event_type", json!("import_success")),
        ("id", json!("id-1")),
        ("event_data", json!({})),
        ("dedup_key", json!("job-1")),
    ];
    for (field, repair) in repairs {
        let answer = t.post("/v1/events", &body).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{answer:?}");
        body[field] = repair;
    }
    t.assert_untouched().await;
    assert_outcome(&t.post("/v1/events", &body).await, "recorded");
}
