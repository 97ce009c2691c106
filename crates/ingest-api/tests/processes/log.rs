//! The service does not depend on whoever reads its log.

use futures_util::StreamExt as _;
use futures_util::stream;
use plg_testkit::app::{Api, hotel};
use plg_testkit::{Backend, Process, TestDatabase, access};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::timeout;

/// More lines than a pipe holds and the service keeps.
const LINES: usize = 6_000;
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
