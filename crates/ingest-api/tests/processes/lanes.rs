//! Lanes that share a queue: one that is stuck, or has lost its database, leaves the work to the others.
//!
//! PostgreSQL only, on one machine: SQLite has one lane, and on Citus each has hotels of its own.

use crate::neighbours::keep;
use crate::proxy::{Loss, Proxy};
use crate::support::Service;
use futures_util::future::{Either, select};
use plg_testkit::app::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm::DatabaseConnection;
use serde_json::json;
use std::pin::pin;

const PATIENCE: usize = 10_000;

/// Waits for sessions of the service to be in this state.
async fn wait_for_session(db: &DatabaseConnection, state: &str) {
    let question = format!(
        "select count(*) as n from pg_stat_activity where datname = current_database() \
         and application_name = 'plg' and {state}"
    );
    for _ in 0..PATIENCE {
        if ledger::number(db, &question).await > 0 {
            return;
        }
    }
    panic!("no session where {state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_lock_that_others_wait_for() {
    const KEPT: u128 = 13;

    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let service = Service::start(database.url(), &[("PLG__LOG__FILTER", "off")]);
    let click = |number| service.api.event(hotel(number), "upgrade_click", json!({}));
    for number in [1, KEPT] {
        assert_eq!(click(number).await.status, 200);
    }
    let db = database.connect().await;
    let other = keep(&db, hotel(KEPT)).await;

    let mut kept = pin!(click(KEPT));
    let waits = pin!(wait_for_session(&db, "wait_event_type = 'Lock'"));
    assert!(matches!(select(&mut kept, waits).await, Either::Right(_)), "it was not kept");
    match select(&mut kept, pin!(click(1))).await {
        Either::Left(_) => panic!("it waited for its neighbour"),
        Either::Right((answer, _)) => assert_eq!(answer.status, 200, "{answer:?}"),
    }
    other.rollback().await.unwrap();
    kept.await;
    assert_eq!(click(KEPT).await.status, 200);
    ledger::assert_balanced(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_has_lost_its_database_takes_nothing_as_long_as_another_has_one() {
    const LATER: usize = 20;
    /// Nobody listens there.
    const NOWHERE: &str = "postgres://plg@127.0.0.1:1/plg";

    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let service = Service::start(&proxy.url(), &[("PLG__LOG__FILTER", "off")]);
    let click = async |id: &str| {
        service.api.event(hotel(1), "upgrade_click", json!({ "id": id })).await.status
    };
    assert_eq!(click("first").await, 200);
    let db = database.connect().await;
    // The other lane is there, and has done nothing since.
    wait_for_session(&db, "query like '%pg_postmaster_start_time%'").await;

    proxy.lead_to(NOWHERE);
    proxy.lose("lost", &[Loss::Before]);
    assert_eq!(click("lost").await, 503, "its outcome cannot be asked for");
    for number in 0..LATER {
        assert_eq!(click(&format!("later {number}")).await, 200);
    }

    proxy.lead_to(database.url());
    assert_eq!(click("lost").await, 200);
    ledger::assert_balanced(&db).await;
}
