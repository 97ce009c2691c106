//! Bodies that are no JSON, not one object, too large, or not declared as what they are.

use super::{Untouched, assert_field_refused, assert_refused};
use crate::support::{HOTEL, assert_outcome, list};
use futures_util::future::{join_all, select_all};
use plg_testkit::Backend;
use plg_testkit::app::{Answer, Api, USER, event};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BODY_MAX_BYTES: usize = 1024 * 1024;

/// Everything that takes a body.
fn doors() -> Vec<(Method, String)> {
    let hotel = format!("/v1/hotels/{HOTEL}");
    vec![
        (Method::POST, "/v1/events".to_owned()),
        (Method::POST, format!("{hotel}/imports")),
        (Method::POST, format!("{hotel}/exports")),
        (Method::POST, format!("{hotel}/seats")),
        (Method::PUT, hotel),
    ]
}

/// Sends a body as it is to everything that takes one.
async fn at_every_door(t: &Untouched, content_type: &str, body: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, path) in doors() {
        let request = t.request(method, &path).header("Content-Type", content_type);
        answers.push(Api::send(request.body(body.to_vec())).await);
    }
    answers
}

fn click() -> Value {
    event(HOTEL, "upgrade_click", json!({}))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_malformed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let problem = (400, "malformed_json");
    let bodies: [(&[u8], &str); 6] = [
        (b"", "EOF while parsing"),
        (b" \n ", "EOF while parsing"),
        (b"{", "EOF while parsing"),
        (b"import", "expected value at line 1 column 1"),
        (b"\0", "expected value at line 1 column 1"),
        (b"\xff", "expected value at line 1 column 1"),
    ];
    for (body, place) in bodies {
        for answer in at_every_door(&t, "application/json", body).await {
            let cure = format!("the body is not valid JSON: {place}");
            assert_refused(&answer, problem, None, &cure);
        }
    }
    let nul = click().to_string().replace("upgrade", "\0");
    let bodies: [(&[u8], &str); 8] = [
        (b"[", "EOF while parsing"),
        (b"[1, 2", "EOF while parsing"),
        (br#"{"event_type""#, "EOF while parsing"),
        (br#"{"event_type": }"#, "expected value at line 1 column 16"),
        (br#"{"event_type": 'import'}"#, "expected value"),
        (br#"{"event_type": "\ud800"}"#, "unexpected end of hex escape"),
        (nul.as_bytes(), "control character"),
        (b"{\"event_type\": \"\xff\"}", "invalid unicode"),
    ];
    for (body, place) in bodies {
        let answer = t.post_raw("/v1/events", body.to_vec()).await;
        assert_refused(&answer, problem, None, &format!("the body is not valid JSON: {place}"));
    }
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_end_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    for garbage in ["x", "}", ",", "{}", "\0", "[]"] {
        for body in [click(), json!([click()])] {
            let answer = t.post_raw("/v1/events", format!("{body} {garbage}")).await;
            let problem = (400, "malformed_json");
            assert_refused(&answer, problem, None, "the body goes on behind its end");
        }
    }
    t.assert_untouched().await;
    assert_outcome(&t.post_raw("/v1/events", format!(" \n{}\n ", click())).await, "recorded");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_object_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    for body in ["7", "null", "true", r#""import""#, "1.5"] {
        for answer in at_every_door(&t, "application/json", body.as_bytes()).await {
            assert_field_refused(&answer, "body", "must be ");
        }
    }
    t.assert_untouched().await;
}

/// Fields have names: their order must not decide what a value means.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_array_is_no_object_whatever_it_holds(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let hotel = format!("/v1/hotels/{HOTEL}");
    let action = json!(["key-1", USER, null, null, null]);
    for (method, path, body) in [
        (Method::POST, format!("{hotel}/imports"), action.clone()),
        (Method::POST, format!("{hotel}/exports"), action),
        (Method::POST, format!("{hotel}/seats"), json!([USER, USER, null, null, null])),
        (Method::PUT, hotel, json!(["standard", "Europe/Vienna", {}])),
    ] {
        let answer = Api::send(t.request(method, &path).json(&body)).await;
        assert_field_refused(&answer, "body", "must be a JSON object, got ");
    }
    let item = json!(["upgrade_click", HOTEL, USER, null, null, null, null]);
    let answer = t.post("/v1/events", &json!([item])).await;
    let problem = &list(&answer.body["results"])[0]["problem"];
    assert_eq!((&problem["status"], &problem["field"]), (&json!(422), &json!("body")));
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_said_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Untouched::start(backend).await;
    let twice = click().to_string().replacen('{', &format!(r#"{{"user_id":"{USER}","#), 1);
    let answer = t.post_raw("/v1/events", twice).await;
    assert_field_refused(&answer, "user_id", "is there twice");
    t.assert_untouched().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_at_most_one_mebibyte(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let whole = json!([click()]).to_string();
    let of_bytes = |bytes: usize| format!("{whole}{}", " ".repeat(bytes - whole.len()));
    for answer in
        at_every_door(&t, "application/json", of_bytes(BODY_MAX_BYTES + 1).as_bytes()).await
    {
        assert_refused(&answer, (413, "body_too_large"), None, "send at most 1048576 bytes");
    }
    t.assert_untouched().await;
    let largest = t.post_raw("/v1/events", of_bytes(BODY_MAX_BYTES)).await;
    assert_eq!(list(&largest.body["results"])[0]["outcome"], "recorded", "{largest:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_declared_as_json_or_not_at_all(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Untouched::start(backend).await;
    let body = click().to_string();
    for other in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        for answer in at_every_door(&t, other, body.as_bytes()).await {
            let problem = (415, "unsupported_media_type");
            assert_refused(&answer, problem, None, "send Content-Type: application/json");
        }
    }
    t.assert_untouched().await;
    for json in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        let request = t.request(Method::POST, "/v1/events").header("Content-Type", json);
        assert_outcome(&Api::send(request.body(body.clone())).await, "recorded");
    }
    let undeclared = Api::send(t.request(Method::POST, "/v1/events").body(body)).await;
    assert_outcome(&undeclared, "recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_not_taken_for_broken_json() {
    let t = Untouched::start(Backend::Sqlite).await;
    let send = async |coding: &str| {
        let request = t.request(Method::POST, "/v1/events").header("Content-Encoding", coding);
        Api::send(request.json(&click())).await
    };
    let problem = (415, "unsupported_media_type");
    assert_refused(&send("gzip").await, problem, None, "without Content-Encoding: gzip");
    t.assert_untouched().await;
    assert_outcome(&send("identity").await, "recorded");
}

/// A mebibyte each, of which the last bytes never come.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_that_do_not_arrive_are_bounded_together() {
    const LARGE: usize = 33;

    let t = Untouched::start(Backend::Sqlite).await;
    let token = crate::access::mint(&t, HOTEL).await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-length: {BODY_MAX_BYTES}\r\n\r\n"
    );
    let sent = [head.as_bytes(), &vec![b' '; BODY_MAX_BYTES - 1]].concat();
    let streams = (0..LARGE).map(async |_| {
        let mut stream = TcpStream::connect(t.address()).await.unwrap();
        // It may be refused before all is sent.
        let _ = stream.write_all(&sent).await;
        stream
    });
    let mut streams = join_all(streams).await;
    // The others wait.
    let answers = streams.iter_mut().map(|stream| {
        Box::pin(async move {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            answer
        })
    });
    let (answer, ..) = select_all(answers).await;
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 503");
    // Small ones come through, and large ones of backends.
    let click = click();
    assert_outcome(&t.with(Some(&token)).post("/v1/events", &json!(click)).await, "recorded");
    let large = format!("[{click}{}]", " ".repeat(BODY_MAX_BYTES / 2));
    let large = t.post_raw("/v1/events", large).await;
    assert_eq!(list(&large.body["results"])[0]["outcome"], "recorded", "{large:?}");
}
