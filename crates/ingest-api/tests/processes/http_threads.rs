//! HTTP has the threads that are set, whatever the machine.

use plg_testkit::app::Api;
use plg_testkit::{Backend, Process, TestDatabase};
use std::fs;
use std::path::Path;
use tokio::task::block_in_place;

/// As Linux shows the names of actix's workers.
const WORKER: &str = "actix-server wo";

#[tokio::test(flavor = "multi_thread")]
async fn as_many_threads_serve_http_as_are_set() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let few = workers(database.url(), "1").await;
    let many = workers(database.url(), "6").await;
    // The others are those of the metrics.
    assert_eq!((few, many), (2, 7));
}

async fn workers(url: &str, threads: &str) -> usize {
    let program = Path::new(env!("CARGO_BIN_EXE_ingest-api"));
    let settings = [("PLG__SERVER__THREADS", threads)];
    let service = block_in_place(|| Process::serve(program, url, &settings));
    // Who answers has all of its threads.
    Api::new(service.address).text("/livez").await;
    Api::new(service.metrics_address).text("/metrics").await;
    let tasks = fs::read_dir(format!("/proc/{}/task", service.id())).unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let workers = names.filter(|name| name.starts_with(WORKER)).count();
    assert!(block_in_place(|| service.terminate()).success());
    workers
}
