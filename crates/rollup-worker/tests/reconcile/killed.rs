//! Stopped, or killed half-way: what is committed is complete, and the next run finds the rest.

use crate::process::Worker;
use crate::support::{Books, NOVEMBER, after_each, full, incremental};
use plg_core::ids::HotelId;
use plg_store::rollup::runs::{Run, Status};
use plg_testkit::commands::hotel;
use plg_testkit::{Backend, ledger};
use rollup_worker::run::Cause;
use rollup_worker::{Options, Stop};
use rstest::rstest;

const HOTELS: i64 = 20;
/// Longer than any of these tests, and as long as may be: a worker that pauses for so long is killed in its pause.
const FOR_EVER_MS: &str = "60000";

async fn damaged(backend: Backend) -> Books {
    let hotels: Vec<HotelId> = (1..=20).map(hotel).collect();
    let books = Books::of(backend, &hotels).await;
    for hotel in hotels {
        books.damage(hotel, NOVEMBER, "imports = imports + 3").await;
    }
    books
}

fn slow(books: &Books) -> Worker {
    let one_by_one = Worker::of(books).with("PLG__ROLLUP__WRITE_CHUNK", "1");
    one_by_one.with("PLG__ROLLUP__PAUSE_MS", FOR_EVER_MS)
}

/// The figures of a run are what it has committed.
async fn assert_figures_are_true(books: &Books, run: &Run) {
    let corrections = i64::try_from(books.adjustments(run).await.len()).unwrap();
    assert_eq!((run.figures.corrected, run.figures.drifted), (corrections, corrections));
}

/// All runs together have corrected everything once.
async fn assert_finished(books: &Books) {
    assert_eq!(books.audited().await, HOTELS);
    let hotels = "select count(distinct hotel_id) as n from usage_adjustment";
    assert_eq!(ledger::number(&books.db, hotels).await, HOTELS);
    for run in books.runs().await {
        assert_figures_are_true(books, &run).await;
    }
    books.assert_balanced().await;
    assert_eq!(books.reconcile(&full()).await.figures.corrected, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_between_chunks_says_so_and_the_next_one_goes_on(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(incremental(), full())] options: Options,
) {
    let books = damaged(backend).await;
    let stop = Stop::default();
    let request = stop.clone();
    let mut progress = after_each(move |written| {
        if written == 3 {
            request.request();
        }
    });

    let error = books.try_reconcile(&options, &mut progress, &stop).await.unwrap_err();

    assert!(matches!(error.cause, Cause::Stopped));
    assert_eq!(error.to_string(), "stopped by signal (after 6 hotel-months; the next run goes on)");
    let [run] = &books.runs().await[..] else { panic!("one run") };
    assert_eq!(*run, *error.run);
    assert_eq!((run.status, run.error.as_deref()), (Status::Failed, Some("stopped by signal")));
    assert_eq!((run.figures.hotel_months, run.figures.corrected), (6, 6));
    assert_eq!(run.finished_at, Some(books.now()));

    let next = books.reconcile(&incremental()).await;
    assert_eq!((next.figures.hotel_months, next.figures.corrected), (14, 14));
    assert_finished(&books).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_has_completed_what_it_committed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    let mut worker = slow(&books).start(&[]);
    assert!(worker.has_corrected(1));
    worker.kill();

    let [run] = &books.runs().await[..] else { panic!("one run") };
    assert_eq!((run.status, run.finished_at), (Status::Running, None));
    assert_eq!(run.figures.corrected, 1);
    let next = Worker::of(&books).run(&["--json"]).await;
    assert_eq!((next.code, next.summary()["corrected"].as_i64()), (0, Some(HOTELS - 1)));
    assert_finished(&books).await;
}

/// Killed wherever it happens to be, again and again, until one comes through.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_again_and_again_finishes_at_last(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    let mut kills = 0;
    loop {
        let mut worker = Worker::of(&books).with("PLG__ROLLUP__WRITE_CHUNK", "1").start(&[]);
        if !worker.has_corrected(3) {
            assert_eq!(worker.wait().code, 0);
            break;
        }
        worker.kill();
        kills += 1;
        assert!(kills < HOTELS, "nothing of it stays");
    }
    assert!(kills > 0);
    assert_finished(&books).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_says_what_it_has_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    let mut worker = slow(&books).start(&["--json"]);
    assert!(worker.has_corrected(1));

    let finished = worker.terminate();

    assert_eq!(finished.code, 1, "{finished:?}");
    let complaint = "rollup-worker: stopped by signal (after 1 hotel-months; the next run goes on)";
    assert_eq!(finished.complaint(), complaint);
    let summary = finished.summary();
    assert_eq!((&summary["status"], &summary["corrected"]), (&"failed".into(), &1.into()));
    assert_eq!(summary["error"], "stopped by signal");
    assert_eq!(books.runs().await[0].status, Status::Failed);
    books.reconcile(&incremental()).await;
    assert_finished(&books).await;
}
