//! A database that goes away in the middle of a run.

use crate::support::{NOON, a_day_of, after_each, incremental};
use plg_service::Clock as _;
use plg_store::rollup::runs::{self, Status};
use plg_testkit::commands::hotel;
use plg_testkit::postgres::Cluster;
use plg_testkit::{TestClock, ledger};
use rollup_worker::run::Cause;
use rollup_worker::{Connections, RunError, Stop, reconcile};
use sea_orm::DatabaseConnection;

async fn migrated(url: &str) -> DatabaseConnection {
    let db = migrations::connect(url).await.unwrap();
    migrations::up(&db).await.unwrap();
    db
}

/// On PostgreSQL only: an embedded database goes away with its process, see `killed`.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loses_its_database_fails_and_the_next_one_goes_on() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::start(&[])).await.unwrap();
    let url = cluster.url("postgres");
    let db = migrated(&url).await;
    let (plans, clock) = (plg_service::Settings::defaults().unwrap().plans, TestClock::at(NOON));
    for number in 1..=10 {
        let commands = a_day_of(hotel(number));
        plg_store::record_batch(&db, &plans, || clock.now(), &commands).await.unwrap();
    }
    ledger::damage(&db, "update usage_monthly set exports = exports + 1").await;
    db.close().await.unwrap();

    let connections = Connections::open(&url.parse().unwrap()).await.unwrap();
    let mut progress = after_each(|written| {
        if written == 2 {
            cluster.kill();
        }
    });
    let stop = Stop::default();
    let result = reconcile(&connections, &incremental(), &clock, &mut progress, &stop).await;
    let RunError { run, cause } = result.unwrap_err();
    assert!(matches!(cause, Cause::Store(_)), "{cause}");
    assert_eq!((run.status, run.figures.corrected), (Status::Failed, 4));
    connections.close().await;

    cluster.restart();
    let connections = Connections::open(&url.parse().unwrap()).await.unwrap();
    let next = reconcile(&connections, &incremental(), &clock, &mut (), &stop).await.unwrap();
    assert_eq!(next.figures.corrected, 6);
    connections.close().await;
    let db = migrations::connect(&url).await.unwrap();
    ledger::assert_balanced(&db).await;
    // Nobody was there to write down that it failed: its row shows how far it came.
    let first = runs::get(&db, run.run_id).await.unwrap().unwrap();
    assert_eq!((first.status, first.figures), (Status::Running, run.figures));
}
