//! Two workers at once: each drift is corrected exactly once.

use crate::process::Worker;
use crate::support::{Books, NOVEMBER, after_each, full, incremental};
use plg_core::ids::HotelId;
use plg_store::rollup::runs::{Run, Status};
use plg_testkit::commands::{click, hotel};
use plg_testkit::{Backend, ledger};
use rollup_worker::{Options, Stop, reconcile};
use rstest::rstest;
use std::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

const HOTELS: i64 = 24;

fn hotels() -> Vec<HotelId> {
    (1..=24).map(hotel).collect()
}

/// Runs two workers of which none writes its second hotel before both have counted all of them:
/// what the slower one wants to write is out of date.
async fn both_at_once(books: &Books, options: &Options) -> [Run; 2] {
    let options = Options { read_chunk: 1_000, write_chunk: 1, ..options.clone() };
    let (first_counted, first_has_counted) = mpsc::channel::<()>();
    let (second_counted, second_has_counted) = mpsc::channel::<()>();
    let first = start(books, &options, first_counted, second_has_counted).await;
    let second = start(books, &options, second_counted, first_has_counted).await;
    [first.await.unwrap(), second.await.unwrap()]
}

/// Starts a worker that waits for the other one after its first transaction. Each tells by hanging
/// up, which it also does when it fails.
async fn start(
    books: &Books,
    options: &Options,
    counted: Sender<()>,
    other_has_counted: Receiver<()>,
) -> JoinHandle<Run> {
    let connections = books.connections().await;
    let (options, clock) = (options.clone(), books.clock.clone());
    tokio::spawn(async move {
        let mut counted = Some(counted);
        let mut progress = after_each(move |_| {
            if counted.take().is_some() {
                // The other one never sends anything.
                let _ = tokio::task::block_in_place(|| other_has_counted.recv());
            }
        });
        let stop = Stop::default();
        reconcile(&connections, &options, &clock, &mut progress, &stop).await.unwrap()
    })
}

fn corrected(runs: &[Run; 2]) -> i64 {
    runs.iter().map(|run| run.figures.corrected).sum()
}

async fn assert_each_corrected_once(books: &Books, runs: &[Run; 2], corrections: i64) {
    assert_eq!(corrected(runs), corrections);
    assert_eq!(books.audited().await, corrections);
    let once = "select count(*) as n from (select distinct hotel_id, month, counter \
                from usage_adjustment) a";
    assert_eq!(ledger::number(&books.db, once).await, corrections);
    for run in runs {
        assert_eq!(
            i64::try_from(books.adjustments(run).await.len()).unwrap(),
            run.figures.corrected
        );
    }
    books.assert_balanced().await;
    assert_eq!(books.reconcile(&full()).await.figures.corrected, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn each_drift_is_corrected_and_reported_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(incremental(), full())] options: Options,
) {
    let books = Books::of(backend, &hotels()).await;
    for hotel in hotels() {
        books.damage(hotel, NOVEMBER, "imports = imports + 3, exports = exports - 1").await;
    }

    let runs = both_at_once(&books, &options).await;

    assert_each_corrected_once(&books, &runs, 2 * HOTELS).await;
    assert_eq!(runs.iter().map(|run| run.figures.drifted).sum::<i64>(), HOTELS);
}

/// Full runs leave `rolled_seq` where it is: comparing with that would let both correct.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn full_runs_over_verified_months_correct_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &hotels()).await;
    books.reconcile(&incremental()).await;
    for hotel in hotels() {
        books.damage(hotel, NOVEMBER, "imports = 7, verified_imports = 7").await;
    }

    let runs = both_at_once(&books, &full()).await;

    assert_each_corrected_once(&books, &runs, HOTELS).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn seats_are_carried_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let books = Books::of(backend, &hotels()).await;
    books.reconcile(&incremental()).await;
    for hotel in hotels() {
        books.damage(hotel, NOVEMBER, "active_users = 6").await;
    }
    books.clock.set_to("2026-12-01T00:00:00Z");
    books.record(&hotels().into_iter().map(click).collect::<Vec<_>>()).await;

    let runs = both_at_once(&books, &incremental()).await;

    // Each in November, and carried into December.
    assert_each_corrected_once(&books, &runs, 2 * HOTELS).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_correct_each_drift_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &hotels()).await;
    for hotel in hotels() {
        books.damage(hotel, NOVEMBER, "imports = imports + 3").await;
    }
    let worker = || Worker::of(&books).with("PLG__ROLLUP__WRITE_CHUNK", "1").run(&["--json"]);

    let (first, second) = tokio::join!(worker(), worker());

    for finished in [&first, &second] {
        assert_eq!(finished.code, 0, "{finished:?}");
    }
    let mut runs = books.runs().await;
    let runs: [Run; 2] = [runs.remove(0), runs.remove(0)];
    assert!(runs.iter().all(|run| run.status == Status::Done));
    assert_each_corrected_once(&books, &runs, HOTELS).await;
}
