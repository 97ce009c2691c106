//! The service does not depend on whoever reads its log.

use futures_util::StreamExt as _;
use futures_util::stream;
use ingest_api::access::key;
use plg_testkit::app::{Api, USER, hotel};
use plg_testkit::{Backend, Process, TestDatabase, access};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::block_in_place;
use tokio::time::timeout;
use uuid::Uuid;

/// More lines than a pipe holds and the service keeps.
const LINES: usize = 12_000;
/// Far longer than it takes.
const STANDSTILL: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing_and_what_is_lost_is_counted() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let mut settings = vec![("PLG__SERVER__PORT", "0"), ("PLG__METRICS__PORT", "0")];
    settings.extend(access::ENVIRONMENT);
    let program = Path::new(env!("CARGO_BIN_EXE_ingest-api"));
    let service = block_in_place(|| {
        Process::serve_logging_to(Stdio::piped(), program, database.url(), &settings)
    });
    let (api, metrics) = (Api::new(service.address), Api::new(service.metrics_address));

    let requests = (0..LINES).map(|_| api.get("/livez"));
    let answers = stream::iter(requests).buffer_unordered(32);
    let answers = answers.for_each(async |answer| assert_eq!(answer.status, 200));
    timeout(STANDSTILL, answers).await.expect("the service waits for its log");
    assert_eq!(api.import(hotel(1), "job").await.status, 201);

    let metrics = metrics.text("/metrics").await;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("plg_log_lines_lost_total "));
    let lost: usize = lost.expect("it is counted").parse().unwrap();
    assert!((1..LINES).contains(&lost), "{lost}");
    assert!(block_in_place(|| service.terminate()).success());
}

/// Its sender takes the time until a body has arrived: the log says how long all of it took, the metrics how long the
/// service did.
#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_leave_out_the_time_in_which_a_body_arrives() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let mut settings =
        vec![("PLG__SERVER__PORT", "0"), ("PLG__METRICS__PORT", "0"), ("PLG__LOG__FORMAT", "json")];
    settings.extend(access::ENVIRONMENT);
    let program = Path::new(env!("CARGO_BIN_EXE_ingest-api"));
    let file = std::env::temp_dir().join(format!("plg-log-{}", Uuid::new_v4()));
    let log = Stdio::from(File::create(&file).unwrap());
    let service =
        block_in_place(|| Process::serve_logging_to(log, program, database.url(), &settings));
    let body = json!({ "job_id": "job", "user_id": USER }).to_string();
    let (first, rest) = body.split_at(10);
    let mut connection = TcpStream::connect(service.address).await.unwrap();
    let head = format!(
        "POST /v1/hotels/{}/imports HTTP/1.1\r\nHost: plg\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{first}",
        hotel(1),
        access::ROOT_KEY,
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    // Meanwhile another one is answered.
    assert_eq!(Api::new(service.address).get("/livez").await.status, 200);
    connection.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");

    let metrics = Api::new(service.metrics_address).text("/metrics").await;
    let sum = "plg_http_request_duration_seconds_sum{method=\"POST\",\
               route=\"/v1/hotels/{hotel_id}/imports\"} ";
    let seconds = metrics.lines().find_map(|line| line.strip_prefix(sum)).unwrap();
    let seconds: f64 = seconds.parse().unwrap();
    assert!(block_in_place(|| service.terminate()).success());
    let log = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let micros = lines.filter(|line| line["method"] == "POST").find_map(|l| l["micros"].as_f64());
    assert!(seconds * 1e6 < micros.unwrap(), "{seconds} s of {micros:?} µs");
}

/// A service key by its id, never by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_names_who_called() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let mut settings =
        vec![("PLG__SERVER__PORT", "0"), ("PLG__METRICS__PORT", "0"), ("PLG__LOG__FORMAT", "json")];
    settings.extend(access::ENVIRONMENT);
    let program = Path::new(env!("CARGO_BIN_EXE_ingest-api"));
    let keys = Command::new(program)
        .args(["keys", "create", "--name", "backend", "--scope", "events:write,usage:read"])
        .env("DATABASE_URL", database.url())
        .output()
        .unwrap();
    let key = String::from_utf8(keys.stdout).unwrap();
    let key = key.trim();
    let file = std::env::temp_dir().join(format!("plg-log-{}", Uuid::new_v4()));
    let log = Stdio::from(File::create(&file).unwrap());
    let service =
        block_in_place(|| Process::serve_logging_to(log, program, database.url(), &settings));
    let root = Api::new(service.address);
    let user = json!({ "hotel_id": hotel(1), "user_id": USER });
    let minted = root.post("/v1/session-tokens", &user).await;
    let token = minted.body["token"].as_str().unwrap();
    let usage = format!("/v1/hotels/{}/usage", hotel(1));
    for credential in [None, Some("plg_unknown"), Some(key), Some(token)] {
        root.with(credential).get(&usage).await;
    }
    assert!(block_in_place(|| service.terminate()).success());

    let log = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(!log.contains(key) && !log.contains(token), "{log}");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["message"] == "answered");
    let callers: Vec<_> = lines.map(|line| line["caller"].clone()).collect();
    let id = json!(key::id_of(key));
    assert_eq!(callers, [json!("root"), Value::Null, Value::Null, id, json!("browser")]);
}
