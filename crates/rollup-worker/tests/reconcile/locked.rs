//! A hotel-month that somebody else has locked. On PostgreSQL only: SQLite has one lock for all.

use crate::support::{Books, NOVEMBER, STANDSTILL, after_each, incremental, wait_for};
use plg_core::ids::HotelId;
use plg_store::rollup::runs::Status;
use plg_testkit::commands::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use rollup_worker::run::Cause;
use rollup_worker::{Progress, RunError, Stop};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};

const HOTELS: [HotelId; 4] = [hotel(1), hotel(2), hotel(3), hotel(4)];

/// Every hotel has three imports too many, and somebody holds the second one.
async fn second_of_four_locked() -> (Books, DatabaseTransaction) {
    // Of a distributed table the nodes' locks are waited for as long as their settings say.
    let books = Books::on(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    books.spend_a_day(&HOTELS).await;
    for hotel in HOTELS {
        books.damage(hotel, NOVEMBER, "imports = imports + 3").await;
    }
    let holder = books.db.begin().await.unwrap();
    let second = ledger::uuid(&holder, HOTELS[1].0);
    let lock = format!(
        "set local idle_in_transaction_session_timeout = 0; \
         select from usage_monthly where hotel_id = {second} for update"
    );
    holder.execute_unprepared(&lock).await.unwrap();
    (books, holder)
}

async fn run(
    books: &Books,
    progress: &mut impl Progress,
) -> Result<plg_store::rollup::runs::Run, RunError> {
    let stop = Stop::default();
    let options = incremental();
    let run = books.try_reconcile(&options, progress, &stop);
    tokio::time::timeout(STANDSTILL, run).await.expect("it does not wait for whoever has locked it")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_is_written_at_the_end() {
    let (books, holder) = second_of_four_locked().await;
    let mut holder = Some(holder);
    // What was looked at, the first hotel, and the chunk behind.
    let mut progress = after_each(|times| {
        if times == 3 {
            wait_for(holder.take().unwrap().rollback()).unwrap();
        }
    });

    let run = run(&books, &mut progress).await.unwrap();

    assert!(holder.is_none(), "all others were written before");
    assert_eq!((run.figures.hotel_months, run.figures.corrected), (4, 4));
    assert_eq!(books.runs().await[0], run);
    books.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_locked_at_the_end_is_left_to_the_next_run_and_said() {
    let (books, holder) = second_of_four_locked().await;

    let RunError { run: failed, cause } = run(&books, &mut ()).await.unwrap_err();

    assert!(matches!(cause, Cause::Locked(1)), "{cause}");
    assert_eq!((failed.status, failed.figures.corrected), (Status::Failed, 3));
    assert_eq!(books.runs().await[0], *failed);
    holder.rollback().await.unwrap();
    assert_eq!(run(&books, &mut ()).await.unwrap().figures.corrected, 1);
    books.assert_balanced().await;
}
