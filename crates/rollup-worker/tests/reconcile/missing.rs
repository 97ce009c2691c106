//! Events whose rows are missing: reported, and neither refunded nor charged, now or later.

use crate::support::{A_DAY, Books, DECEMBER, NOVEMBER, correction, full, incremental, own};
use plg_core::ids::HotelId;
use plg_testkit::Backend;
use plg_testkit::commands::{click, hotel, import, remove_seat};
use rstest::rstest;

const HOTEL: HotelId = hotel(1);
/// The events of [`A_DAY`] by their sequence numbers.
const SECOND_IMPORT: i64 = 2;
const SECOND_SEAT: i64 = 5;
const CLICK: i64 = 6;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_event_is_reported_and_stays_counted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(SECOND_IMPORT, SECOND_SEAT, CLICK)] lost: i64,
) {
    let books = Books::of(backend, &[HOTEL, hotel(2)]).await;
    books.lose_event(HOTEL, NOVEMBER, lost).await;

    let run = books.reconcile(&incremental()).await;

    assert_eq!((run.figures.missing, run.figures.drifted, run.figures.corrected), (1, 0, 0));
    assert_eq!(books.counters(HOTEL, NOVEMBER).await, A_DAY);
    assert_eq!(books.runs().await, [run]);
    assert_eq!(books.month(HOTEL, NOVEMBER).await.missing_events, 1);
    // It was reported once; a full run counts again, and reports it again.
    for (options, missing) in [(incremental(), 0), (full(), 1), (incremental(), 0), (full(), 1)] {
        let run = books.reconcile(&options).await;
        assert_eq!((run.figures.missing, run.figures.drifted), (missing, 0));
        assert_eq!(books.counters(HOTEL, NOVEMBER).await, A_DAY);
    }
    assert_eq!(books.audited().await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn life_goes_on_after_a_missing_event(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.lose_event(HOTEL, NOVEMBER, SECOND_IMPORT).await;
    books.reconcile(&incremental()).await;

    books.record(&[import(HOTEL, "job-3"), remove_seat(HOTEL, 1), click(HOTEL)]).await;
    for options in [incremental(), full()] {
        books.reconcile(&options).await;
        assert_eq!(books.counters(HOTEL, NOVEMBER).await, [3, 1, 1]);
    }
    // Damage is still found, and undone to the last unit.
    books.damage(HOTEL, NOVEMBER, "imports = 8, active_users = 0").await;
    let run = books.reconcile(&incremental()).await;
    let audit: Vec<_> = books.adjustments(&run).await.iter().map(correction).collect();
    let expected = [own(NOVEMBER, "active_users", 0, 1), own(NOVEMBER, "imports", 8, 3)];
    assert_eq!(audit, expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_event_lost_after_it_was_verified_is_found_by_a_full_run(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.reconcile(&incremental()).await;
    books.lose_event(HOTEL, NOVEMBER, SECOND_IMPORT).await;

    assert_eq!(books.reconcile(&incremental()).await.figures.missing, 0);
    for _ in 0..2 {
        let run = books.reconcile(&full()).await;
        assert_eq!((run.figures.missing, run.figures.corrected), (1, 0));
        assert_eq!(books.counters(HOTEL, NOVEMBER).await, A_DAY);
    }
}

/// A missing event may have been any: what it can explain is left alone, the rest is drift.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_missing_event_cannot_explain_is_corrected(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let hotels: Vec<_> = (1..=4).map(hotel).collect();
    let books = Books::of(backend, &hotels).await;
    for id in &hotels {
        books.lose_event(*id, NOVEMBER, SECOND_IMPORT).await;
    }
    // One import stands in the log, and one event is missing.
    for (id, imports) in hotels.iter().zip([0, 1, 2, 5]) {
        books.damage(*id, NOVEMBER, &format!("imports = {imports}")).await;
    }

    let run = books.reconcile(&incremental()).await;

    assert_eq!((run.figures.missing, run.figures.drifted), (4, 2));
    let audit: Vec<_> = books.adjustments(&run).await.iter().map(correction).collect();
    assert_eq!(audit, [own(NOVEMBER, "imports", 0, 1), own(NOVEMBER, "imports", 5, 2)]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_lost_altogether_changes_no_counter(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    for seq in 1..=6 {
        books.lose_event(HOTEL, NOVEMBER, seq).await;
    }
    for (options, missing) in [(incremental(), 6), (full(), 6)] {
        let run = books.reconcile(&options).await;
        assert_eq!((run.figures.missing, run.figures.corrected), (missing, 0));
        assert_eq!(books.counters(HOTEL, NOVEMBER).await, A_DAY);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_whose_event_is_lost_is_carried_on(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.lose_event(HOTEL, NOVEMBER, SECOND_SEAT).await;
    books.clock.set_to("2026-12-01T00:00:00Z");
    books.record(&[click(HOTEL)]).await;

    for options in [incremental(), full()] {
        let run = books.reconcile(&options).await;
        assert_eq!((run.figures.missing, run.figures.corrected), (1, 0));
        assert_eq!(books.counters(HOTEL, NOVEMBER).await, A_DAY);
        assert_eq!(books.counters(HOTEL, DECEMBER).await, [0, 0, 2]);
    }
}
