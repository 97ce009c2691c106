//! Paths, queries, headers, methods.

use super::{Untouched, assert_field_refused, assert_refused};
use crate::support::{HOTEL, seat};
use plg_testkit::Backend;
use plg_testkit::app::{Api, USER, event};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MALFORMED: [&str; 5] =
    ["me", "7", "%00", "4f7e1000-0000-0000-0000-00000000000g", "4f7e1000-0000-0000-0000"];

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_in_the_path_is_a_uuid(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let get = ["", "/usage", "/usage/history", "/quotas/imports", "/events", "/seats"];
    for malformed in MALFORMED {
        let hotel = format!("/v1/hotels/{malformed}");
        for path in get {
            let answer = t.get(&format!("{hotel}{path}")).await;
            assert_field_refused(&answer, "hotel_id", "must be a UUID");
        }
        let action = json!({ "job_id": "job-1", "user_id": USER });
        let answer = t.post(&format!("{hotel}/imports"), &action).await;
        assert_field_refused(&answer, "hotel_id", "must be a UUID");
        let profile = json!({ "plan": "standard", "time_zone": "UTC" });
        assert_field_refused(&t.put(&hotel, &profile).await, "hotel_id", "must be a UUID");
    }
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_given_up_by_uuids(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let seats = format!("/v1/hotels/{HOTEL}/seats");
    for malformed in MALFORMED {
        let answer = t.delete(&format!("{seats}/{malformed}?user_id={USER}")).await;
        assert_field_refused(&answer, "seat_user_id", "must be a UUID");
        let answer = t.delete(&format!("{seats}/{}?user_id={malformed}", seat(0))).await;
        assert_field_refused(&answer, "user_id", "must be a UUID");
    }
    let answer = t.delete(&format!("{seats}/{}", seat(0))).await;
    assert_field_refused(&answer, "user_id", "is required in the query");
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_named_by_a_uuid(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Untouched::start(backend).await;
    for malformed in MALFORMED {
        let answer = t.get(&format!("/v1/rollups/{malformed}")).await;
        assert_field_refused(&answer, "run_id", "must be a UUID");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn months_are_written_with_a_year_and_two_digits(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let usage = format!("/v1/hotels/{HOTEL}/usage");
    for month in
        ["2026-13", "2026-00", "2026-1", "26-01", "2026", "2026-11-01", "", "november", "%00"]
    {
        let answer = t.get(&format!("{usage}?month={month}")).await;
        assert_field_refused(&answer, "month", "must be a month written YYYY-MM");
    }
    for months in ["0", "121", "-1", "1.5", "all", ""] {
        let answer = t.get(&format!("{usage}/history?months={months}")).await;
        assert_field_refused(&answer, "months", "must be a whole number from 1 to 120");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_query_has_known_parameters_once_each(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let hotel = format!("/v1/hotels/{HOTEL}");
    for (path, known) in [
        (format!("{hotel}/events"), "limit"),
        (format!("{hotel}/seats"), "limit"),
        (format!("{hotel}/usage"), "month"),
        (format!("{hotel}/usage/history"), "months"),
        ("/v1/rollups".to_owned(), "limit"),
    ] {
        let unknown = t.get(&format!("{path}?colour=red")).await;
        assert_field_refused(&unknown, "colour", known);
        let twice = t.get(&format!("{path}?{known}=1&{known}=1")).await;
        assert_field_refused(&twice, known, "is there twice");
    }
    let seat = format!("{hotel}/seats/{}?user_id={USER}&colour=red", seat(0));
    assert_field_refused(&t.delete(&seat).await, "colour", "user_id");
    // Nor is one overlooked where there are none: somebody means something by it.
    let none = "is unknown: this resource has no query";
    for path in ["", "/quotas/imports"] {
        assert_field_refused(&t.get(&format!("{hotel}{path}?month=2026-10")).await, "month", none);
    }
    let profile = json!({ "plan": "suite", "time_zone": "UTC" });
    assert_field_refused(&t.put(&format!("{hotel}?dry_run=1"), &profile).await, "dry_run", none);
    let action =
        json!({ "job_id": "job", "export_id": "export", "seat_user_id": USER, "user_id": USER });
    for path in ["imports", "exports", "seats"] {
        let answer = t.post(&format!("{hotel}/{path}?dry_run"), &action).await;
        assert_field_refused(&answer, "dry_run", none);
    }
    let click = event(HOTEL, "upgrade_click", json!({}));
    assert_field_refused(&t.post("/v1/events?&dry_run=1", &click).await, "dry_run", none);
    let token = json!({ "hotel_id": HOTEL, "user_id": USER });
    assert_field_refused(&t.post("/v1/session-tokens?ttl=9", &token).await, "ttl", none);
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_the_header_has_the_bounds_of_one_in_the_body(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let send = async |session: &[u8]| {
        let request = t.request(Method::POST, "/v1/events").header("X-Session-Id", session);
        Api::send(request.json(&event(HOTEL, "paywall_view", json!({})))).await
    };
    let long = "a".repeat(129);
    for (session, cure) in [
        (b"".as_slice(), "must not be empty"),
        (b"a\tb", "must not contain control characters (found U+0009)"),
        (long.as_bytes(), "must be at most 128 characters, got 129"),
        (b"\xff", "must be printable ASCII"),
        ("é".as_bytes(), "must be printable ASCII"),
    ] {
        assert_field_refused(&send(session).await, "X-Session-Id", cure);
    }
    t.assert_untouched().await;
    assert_eq!(send("~".repeat(128).as_bytes()).await.outcome(), "recorded");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let hotel = format!("/v1/hotels/{HOTEL}");
    for path in [
        "/".to_owned(),
        "/v1".to_owned(),
        "/v2/events".to_owned(),
        "/v1/events/1".to_owned(),
        "/v1/hotels".to_owned(),
        format!("{hotel}/"),
        format!("{hotel}/beds"),
        format!("{hotel}/quotas"),
        format!("{hotel}/usage/2026-11"),
    ] {
        let problem = (404, "not_found");
        assert_refused(&t.get(&path).await, problem, None, "there is nothing here");
        assert_refused(&t.post(&path, &json!({})).await, problem, None, "there is nothing here");
    }
    let quota = t.get(&format!("{hotel}/quotas/beds")).await;
    let cure = "ask for imports, exports or active_users";
    assert_refused(&quota, (404, "not_found"), None, cure);
    t.assert_untouched().await;
}

/// Every resource, and its methods.
#[rstest]
#[case("/v1/events", "POST")]
#[case("/v1/hotels/{hotel}", "GET, HEAD, PUT")]
#[case("/v1/hotels/{hotel}/imports", "POST")]
#[case("/v1/hotels/{hotel}/exports", "POST")]
#[case("/v1/hotels/{hotel}/seats", "GET, HEAD, POST")]
#[case("/v1/hotels/{hotel}/seats/{hotel}", "DELETE")]
#[case("/v1/hotels/{hotel}/usage", "GET, HEAD")]
#[case("/v1/hotels/{hotel}/usage/history", "GET, HEAD")]
#[case("/v1/hotels/{hotel}/quotas/imports", "GET, HEAD")]
#[case("/v1/hotels/{hotel}/events", "GET, HEAD")]
#[case("/v1/rollups", "GET, HEAD")]
#[case("/v1/rollups/{hotel}", "GET, HEAD")]
#[case("/livez", "GET, HEAD")]
#[case("/readyz", "GET, HEAD")]
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_names_its_methods(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] path: &str,
    #[case] allow: &str,
) {
    let t = Untouched::start(backend).await;
    let path = path.replace("{hotel}", &HOTEL.to_string());
    let known: Vec<&str> = allow.split(", ").collect();
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
        if known.contains(&method) {
            continue;
        }
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = Api::send(t.request(method.clone(), &path)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method}");
        if method != Method::HEAD {
            assert_refused(&answer, (405, "method_not_allowed"), None, allow);
        }
    }
    t.assert_untouched().await;
}

/// Java's client asks for HTTP/2 in passing, and takes an answer that says `upgrade` for the last one.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_another_protocol_is_told_that_the_connection_closes() {
    let t = Untouched::start(Backend::Sqlite).await;
    let mut stream = TcpStream::connect(t.address()).await.unwrap();
    let request = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\n\
                   upgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // To its end.
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
}
