//! Counters that are not what their events say, and what the run does about it.

use crate::support::{
    A_DAY, Books, EVENTS_OF_A_DAY, NOVEMBER, a_day_of, after_each, correction, full, incremental,
    own, wait_for,
};
use plg_core::ids::HotelId;
use plg_store::rollup::runs::{Figures, Status};
use plg_store::schema::usage_adjustment;
use plg_testkit::commands::{hotel, import};
use plg_testkit::{Backend, ledger};
use rollup_worker::{Options, Stop};
use rstest::rstest;
use sea_orm::EntityTrait;

const HOTEL: HotelId = hotel(1);
const OTHER: HotelId = hotel(2);

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_counter_is_corrected_upward_and_downward(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("new events", "nothing new", "full")] when: &str,
) {
    // Each counter too high at one hotel and too low at another; the last hotel is sound.
    const DAMAGED: [(&str, i64, i64); 6] = [
        ("imports", 2, 5),
        ("imports", 2, 0),
        ("exports", 1, 9),
        ("exports", 1, -1),
        ("active_users", 2, 3),
        ("active_users", 2, 0),
    ];
    let hotels: Vec<_> = (1..=7).map(hotel).collect();
    let books = Books::of(backend, &hotels).await;
    if when != "new events" {
        books.reconcile(&incremental()).await;
    }
    for (hotel, (counter, _, wrong)) in hotels.iter().zip(DAMAGED) {
        books.damage(*hotel, NOVEMBER, &format!("{counter} = {wrong}")).await;
    }

    let run = books.reconcile(&if when == "full" { full() } else { incremental() }).await;

    books.assert_balanced().await;
    let audit = books.adjustments(&run).await;
    for (adjustment, (hotel, (counter, right, wrong))) in
        audit.iter().zip(hotels.iter().zip(DAMAGED))
    {
        assert_eq!(adjustment.hotel_id, *hotel);
        assert_eq!(correction(adjustment), own(NOVEMBER, counter, wrong, right));
        assert_eq!(adjustment.adjusted_at, books.now());
        assert_eq!(books.counters(*hotel, NOVEMBER).await, A_DAY);
    }
    assert_eq!(audit.len(), DAMAGED.len());
    // Without new events it looks at the damaged ones only, and at no event of them.
    let (looked_at, events) = if when == "nothing new" { (6, 0) } else { (7, 7 * EVENTS_OF_A_DAY) };
    let expected = Figures {
        hotels: looked_at,
        hotel_months: looked_at,
        events,
        drifted: 6,
        corrected: 6,
        missing: 0,
    };
    assert_eq!(run.figures, expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn all_counters_of_a_hotel_month_are_corrected_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL, OTHER]).await;
    books.damage(HOTEL, NOVEMBER, "imports = 7, exports = 0, active_users = 30").await;

    let run = books.reconcile(&incremental()).await;

    let audit: Vec<_> = books.adjustments(&run).await.iter().map(correction).collect();
    let expected = [
        own(NOVEMBER, "active_users", 30, 2),
        own(NOVEMBER, "exports", 0, 1),
        own(NOVEMBER, "imports", 7, 2),
    ];
    assert_eq!(audit, expected);
    assert_eq!((run.figures.drifted, run.figures.corrected), (1, 3));
    books.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_on_record_with_its_run(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.damage(HOTEL, NOVEMBER, "imports = imports + 3").await;

    let run = books.reconcile(&incremental()).await;

    let rows = usage_adjustment::Entity::find().all(&books.db).await.unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.hotel_id, row.month, row.run_id), (HOTEL.0, 202_611, run.run_id));
    assert_eq!((row.before, row.expected, row.after, row.delta), (5, 2, 2, -3));
    assert_eq!((row.counter.as_str(), row.origin_month), ("imports", 202_611));
    assert_eq!(row.adjusted_at, books.now());
    // The run as it was returned is the run as it is listed.
    assert_eq!(run.status, Status::Done);
    assert_eq!(books.runs().await, [run]);
}

/// Promise 5: "corrects by *delta*, never overwrites". What is recorded between counting and
/// writing stays.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_while_a_correction_is_on_its_way_stays(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL, OTHER]).await;
    books.damage(OTHER, NOVEMBER, "imports = imports + 3").await;
    // Both are counted together, and written one after the other.
    let options = Options { read_chunk: 2, write_chunk: 1, ..incremental() };
    let meanwhile = |written| {
        if written == 1 {
            wait_for(books.record(&[import(OTHER, "job-3"), import(OTHER, "job-4")]));
        }
    };

    let run =
        books.try_reconcile(&options, &mut after_each(meanwhile), &Stop::default()).await.unwrap();

    assert_eq!(books.counters(OTHER, NOVEMBER).await, [4, 1, 2]);
    let audit: Vec<_> = books.adjustments(&run).await.iter().map(correction).collect();
    let [(_, _, before, expected, after, delta, _)] = audit.as_slice() else { panic!("{audit:?}") };
    assert_eq!((*before, *expected, *after, *delta), (5, 2, 4, -3));
    books.assert_balanced().await;
    // The next run takes up where this one counted.
    let next = books.reconcile(&incremental()).await;
    assert_eq!((next.figures.events, next.figures.drifted), (2, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_looks_verified_is_found_by_a_full_run(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL, OTHER]).await;
    books.reconcile(&incremental()).await;
    let alike = "imports = 5, verified_imports = 5, active_users = 1, verified_active_users = 1";
    books.damage(HOTEL, NOVEMBER, alike).await;

    let run = books.reconcile(&incremental()).await;
    assert_eq!(run.figures, Figures::default());

    let run = books.reconcile(&full()).await;
    let audit: Vec<_> = books.adjustments(&run).await.iter().map(correction).collect();
    let expected = [own(NOVEMBER, "active_users", 1, 2), own(NOVEMBER, "imports", 5, 2)];
    assert_eq!(audit, expected);
    books.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_verified_counter_is_found_by_a_full_run(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.reconcile(&incremental()).await;
    books.damage(HOTEL, NOVEMBER, "verified_exports = 8").await;

    let run = books.reconcile(&full()).await;

    // The live counter was right all the time.
    assert_eq!(run.figures.corrected, 0);
    let row = books.month(HOTEL, NOVEMBER).await;
    assert_eq!((row.exports, row.verified_exports), (1, 1));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn only_new_events_are_counted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL, OTHER]).await;
    assert_eq!(books.reconcile(&incremental()).await.figures.events, 2 * EVENTS_OF_A_DAY);
    books.record(&[import(HOTEL, "job-3")]).await;

    let run = books.reconcile(&incremental()).await;
    assert_eq!((run.figures.hotels, run.figures.events), (1, 1));
    let run = books.reconcile(&full()).await;
    assert_eq!((run.figures.hotels, run.figures.events), (2, 2 * EVENTS_OF_A_DAY + 1));
    let verified = books.month(HOTEL, NOVEMBER).await;
    assert_eq!((verified.rolled_seq, verified.verified_imports), (EVENTS_OF_A_DAY + 1, 3));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_reconciled_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::new(backend).await;
    for options in [incremental(), full()] {
        let run = books.reconcile(&options).await;
        assert_eq!((run.status, run.figures), (Status::Done, Figures::default()));
    }
    assert_eq!(books.runs().await.len(), 2);
    assert_eq!(a_day_of(HOTEL).len(), usize::try_from(EVENTS_OF_A_DAY).unwrap());
}

/// As the handbook deletes one, between counting and writing.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_was_deleted_and_comes_again_is_not_given_its_old_counters(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[hotel(0), HOTEL]).await;
    let come_again = async || {
        let id = ledger::uuid(&books.db, HOTEL.0);
        let of_hotels =
            ["product_event", "event_gate", "event_window", "seat", "hotel", "usage_monthly"];
        for table in of_hotels {
            ledger::damage(&books.db, &format!("delete from {table} where hotel_id = {id}")).await;
        }
        books.record(&[import(HOTEL, "again")]).await;
    };
    let meanwhile = |written| {
        if written == 1 {
            wait_for(come_again());
        }
    };
    let options = Options { read_chunk: 2, write_chunk: 1, ..incremental() };

    books.try_reconcile(&options, &mut after_each(meanwhile), &Stop::default()).await.unwrap();

    assert_eq!(books.reconcile(&incremental()).await.figures.corrected, 0);
    assert_eq!(books.counters(HOTEL, NOVEMBER).await, [1, 0, 0]);
    books.assert_balanced().await;
}
