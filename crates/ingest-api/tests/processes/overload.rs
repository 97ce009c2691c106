//! More than the queue holds is refused at once; what it holds is done.

use crate::queue::{
    ITEMS, SMALL_QUEUE, StandingStill, assert_all_recorded, assert_overloaded, fill_queue,
};
use crate::support::{Environment, Service};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use plg_testkit::access::ROOT_KEY;
use plg_testkit::app::{Answer, Api, hotel};
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use serde_json::json;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn surplus_is_refused_at_once_and_the_rest_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::on_one_machine(backend).await;
    let service = Service::start(database.url(), SMALL_QUEUE);
    let api = &service.api;
    let db = database.connect().await;
    let lock = StandingStill::new(api, &db).await;

    let waiting = fill_queue(api).await;
    let surplus = (0..16).map(|_| api.event(hotel(1), "upgrade_click", json!({})));
    join_all(surplus).await.iter().for_each(assert_overloaded);

    lock.release().await;
    let accepted: Vec<_> = waiting.collect().await;
    assert_eq!(accepted.len(), 2);
    accepted.iter().for_each(assert_all_recorded);
    assert_eq!(api.event(hotel(1), "upgrade_click", json!({})).await.status, 200);
    ledger::assert_balanced(&db).await;
    let events = ledger::number(&db, "select count(*) as n from product_event").await;
    // With one before the lock, and one after it.
    assert_eq!(events, (accepted.len() * ITEMS + 2) as i64);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_a_lane_does_not_come_to_in_time_is_refused_at_once_and_the_rest_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    /// Far more than are recorded one by one in 10 ms, and far fewer than the queue holds.
    const CROWD: usize = 500;
    const SLOW: &Environment = &[("PLG__WRITER__MAX_WAIT_MS", "10"), ("PLG__WRITER__BATCH", "1")];

    let database = TestDatabase::new(backend).await;
    let service = Service::start(database.url(), SLOW);
    let api = &service.api;
    // The lane has to know how slow it is.
    assert_eq!(api.event(hotel(1), "upgrade_click", json!({})).await.status, 200);

    let crowd = (0..CROWD).map(|_| api.event(hotel(1), "upgrade_click", json!({})));
    let answers = join_all(crowd).await;
    let (accepted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert!(!accepted.is_empty() && !refused.is_empty(), "{} accepted", accepted.len());
    refused.iter().for_each(assert_overloaded);

    assert_eq!(api.event(hotel(1), "upgrade_click", json!({})).await.status, 200);
    let db = database.connect().await;
    ledger::assert_balanced(&db).await;
    let events = ledger::number(&db, "select count(*) as n from product_event").await;
    assert_eq!(events, (accepted.len() + 2) as i64);
}

/// Whoever would wait longer than this is refused.
const SHORT_WAIT: &Environment = &[("PLG__SERVER__MAX_WAIT_MS", "10")];
/// So many may always be in hand.
const ALWAYS: usize = 256;

fn clicks(api: &Api, count: usize) -> FuturesUnordered<impl Future<Output = Answer> + use<>> {
    let click = |api: Api| async move { api.event(hotel(1), "upgrade_click", json!({})).await };
    (0..count).map(|_| click(api.clone())).collect()
}

/// A service whose door knows that it is slow, and how many it has let in.
async fn start_slow(database: &TestDatabase) -> (Service, usize) {
    let service = Service::start(database.url(), SHORT_WAIT);
    let mut accepted = 0;
    // A crowd that comes more slowly than it is answered tells the door nothing.
    while service.metric("plg_http_in_hand_limit").await != ALWAYS {
        for answer in clicks(&service.api, 8 * ALWAYS).collect::<Vec<_>>().await {
            if answer.status == 200 {
                accepted += 1;
            } else {
                assert_overloaded(&answer);
            }
        }
    }
    (service, accepted)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_in_hand_than_are_answered_in_time(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const SURPLUS: usize = 16;

    let database = TestDatabase::on_one_machine(backend).await;
    let (service, before) = start_slow(&database).await;
    let api = &service.api;
    let db = database.connect().await;
    let lock = StandingStill::new(api, &db).await;

    let mut crowd = clicks(api, ALWAYS + SURPLUS);
    for _ in 0..SURPLUS {
        let refused = crowd.next().await.unwrap();
        assert_overloaded(&refused);
        assert_eq!(refused.header("connection"), None, "it may be used again");
    }
    let read = format!("/v1/hotels/{}/usage", hotel(1));
    assert_overloaded(&api.get(&read).await);
    assert_overloaded(&api.get(&read.replace("/v1/", "/%761/")).await);
    assert_eq!(api.get("/livez").await.status, 200);

    lock.release().await;
    let accepted: Vec<_> = crowd.collect().await;
    assert!(accepted.iter().all(|answer| answer.status == 200), "{accepted:?}");
    assert_eq!(api.get(&read).await.status, 200);
    ledger::assert_balanced(&db).await;
    let events = ledger::number(&db, "select count(*) as n from product_event").await;
    // With the one that came before the lock.
    assert_eq!(events, (before + ALWAYS + 1) as i64);
}

async fn send_half(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ROOT_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 200\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_arrive_slowly_keep_nobody_out(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let (service, _) = start_slow(&database).await;
    let slow = join_all((0..2 * ALWAYS).map(|_| send_half(service.address()))).await;
    let answer = service.api.event(hotel(1), "upgrade_click", json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(slow);
}
