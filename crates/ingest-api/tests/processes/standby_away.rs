//! A COMMIT waits for a standby that is away, and is cut off: what it has written is there, on this server only. Nobody may be
//! told of it as long as a failover could lose it.

use crate::support::Service;
use plg_testkit::app::hotel;
use plg_testkit::postgres::Cluster;
use plg_testkit::{TestDatabase, ledger};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};
use std::time::Duration;
use tokio::task::block_in_place;

/// Far more often than it takes.
const ATTEMPTS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Ends those who wait for the standby. Says how many that were. (Who has ended, and had defined something for itself, waits
/// once more when that is removed: it is idle then, and keeps nothing locked.)
async fn cut_off(admin: &DatabaseConnection) -> i64 {
    let end = "select count(*) as n from (select pg_terminate_backend(pid) from pg_stat_activity \
               where wait_event = 'SyncRep' and state = 'active') t";
    ledger::number(admin, end).await
}

/// Until there is somebody to be ended, or for a while nobody: who waits for a lock of one that is ended comes next.
async fn cut_off_until(admin: &DatabaseConnection, somebody: bool) {
    let mut in_a_row = 0;
    for _ in 0..ATTEMPTS {
        in_a_row = if (cut_off(admin).await > 0) == somebody { in_a_row + 1 } else { 0 };
        if in_a_row == if somebody { 1 } else { 50 } {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("somebody waits for the standby: not {somebody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_one_server_only_is_not_acknowledged() {
    let cluster = block_in_place(|| Cluster::start(&["synchronous_standby_names=nobody"]));
    let admin = Database::connect(cluster.url("postgres")).await.unwrap();
    // Whoever does not say otherwise waits for nobody.
    let nobody =
        "set synchronous_commit = local; alter role current_user set synchronous_commit = local";
    admin.execute_unprepared(nobody).await.unwrap();
    let database = TestDatabase::first_on(&cluster).await;
    let quiet = [("PLG__LOG__FILTER", "off")];
    let before = Service::start(database.url(), &quiet);
    assert_eq!(before.api.import(hotel(1), "job-1").await.status, 201);
    assert_eq!(before.api.add_seat(hotel(1), hotel(7)).await.status, 201);
    assert!(before.terminate().success());

    let and = if database.url().contains('?') { '&' } else { '?' };
    let waiting = format!("{}{and}options=-csynchronous_commit%3Don", database.url());
    let service = Service::start(&waiting, &quiet);
    // What was sent before has nothing to record, and waits all the same: the first of it may be on this server only.
    let seat = service.api.add_seat(hotel(1), hotel(7)).await;
    assert_eq!(seat.status, 503, "{seat:?}");
    cut_off_until(&admin, false).await;

    let import = tokio::spawn({
        let api = service.api.clone();
        async move { api.import(hotel(1), "job-2").await }
    });
    cut_off_until(&admin, true).await;
    let answer = import.await.unwrap();
    assert_eq!((answer.status, answer.code()), (503, "outcome_unknown"), "{answer:?}");
    cut_off_until(&admin, false).await;
    let imports = "select count(*) as n from product_event where dedup_key = 'job-2'";
    let db = database.connect().await;
    assert_eq!(ledger::number(&db, imports).await, 1, "it was to be there");
    let again = service.api.import(hotel(1), "job-2").await;
    assert_eq!(again.status, 503, "{again:?}");
    drop(service);
    cut_off_until(&admin, false).await;

    // As if the standby were back.
    let service = Service::start(database.url(), &quiet);
    assert_eq!(service.api.import(hotel(1), "job-2").await.outcome(), "duplicate");
    assert_eq!(service.api.add_seat(hotel(1), hotel(7)).await.outcome(), "duplicate");
    assert_eq!(service.api.used(hotel(1), "imports").await, 2);
    ledger::assert_balanced(&db).await;
}
