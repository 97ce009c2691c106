//! SIGTERM: no new requests, and an answer for every one that was accepted.

use crate::load::{ALL_JOBS, Load, Retry, register_hotels};
use crate::queue::{SMALL_QUEUE, StandingStill, assert_all_recorded, fill_queue};
use crate::support::Service;
use futures_util::StreamExt as _;
use plg_testkit::app::{Api, hotel};
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::sync::watch;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_service_told_to_stop_answers_what_it_accepted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let service = Service::start(database.url(), &[]);
    register_hotels(&service.api).await;
    let (_no_successor, clients_service) = watch::channel(service.api.clone());
    let load = Load::new(clients_service, Retry::Never);
    let mut acknowledged = load.progress();
    let load = tokio::spawn(load.run());

    acknowledged.wait_for(|count| *count >= ALL_JOBS / 4).await.unwrap();
    let address = service.address();
    let status = service.terminate();
    assert!(status.success(), "{status}");
    assert!(TcpStream::connect(address).is_err(), "it listens behind its end");

    let told = load.await.unwrap();
    assert!(told.acknowledged.len() < ALL_JOBS, "the load was over before the stop");
    assert!(told.refused.is_empty(), "accepted, but not done: {:?}", told.refused);
    let db = database.connect().await;
    told.assert_true(&db).await;
    told.assert_unanswered_is_not_stored(&db).await;
}

/// Whoever balances the load has time to notice.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_fails_first_and_requests_are_served_until_the_end() {
    const AN_HOUR: &[(&str, &str)] = &[("PLG__SERVER__READY_GRACE_SECONDS", "3600")];

    let database = TestDatabase::new(Backend::Sqlite).await;
    let service = Service::start(database.url(), AN_HOUR);
    let api = service.api.clone();
    assert_eq!(api.get("/readyz").await.status, 200);
    service.signal("-TERM");
    assert_refuses_to_be_ready(&api).await;
    let answer = api.get("/livez").await;
    // The next request goes elsewhere.
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(api.import(hotel(1), "job").await.status, 201);
    // Asked again, it stops at once.
    assert!(service.terminate().success());
}

/// Whoever does not read the answers would have it wait as long as it may.
#[tokio::test(flavor = "multi_thread")]
async fn asked_again_it_waits_for_nobody() {
    const HOURS: &[(&str, &str)] =
        &[("PLG__SERVER__DRAIN_SECONDS", "3600"), ("PLG__SERVER__READY_GRACE_SECONDS", "0")];
    /// More than fit between the two.
    const ANSWERS: usize = 200;

    let database = TestDatabase::new(Backend::Sqlite).await;
    let service = Service::start(database.url(), HOURS);
    assert_eq!(service.api.import(hotel(1), "job").await.status, 201);
    let mut deaf = TcpStream::connect(service.address()).unwrap();
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(ANSWERS);
    deaf.write_all(requests.as_bytes()).unwrap();
    // They have begun.
    deaf.read_exact(&mut [0; 12]).unwrap();
    service.signal("-TERM");
    assert_refuses_connections(service.address()).await;
    assert!(service.terminate().success());
}

/// Proxies keep connections for a minute and more.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_only_kept_are_not_waited_for() {
    const HOURS: &[(&str, &str)] =
        &[("PLG__SERVER__DRAIN_SECONDS", "3600"), ("PLG__SERVER__KEEP_ALIVE_SECONDS", "3600")];

    let database = TestDatabase::new(Backend::Sqlite).await;
    let service = Service::start(database.url(), HOURS);
    let mut kept = TcpStream::connect(service.address()).unwrap();
    kept.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    assert!(service.terminate().success());
}

/// Those that wait for the database at that moment are accepted, too.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_service_told_to_stop_finishes_its_queue(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::on_one_machine(backend).await;
    let service = Service::start(database.url(), SMALL_QUEUE);
    let (api, address) = (service.api.clone(), service.address());
    let db = database.connect().await;
    let lock = StandingStill::new(&service.api, &db).await;
    let waiting = fill_queue(&api).await;

    let stopped = tokio::task::spawn_blocking(|| service.terminate());
    assert_refuses_connections(address).await;
    lock.release().await;

    for answer in waiting.collect::<Vec<_>>().await {
        assert_all_recorded(&answer);
    }
    assert!(stopped.await.unwrap().success());
    ledger::assert_balanced(&db).await;
}

/// From some moment on.
async fn assert_refuses_to_be_ready(api: &Api) {
    const ATTEMPTS: u32 = 1_000;

    for _ in 0..ATTEMPTS {
        let answer = api.get("/readyz").await;
        if answer.status != 200 {
            assert_eq!((answer.status, answer.code()), (503, "shutting_down"));
            return;
        }
    }
    panic!("it goes on being ready");
}

/// From some moment on.
async fn assert_refuses_connections(address: SocketAddr) {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(10);

    for _ in 0..ATTEMPTS {
        if TcpStream::connect(address).is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("it goes on listening");
}
