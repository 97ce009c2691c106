//! What the service counts about itself.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_created};
use plg_testkit::Backend;
use plg_testkit::app::USER;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn requests_events_and_batches_are_counted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    for job in 1..=4 {
        t.import(HOTEL, &format!("job-{job}")).await;
    }
    assert_created(&t.import(OTHER_HOTEL, "job-1").await);
    t.get("/nowhere").await;
    let route = "/v1/hotels/{hotel_id}/imports";
    let requests = |status: u16, code: &str| {
        format!(
            "plg_http_requests_total{{method=\"POST\",route=\"{route}\",status=\"{status}\",\
             code=\"{code}\"}}"
        )
    };
    assert_eq!(t.metric(&requests(201, "")).await, 4.0);
    assert_eq!(t.metric(&requests(402, "quota_exceeded")).await, 1.0);
    let took =
        format!("plg_http_request_duration_seconds_count{{method=\"POST\",route=\"{route}\"}}");
    assert_eq!(t.metric(&took).await, 5.0);
    let nowhere = "plg_http_requests_total{method=\"GET\",route=\"none\",status=\"404\",\
                   code=\"not_found\"}";
    assert_eq!(t.metric(nowhere).await, 1.0);
    let events = |outcome: &str| {
        format!("plg_events_total{{event_type=\"import_success\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(t.metric(&events("recorded")).await, 4.0);
    assert_eq!(t.metric(&events("quota_exceeded")).await, 1.0);
    assert_eq!(t.metric("plg_writer_batches_total{outcome=\"committed\"}").await, 5.0);
    assert_eq!(t.metric("plg_writer_batch_events_sum").await, 5.0);
    assert_eq!(t.metric("plg_writer_commit_duration_seconds_count").await, 5.0);
    assert_eq!(t.metric("plg_writer_queued_events{lane=\"0\"}").await, 0.0);
    assert_eq!(t.metric("plg_writer_lanes_alive").await, 1.0);
    assert_eq!(t.metric("plg_draining").await, 0.0);
    assert!(t.metric("plg_database_connections{state=\"idle\"}").await >= 1.0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_named_and_the_series_are_bounded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let count = async || t.metrics().await.lines().count();
    let ask = async |hotel: uuid::Uuid| {
        t.import(hotel, "job").await;
        t.get(&format!("/v1/hotels/{hotel}/usage")).await;
        t.get(&format!("/{hotel}")).await;
        let method = Method::from_bytes(format!("M{}", hotel.simple()).as_bytes()).unwrap();
        let invented = t.request(method, &format!("/v1/hotels/{hotel}/usage"));
        plg_testkit::app::Api::send(invented).await;
    };
    ask(HOTEL).await;
    let before = count().await;
    for number in 10..20 {
        ask(plg_testkit::app::hotel(number)).await;
    }
    assert_eq!(count().await, before);
    let metrics = t.metrics().await;
    for secret in [HOTEL.to_string(), HOTEL.simple().to_string(), USER.to_string()] {
        assert!(!metrics.contains(&secret), "{secret}");
    }
}

/// The job runs elsewhere: what it found is read from the database.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_reconciliation_shows(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    assert_eq!(t.metric("plg_rollup_last_done_timestamp_seconds").await, 0.0);
    let run = |id: u128, status: &str, dry_run: bool, finished_at: &str, drifted: u32| {
        format!(
            "insert into rollup_run (run_id, status, dry_run, full_recount, started_at, finished_at, \
             events, drifted, corrected, missing, duration_ms) values ({}, '{status}', {dry_run}, \
             false, '{finished_at}', '{finished_at}', 1000, {drifted}, 3, 4, 1500)",
            match backend {
                Backend::Sqlite => format!("x'{id:032x}'"),
                Backend::Postgres => format!("'{}'", uuid::Uuid::from_u128(id)),
            }
        )
    };
    let books = t.books().await;
    for sql in [
        run(1, "done", false, "2026-11-15T02:00:01+00:00", 2),
        run(2, "done", true, "2026-11-15T03:00:01+00:00", 9),
        run(3, "failed", false, "2026-11-15T04:00:01+00:00", 8),
    ] {
        plg_testkit::ledger::damage(&books, &sql).await;
    }
    let done_at = json!(1_794_708_001).as_f64().unwrap();
    assert_eq!(t.metric("plg_rollup_last_done_timestamp_seconds").await, done_at);
    assert_eq!(t.metric("plg_rollup_last_done_duration_seconds").await, 1.5);
    assert_eq!(t.metric("plg_rollup_last_done_events").await, 1000.0);
    assert_eq!(t.metric("plg_rollup_last_done_drifted").await, 2.0);
    assert_eq!(t.metric("plg_rollup_last_done_corrected").await, 3.0);
    assert_eq!(t.metric("plg_rollup_last_done_missing_events").await, 4.0);
    assert_eq!(t.metric("plg_rollup_last_failed").await, 1.0);
}
