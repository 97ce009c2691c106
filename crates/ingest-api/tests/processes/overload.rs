//! More than the queue holds is refused at once; what it holds is done.

use crate::queue::{
    ITEMS, SMALL_QUEUE, StandingStill, assert_all_recorded, assert_overloaded, fill_queue,
};
use crate::support::{Environment, Service};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use plg_testkit::app::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use serde_json::json;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn surplus_is_refused_at_once_and_the_rest_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
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
