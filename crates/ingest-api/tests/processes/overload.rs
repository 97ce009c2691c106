//! More than the queue holds is refused at once; what it holds is done.

use crate::queue::{
    ITEMS, SMALL_QUEUE, StandingStill, assert_all_recorded, assert_overloaded, fill_queue,
};
use crate::support::Service;
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
