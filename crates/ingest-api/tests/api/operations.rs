//! Health, the list of reconciliation runs, and when the service does not start at all.

use crate::support::{HOTEL, NOON, Service, assert_created, assert_invalid, assert_problem};
use chrono::{DateTime, TimeDelta, Utc};
use ingest_api::Application;
use plg_service::{Clock, Settings, SystemClock};
use plg_testkit::{Backend, TestApp, TestClock, TestDatabase, ledger};
use rstest::rstest;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// What the service says when it does not start.
pub(crate) async fn complaint(settings: &Settings) -> String {
    let clock = TestClock::at("2026-11-15T12:00:00Z").shared();
    match Application::build(settings, clock).await {
        Ok(application) => panic!("it listens on {}", application.address()),
        Err(error) => error.to_string(),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn it_lives_and_is_ready(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let t = Service::start(backend).await;
    for path in ["/livez", "/readyz"] {
        let answer = t.get(path).await;
        assert_eq!((answer.status, answer.body), (200, json!({ "status": "ok" })), "{path}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_when_the_schema_is_behind(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    ledger::damage(&t.books().await, "delete from seaql_migrations").await;
    let answer = t.get("/readyz").await;
    assert_problem(&answer, (503, "schema_behind"), None);
    assert!(answer.body["detail"].as_str().expect("text").contains("migrate up"), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(t.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_on_a_database_that_takes_no_writes() {
    let t = Service::start(Backend::Postgres).await;
    assert_eq!(t.get("/readyz").await.status, 200);
    let read_only = "do $$ begin execute format('alter database %I set \
                     default_transaction_read_only = on', current_database()); end $$";
    ledger::damage(&t.books().await, read_only).await;
    // Connections learn of it when they are made.
    let replica = t.replica().await;
    let answer = replica.get("/readyz").await;
    assert_problem(&answer, (503, "database_unavailable"), None);
    assert!(answer.body["detail"].as_str().expect("text").contains("standby"), "{answer:?}");
    let answer = replica.import(HOTEL, "job").await;
    assert_problem(&answer, (503, "database_unavailable"), None);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_while_its_clock_is_ahead(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let compare = |settings: &mut Settings| settings.database.clock_tolerance_seconds = 300;
    let t = Service::start_with(backend, NOON, compare).await;
    let hour = TimeDelta::hours(1);
    t.clock.set(SystemClock.now() + hour);
    let answer = t.get("/readyz").await;
    let ahead = t.metric("plg_clock_ahead_seconds").await;
    if backend == Backend::Sqlite {
        assert_eq!((answer.status, ahead), (200, 0.0), "there is one clock only");
        return;
    }
    assert_problem(&answer, (503, "clock_ahead"), None);
    assert!(answer.header("retry-after").is_some());
    assert!((3_300.0..=3_600.0).contains(&ahead), "{ahead}");
    // Behind, it counts right, and time has gone on since.
    t.clock.set(SystemClock.now() - hour);
    assert_eq!(t.get("/readyz").await.status, 200);
    let behind = t.metric("plg_clock_ahead_seconds").await;
    assert!((-3_900.0..=-3_600.0).contains(&behind), "{behind}");
}

/// Stumbles when it is told to, the next time that it is asked.
struct Stumbling {
    clock: TestClock,
    stumbles: AtomicBool,
}

impl Clock for Stumbling {
    fn now(&self) -> DateTime<Utc> {
        assert!(!self.stumbles.swap(false, Ordering::SeqCst), "the clock stumbles");
        self.clock.now()
    }

    fn passed(&self) -> Duration {
        self.clock.passed()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_bug_costs_the_batch_that_hits_it_and_no_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let clock = TestClock::at(NOON);
    let stumbling = Arc::new(Stumbling { clock, stumbles: AtomicBool::new(false) });
    let app = TestApp::start_by(&database.settings(), stumbling.clone()).await;
    assert_created(&app.api.import(HOTEL, "job-1").await);
    stumbling.stumbles.store(true, Ordering::SeqCst);
    let answer = app.api.import(HOTEL, "job-2").await;
    assert_problem(&answer, (503, "outcome_unknown"), None);
    assert!(!stumbling.stumbles.load(Ordering::SeqCst), "nobody has asked for the time");
    assert_created(&app.api.import(HOTEL, "job-2").await);
    assert_eq!(app.api.get("/livez").await.status, 200);
    assert_eq!(app.api.get("/readyz").await.status, 200);
    ledger::assert_balanced(&database.connect().await).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_run_there_are_no_rollups(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let answer = t.get("/v1/rollups").await;
    assert_eq!((answer.status, answer.body), (200, json!({ "rollups": [] })));
    let unknown = t.get(&format!("/v1/rollups/{}", Uuid::from_u128(1))).await;
    assert_problem(&unknown, (404, "not_found"), None);
    for malformed in ["yesterday", "1", "%00"] {
        assert_invalid(&t.get(&format!("/v1/rollups/{malformed}")).await, "run_id");
    }
    for limit in ["0", "1001", "many"] {
        assert_invalid(&t.get(&format!("/v1/rollups?limit={limit}")).await, "limit");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn it_says_that_its_port_is_taken(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    for of_metrics in [false, true] {
        let mut settings = database.settings();
        let (own, what) = match of_metrics {
            false => (&mut settings.server.port, "PLG__SERVER__PORT"),
            true => (&mut settings.metrics.port, "PLG__METRICS__PORT"),
        };
        *own = port;
        let complaint = complaint(&settings).await;
        assert!(complaint.contains(&port.to_string()), "{complaint}");
        assert!(complaint.contains(what), "{complaint}");
    }
}

/// PostgreSQL only: a server's schema is migrated by whoever runs it, one at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_schema_has_to_be_migrated_first() {
    let database = TestDatabase::empty(Backend::Postgres).await;
    let complaint = complaint(&database.settings()).await;
    assert!(complaint.contains("`migrate up`"), "{complaint}");
    let tables = "select count(*) as n from information_schema.tables \
                  where table_schema = 'public'";
    assert_eq!(ledger::number(&database.connect().await, tables).await, 0);
}

/// SQLite only: the embedded database belongs to the service, so that it starts on a fresh machine.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_database_migrates_itself() {
    let database = TestDatabase::empty(Backend::Sqlite).await;
    let app = TestApp::start(&database, &TestClock::at("2026-11-15T12:00:00Z")).await;
    assert_created(&app.api.import(HOTEL, "job-1").await);
    assert_eq!(app.api.get("/readyz").await.status, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_says_whether_the_service_is_ready(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let app = TestApp::start(&database, &TestClock::at(NOON)).await;
    let port = app.address.port().to_string();
    let check = async |host: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ingest-api"));
        command.arg("healthcheck").env("PLG__SERVER__PORT", &port).env("PLG__SERVER__HOST", host);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("runs");
        let output = output.expect("runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    // Whoever listens everywhere is asked on loopback.
    for host in ["127.0.0.1", "0.0.0.0"] {
        assert_eq!(check(host).await, (true, "ready\n".to_owned()));
    }
    let books = database.connect().await;
    ledger::damage(&books, "delete from seaql_migrations").await;
    let (ready, said) = check("127.0.0.1").await;
    assert!(!ready && said.contains("schema_behind"), "{said}");
    app.stop().await;
    let (ready, said) = check("127.0.0.1").await;
    assert!(!ready && said.contains("nobody answers"), "{said}");
}
