//! One batch after the other on a connection: behind a batch that has locked its hotels the next transaction is begun with
//! its COMMIT, and behind another there is none.

use crate::support::{Store, outcomes};
use plg_core::decide::Outcome;
use plg_store::{CommitError, StoreError, Supposition};
use plg_testkit::commands::{click, hotel, import};
use plg_testkit::postgres::Cluster;
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use std::collections::BTreeSet;

/// Sessions that have begun a transaction, and say nothing.
const IDLE_IN_TRANSACTION: &str = "select count(*) as n from pg_stat_activity \
     where datname = current_database() and state = 'idle in transaction'";

#[rstest]
#[tokio::test]
async fn a_transaction_that_is_begun_keeps_nobody_waiting(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = Store::new(backend).await;
    store.register(&[hotel(1)], "suite").await;
    let mut recorder = store.recorder().await;
    let expected = [Outcome::Recorded, Outcome::Recorded, Outcome::Duplicate, Outcome::Recorded];
    for (job, expected) in ["1", "2", "2", "3"].into_iter().zip(expected) {
        let batch = [import(hotel(1), job), click(hotel(1))];
        let recorded = recorder.record(|| store.now(), &batch).await;
        assert_eq!(outcomes(&recorded.unwrap()), [expected, Outcome::Recorded]);
        // What is answered is committed.
        assert_eq!(store.record(&[click(hotel(1))]).await, [Outcome::Recorded]);
        ledger::assert_balanced(&store.db).await;
        if backend == Backend::Postgres {
            let is_begun = recorder.supposition() != Some(Supposition::Held);
            let begun = ledger::number(&store.db, IDLE_IN_TRANSACTION).await;
            assert_eq!(begun, i64::from(is_begun));
        }
    }
    recorder.rest().await.unwrap();
    if backend == Backend::Postgres {
        assert_eq!(ledger::number(&store.db, IDLE_IN_TRANSACTION).await, 0);
    }
    recorder.close().await.unwrap();
}

/// What fails takes nothing with it that was recorded before.
#[tokio::test]
async fn a_batch_that_fails_behind_another_leaves_that_one_recorded() {
    let store = Store::new(Backend::Postgres).await;
    store.register(&[hotel(1), hotel(2)], "suite").await;
    let mut recorder = store.recorder().await;
    let now = || store.now();
    let good = [import(hotel(1), "good")];
    recorder.record(now, &good).await.unwrap();
    ledger::damage(&store.db, "update hotel set time_zone = 'Mars' where plan = 'suite'").await;
    let bad = recorder.record(now, &[import(hotel(2), "bad")]).await;
    assert!(bad.is_err());
    ledger::damage(&store.db, "update hotel set time_zone = 'UTC'").await;
    let again = recorder.record(now, &good).await.unwrap();
    assert_eq!(outcomes(&again), [Outcome::Duplicate]);
    ledger::assert_balanced(&store.db).await;
}

/// PostgreSQL only: on SQLite one transaction keeps everything.
#[tokio::test]
async fn a_hotel_that_somebody_keeps_is_named() {
    let store = Store::of(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    let hotels: BTreeSet<_> = [hotel(1), hotel(2), hotel(3)].into();
    let batch = [click(hotel(1)), click(hotel(2))];
    store.record(&batch).await;
    let mut recorder = store.recorder().await;
    let other = plg_store::connect::begin_write(&store.db).await.unwrap();
    let keep = "select 1 from usage_monthly order by hotel_id desc limit 1 for update";
    other.execute_unprepared(keep).await.unwrap();

    let now = || store.now();
    let failed = recorder.record(now, &batch).await;
    let locked = matches!(failed, Err(CommitError::Failed(StoreError::Locked(_))));
    assert!(locked, "{failed:?}");
    // One that was never heard of is kept by nobody.
    assert_eq!(recorder.kept_by_others(&hotels).await.unwrap(), [hotel(2)].into());
    other.rollback().await.unwrap();
    assert_eq!(recorder.kept_by_others(&hotels).await.unwrap(), BTreeSet::new());
    let recorded = recorder.record(now, &batch).await.unwrap();
    assert_eq!(outcomes(&recorded), [Outcome::Recorded; 2]);
    ledger::assert_balanced(&store.db).await;
}

/// As before another server is promoted: at most the transaction that is begun writes still.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_told_to_take_no_writes_takes_none() {
    const PATIENCE: usize = 1_000;

    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&["fsync=off"])).await.unwrap();
    let store = Store::of(TestDatabase::first_on(&cluster).await).await;
    let mut recorder = store.recorder().await;
    let mut record = async || recorder.record(|| store.now(), &[click(hotel(1))]).await;
    record().await.unwrap();
    for demote in ["alter system set default_transaction_read_only = on", "select pg_reload_conf()"]
    {
        ledger::damage(&store.db, demote).await;
    }
    // Each session hears of it by itself.
    let mut refused = None;
    for _ in 0..PATIENCE {
        refused = record().await.err();
        if refused.is_some() {
            break;
        }
    }
    let refused_for_that = matches!(refused, Some(CommitError::Failed(StoreError::Unavailable(_))));
    assert!(refused_for_that, "{refused:?}");
}
