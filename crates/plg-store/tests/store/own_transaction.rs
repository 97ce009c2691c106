//! An application's own transaction: its action, the event, the dedup state and the counter are
//! committed together, or not at all.

use crate::support::{Contents, Store, outcomes};
use plg_core::catalogue::Counter;
use plg_core::decide::Outcome;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_store::connect::begin_write;
use plg_testkit::commands::{add_seat, click, export, hotel, import, remove_seat, view};
use plg_testkit::{Backend, ledger};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, TransactionTrait};

const HOTEL: HotelId = hotel(1);

/// A store in the database of an application that has a table of its own.
async fn application(backend: Backend) -> Store {
    let t = Store::new(backend).await;
    let table = "create table import_job (job_id text primary key, state text not null)";
    t.db.execute_unprepared(table).await.unwrap();
    t
}

/// The application's own write.
async fn finish_job(txn: &DatabaseTransaction, job: &str) -> Result<(), DbErr> {
    let insert = format!("insert into import_job (job_id, state) values ('{job}', 'done')");
    txn.execute_unprepared(&insert).await.map(drop)
}

impl Store {
    async fn begin(&self) -> DatabaseTransaction {
        begin_write(&self.db).await.unwrap()
    }

    /// Records in a transaction that the test began.
    async fn record_in(&self, txn: &DatabaseTransaction, commands: &[Command]) -> Vec<Outcome> {
        let answers = plg_store::record(txn, &self.plans, self.now(), commands).await;
        outcomes(&answers.expect("recorded"))
    }

    async fn jobs(&self) -> i64 {
        ledger::number(&self.db, "select count(*) as n from import_job").await
    }
}

/// One of everything that leaves something behind: a counter, a gate, a seat, a session.
fn one_of_everything() -> Vec<Command> {
    vec![import(HOTEL, "job-1"), add_seat(HOTEL, 1), view(HOTEL, "s-1"), click(HOTEL)]
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_is_committed_with_the_applications_own_rows(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = application(backend).await;
    let txn = t.begin().await;
    finish_job(&txn, "job-1").await.unwrap();
    let recorded = t.record_in(&txn, &one_of_everything()).await;
    assert_eq!(recorded, [Outcome::Recorded; 4]);
    // Nobody else sees any of it yet.
    assert_eq!((t.jobs().await, t.contents().await), (0, Contents::default()));

    txn.commit().await.unwrap();

    assert_eq!(t.jobs().await, 1);
    assert_eq!((t.used(HOTEL, Counter::Imports).await, t.contents().await.gates.len()), (1, 2));
    let events = ["import_success", "seat_added", "paywall_view", "upgrade_click"];
    assert_eq!(t.event_types(HOTEL).await, events);
    t.assert_balanced().await;
}

/// What stands in the database before the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Events,
}

/// How an application leaves a transaction without committing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// It decides to.
    Rollback,
    /// It returns early, or panics.
    Drop,
    /// Its own statement fails.
    OwnError,
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_leaves_nothing_behind(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Leave::Rollback, Leave::Drop, Leave::OwnError)] leave: Leave,
    #[values(Before::Nothing, Before::Events)] history: Before,
) {
    let t = application(backend).await;
    if history == Before::Events {
        t.record(&[import(HOTEL, "job-0"), view(HOTEL, "s-0"), add_seat(hotel(2), 9)]).await;
    }
    let before = t.contents().await;

    let txn = t.begin().await;
    finish_job(&txn, "job-1").await.unwrap();
    let recorded = t.record_in(&txn, &one_of_everything()).await;
    assert_eq!(recorded, [Outcome::Recorded; 4]);
    match leave {
        Leave::Rollback => txn.rollback().await.unwrap(),
        Leave::Drop => drop(txn),
        Leave::OwnError => {
            finish_job(&txn, "job-1").await.expect_err("the job is there already");
            txn.rollback().await.unwrap();
        }
    }

    assert_eq!(t.jobs().await, 0);
    assert_eq!(t.contents().await, before);
    // The same action can be done as if nothing had been.
    assert_eq!(t.record(&one_of_everything()).await, [Outcome::Recorded; 4]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_given_up_comes_back_with_a_rollback(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = application(backend).await;
    t.record(&[add_seat(HOTEL, 1)]).await;
    let before = t.contents().await;

    let txn = t.begin().await;
    assert_eq!(t.record_in(&txn, &[remove_seat(HOTEL, 1)]).await, [Outcome::Recorded]);
    txn.rollback().await.unwrap();

    assert_eq!(t.contents().await, before);
    assert_eq!(t.record(&[add_seat(HOTEL, 1)]).await, [Outcome::Duplicate]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_was_turned_is_turned_back_by_a_rollback(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = application(backend).await;
    t.record(&[add_seat(HOTEL, 1), import(HOTEL, "job-0")]).await;
    let before = t.contents().await;
    t.clock.set_to("2026-12-01T00:00:00Z");

    let txn = t.begin().await;
    t.record_in(&txn, &[import(HOTEL, "job-1")]).await;
    txn.rollback().await.unwrap();

    assert_eq!(t.contents().await, before);
    assert!(!before.usage[0].closed);
    assert_eq!(t.record(&[import(HOTEL, "job-1")]).await, [Outcome::Recorded]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_action_logs_its_blocked_event_if_the_application_commits(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = application(backend).await;
    t.register(&[HOTEL], "standard").await;
    let full: Vec<_> = (0..30).map(|number| export(HOTEL, &format!("e-{number}"))).collect();
    t.record(&full).await;
    t.record(&[add_seat(HOTEL, 1)]).await;
    let before = t.contents().await;
    let refused = [export(HOTEL, "e-30"), add_seat(HOTEL, 2)];

    let txn = t.begin().await;
    assert_eq!(t.record_in(&txn, &refused).await, [Outcome::QuotaExceeded; 2]);
    txn.rollback().await.unwrap();
    assert_eq!(t.contents().await, before);

    let txn = t.begin().await;
    assert_eq!(t.record_in(&txn, &refused).await, [Outcome::QuotaExceeded; 2]);
    txn.commit().await.unwrap();
    let events = t.event_types(HOTEL).await;
    assert_eq!(events[31..], ["export_blocked", "invite_attempt_blocked"]);
    assert_eq!(t.used(HOTEL, Counter::Exports).await, 30);
    assert_eq!(t.contents().await.seats, before.seats);

    // A refusal uses nothing up: after an upgrade the same actions succeed.
    t.register(&[HOTEL], "suite").await;
    assert_eq!(t.record(&refused).await, [Outcome::Recorded; 2]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_record_in_a_transaction_sees_the_first(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = application(backend).await;
    let txn = t.begin().await;
    let first = t.record_in(&txn, &[import(HOTEL, "job-1"), import(HOTEL, "job-2")]).await;
    assert_eq!(first, [Outcome::Recorded; 2]);
    let second = [import(HOTEL, "job-1"), import(HOTEL, "job-3"), import(HOTEL, "job-4")];
    let second = t.record_in(&txn, &second).await;
    assert_eq!(second, [Outcome::Duplicate, Outcome::Recorded, Outcome::QuotaExceeded]);
    let other_hotel = t.record_in(&txn, &[import(hotel(2), "job-1")]).await;
    assert_eq!(other_hotel, [Outcome::Recorded]);
    txn.commit().await.unwrap();

    assert_eq!(t.used(HOTEL, Counter::Imports).await, 3);
    assert_eq!(t.used(hotel(2), Counter::Imports).await, 1);
    let last: Vec<_> = t.contents().await.usage.iter().map(|month| month.last_seq).collect();
    assert_eq!(last, [3, 1]);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_takes_back_what_was_recorded_in_it_and_nothing_else(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = application(backend).await;
    let txn = t.begin().await;
    t.record_in(&txn, &[import(HOTEL, "job-1")]).await;
    let savepoint = txn.begin().await.unwrap();
    t.record_in(&savepoint, &[import(HOTEL, "job-2")]).await;
    t.record_in(&savepoint, &[import(hotel(2), "job-2")]).await;
    savepoint.rollback().await.unwrap();
    let again = t.record_in(&txn, &[import(HOTEL, "job-2")]).await;
    assert_eq!(again, [Outcome::Recorded]);
    txn.commit().await.unwrap();

    let contents = t.contents().await;
    let events: Vec<_> = contents.events.iter().map(|e| (e.seq, e.dedup_key.as_deref())).collect();
    assert_eq!(events, [(1, Some("job-1")), (2, Some("job-2"))]);
    assert_eq!(contents.gates.len(), 2);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_record_touches_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = application(backend).await;
    let txn = t.begin().await;
    assert_eq!(t.record_in(&txn, &[]).await, []);
    txn.commit().await.unwrap();
    assert_eq!(t.contents().await, Contents::default());
}

/// How the transaction in front ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
}

/// Promise 3, between an application and the service: the last unit of a quota is given once.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_waits_and_sees_how_the_first_one_ended(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(End::Commit, End::Rollback)] end: End,
) {
    let t = application(backend).await;
    t.record(&[import(HOTEL, "job-1"), import(HOTEL, "job-2")]).await;
    let txn = t.begin().await;
    assert_eq!(t.record_in(&txn, &[import(HOTEL, "job-3")]).await, [Outcome::Recorded]);

    let (db, plans, now) = (t.connection().await, t.plans.clone(), t.now());
    let second = tokio::spawn(async move {
        let command = [import(HOTEL, "job-4")];
        outcomes(&plg_store::record_batch(&db, &plans, || now, &command).await.unwrap())
    });
    while !second.is_finished() && !somebody_waits(&t).await {
        tokio::task::yield_now().await;
    }
    let expected = match end {
        End::Commit => {
            txn.commit().await.unwrap();
            Outcome::QuotaExceeded
        }
        End::Rollback => {
            txn.rollback().await.unwrap();
            Outcome::Recorded
        }
    };

    assert_eq!(second.await.unwrap(), [expected]);
    assert_eq!(t.used(HOTEL, Counter::Imports).await, 3);
    t.assert_balanced().await;
}

/// PostgreSQL tells who waits for a lock. SQLite does not; there the second may come later.
async fn somebody_waits(t: &Store) -> bool {
    let waiting = "select count(*) as n from pg_stat_activity \
                   where wait_event_type = 'Lock' and datname = current_database()";
    t.database.backend == Backend::Sqlite || ledger::number(&t.db, waiting).await > 0
}

/// SQLite leaves a statement half done when it fails.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_half_way_leaves_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.record(&[import(HOTEL, "job-1")]).await;
    let stray = "insert into product_event (hotel_id, month, seq, event_type, user_id, day, recorded_at) \
                 select hotel_id, month, 3, event_type, user_id, day, recorded_at from product_event";
    ledger::damage(&t.db, stray).await;
    let before = t.contents().await;
    let batch = [import(HOTEL, "job-2"), import(HOTEL, "job-3")];

    let failed = plg_store::record_batch(&t.db, &t.plans, || t.now(), &batch).await;

    assert!(failed.is_err(), "the second one's place is taken");
    assert_eq!(t.contents().await, before);
    ledger::damage(&t.db, "delete from product_event where seq = 3").await;
    assert_eq!(t.record(&batch).await, [Outcome::Recorded; 2]);
    t.assert_balanced().await;
}
