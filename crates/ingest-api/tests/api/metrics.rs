//! What the service counts about itself.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_created, until};
use plg_testkit::Backend;
use plg_testkit::app::{TestApp, USER, hotel};
use plg_testkit::ledger;
use reqwest::Method;
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

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
    assert_eq!(t.metric("plg_writer_queued_events{queue=\"0\"}").await, 0.0);
    // SQLite has one writer.
    let lanes = if backend == Backend::Sqlite { 1.0 } else { 2.0 };
    assert_eq!(t.metric("plg_writer_lanes").await, lanes);
    assert_eq!(t.metric("plg_writer_lanes_alive").await, lanes);
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
    let ask = async |hotel: Uuid| {
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
    t.import(HOTEL, "job").await;
    let books = t.books().await;
    let run = async |id: u128, status: &str, columns: &str, values: &str, at: &str| {
        let id = ledger::uuid(&books, Uuid::from_u128(id));
        let sql = format!(
            "insert into rollup_run (run_id, status, started_at, finished_at, full_recount, \
             duration_ms, events{columns}) values ({id}, '{status}', '{at}', '{at}', false, 1500, \
             1000{values})"
        );
        ledger::damage(&books, &sql).await;
    };
    // Of the day before; the whole; a dry one; of one hotel; one that broke off.
    let (all, old) = (", dry_run, partial, drifted, corrected", "2026-11-14T02:00:01+00:00");
    run(1, "done", all, ", false, false, 90, 90", old).await;
    run(2, "done", all, ", false, false, 2, 3", "2026-11-15T02:00:01+00:00").await;
    run(3, "done", all, ", true, false, 80, 0", "2026-11-15T03:00:01+00:00").await;
    run(4, "done", all, ", false, true, 4, 4", "2026-11-15T04:00:01+00:00").await;
    run(5, "failed", all, ", false, false, 10, 12", "2026-11-15T05:00:01+00:00").await;
    ledger::damage(&books, "update usage_monthly set missing_events = 7").await;
    for (series, expected) in [
        ("plg_rollup_last_done_timestamp_seconds", 1_794_708_001.0),
        ("plg_rollup_last_done_duration_seconds", 1.5),
        ("plg_rollup_last_done_events", 1000.0),
        ("plg_rollup_drifted", 16.0),
        ("plg_rollup_corrected", 19.0),
        ("plg_rollup_missing_events", 7.0),
        ("plg_rollup_last_failed", 1.0),
    ] {
        assert_eq!(t.metric(series).await, expected, "{series}");
    }
    // Once a month's events are dropped, nobody can find those that were missing.
    for (before, missing) in [("202611", 7.0), ("202612", 0.0)] {
        let dropped = format!(
            "insert into event_retention (dropped_before, dropped_at) \
             values ({before}, '2026-11-15T05:00:00+00:00')"
        );
        ledger::damage(&books, &dropped).await;
        assert_eq!(t.metric("plg_rollup_missing_events").await, missing, "{before}");
    }
    // A look without corrections, a run of one hotel, and one that is under way say nothing about the whole.
    run(6, "done", all, ", true, false, 0, 0", "2026-11-15T06:00:01+00:00").await;
    run(7, "done", all, ", false, true, 0, 0", "2026-11-15T07:00:01+00:00").await;
    run(8, "running", all, ", false, false, 0, 0", "2026-11-15T08:00:01+00:00").await;
    assert_eq!(t.metric("plg_rollup_last_failed").await, 1.0);
    run(9, "failed", all, ", false, true, 0, 0", "2026-11-15T09:00:01+00:00").await;
    run(10, "done", all, ", false, false, 0, 0", "2026-11-15T08:30:01+00:00").await;
    assert_eq!(t.metric("plg_rollup_last_failed").await, 0.0);
}

/// What is documented is what there is: by name, type and labels.
#[tokio::test(flavor = "multi_thread")]
async fn docs_name_the_metrics_that_exist() {
    let t = Service::start(Backend::Sqlite).await;
    t.import(HOTEL, "job").await;
    t.metrics().await;
    let metrics = t.metrics().await;
    let mut exported = BTreeMap::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        exported.insert(name.to_owned(), (kind.to_owned(), labels(&metrics, name)));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
    let text = std::fs::read_to_string(file).expect("the table");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let unquote = |text: &str| text.trim_matches('`').to_owned();
        let labels = cells[3].split(", ").map(unquote).filter(|label| !label.is_empty());
        (unquote(cells[1]), (cells[2].to_owned(), labels.collect::<BTreeSet<_>>()))
    };
    let documented: BTreeMap<_, _> =
        text.lines().filter(|line| line.starts_with("| `plg_")).map(row).collect();
    assert_eq!(documented, exported);
}

/// The labels of a family's samples, besides the buckets' own.
fn labels(metrics: &str, family: &str) -> BTreeSet<String> {
    let of_family = |line: &&str| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let suffixes = ["", "_total", "_bucket", "_sum", "_count", "_info"];
        suffixes.iter().any(|suffix| name.strip_suffix(suffix) == Some(family))
    };
    let samples = metrics.lines().filter(|line| !line.starts_with('#')).filter(of_family);
    let names = samples.filter_map(|line| line.split_once('{')?.1.rsplit_once('}')).flat_map(
        |(labels, _)| {
            // A route has braces and no quotes: every second part is a value.
            let names = labels.split('"').step_by(2);
            names.map(|name| name.trim_matches([',', '=']).to_owned()).collect::<Vec<_>>()
        },
    );
    names.filter(|name| !name.is_empty() && name != "le").collect()
}

/// A replica that has just started, and cannot read yet, would say that no events are missing, and then that some are.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_read_is_not_told() {
    let t = Service::start(Backend::Sqlite).await;
    let books = t.books().await;
    ledger::damage(&books, "alter table rollup_run rename to away").await;
    assert!(!t.metrics().await.contains("plg_rollup_"));
    ledger::damage(&books, "alter table away rename to rollup_run").await;
    assert!(t.metrics().await.contains("\nplg_rollup_missing_events 0\n"));
    ledger::damage(&books, "alter table rollup_run rename to away").await;
    assert!(t.metrics().await.contains("\nplg_rollup_missing_events 0\n"), "it is remembered");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn hotels_whose_plan_is_not_configured_are_counted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let plans = [(HOTEL, "suite"), (OTHER_HOTEL, "suite"), (hotel(3), "standard")];
    for (hotel, plan) in plans {
        assert_eq!(t.register(hotel, plan, "UTC").await.status, 200);
    }
    let books = t.books().await;
    ledger::damage(&books, "update hotel set plan = 'gold' where plan = 'suite'").await;
    let replica = TestApp::start(&t.database, &t.clock).await;
    let line = "\nplg_hotels_of_unknown_plan 2\n";
    until(async || replica.metrics.text("/metrics").await.contains(line)).await;
}
