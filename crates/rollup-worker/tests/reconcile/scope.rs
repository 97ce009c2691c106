//! Some hotels, one month, or only looking.

use crate::support::{Books, DECEMBER, NOVEMBER, as_counters, full, incremental, live, month};
use plg_core::ids::HotelId;
use plg_core::quota::Counters;
use plg_store::rollup::Scope;
use plg_store::rollup::runs::Status;
use plg_testkit::Backend;
use plg_testkit::commands::{click, hotel};
use rollup_worker::Options;
use rstest::rstest;

const HOTELS: [HotelId; 3] = [hotel(1), hotel(2), hotel(3)];

/// Every hotel has an import too many in November and in December.
async fn damaged(backend: Backend) -> Books {
    let books = Books::of(backend, &HOTELS).await;
    books.clock.set_to("2026-12-01T00:00:00Z");
    books.record(&HOTELS.map(click)).await;
    for hotel in HOTELS {
        for month in [NOVEMBER, DECEMBER] {
            books.damage(hotel, month, "imports = imports + 1").await;
        }
    }
    books
}

/// The hotel-months that are still damaged.
async fn still_damaged(books: &Books) -> Vec<(HotelId, String)> {
    let sound = |month: &str| as_counters(if month == NOVEMBER { [2, 1, 2] } else { [0, 0, 2] });
    let rows = books.usage().await;
    let key = |row: &plg_store::schema::usage_monthly::Model| {
        let month = plg_core::calendar::Month::from_number(row.month).unwrap().to_string();
        (HotelId(row.hotel_id), month)
    };
    let is_damaged = |row: &&_| {
        let counters: Counters = as_counters(live(row));
        counters != sound(&key(row).1)
    };
    rows.iter().filter(is_damaged).map(key).collect()
}

fn of(hotels: &[HotelId], months: &[&str]) -> Vec<(HotelId, String)> {
    let of_hotel = |id: &HotelId| {
        let id = *id;
        months.iter().map(move |month| (id, (*month).to_owned()))
    };
    hotels.iter().flat_map(of_hotel).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_some_hotels_leaves_the_others_alone(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(false, true)] full: bool,
) {
    let books = damaged(backend).await;
    let scope = Scope { hotels: vec![hotel(1), hotel(3)], full, ..Scope::default() };
    let run = books.reconcile(&Options { scope, ..incremental() }).await;
    assert_eq!((run.figures.hotels, run.figures.hotel_months), (2, 4));
    assert_eq!((run.figures.corrected, run.full, run.partial), (4, full, true));
    assert_eq!(still_damaged(&books).await, of(&[hotel(2)], &[NOVEMBER, DECEMBER]));
    let run = books.reconcile(&incremental()).await;
    assert_eq!((run.figures.hotels, run.figures.corrected, run.partial), (1, 2, false));
    books.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_one_month_leaves_the_others_alone(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(false, true)] full: bool,
) {
    let books = damaged(backend).await;
    let scope = Scope { month: Some(month(NOVEMBER)), full, ..Scope::default() };
    let run = books.reconcile(&Options { scope, ..incremental() }).await;
    assert_eq!((run.figures.hotel_months, run.figures.corrected), (3, 3));
    assert!(run.partial && books.runs().await[0].partial);
    assert_eq!(still_damaged(&books).await, of(&HOTELS, &[DECEMBER]));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn hotel_and_month_narrow_each_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    let nobody = Scope { hotels: vec![hotel(99)], ..Scope::default() };
    let run = books.reconcile(&Options { scope: nobody, ..incremental() }).await;
    assert_eq!(run.figures.hotel_months, 0);

    let hotels = vec![hotel(2)];
    let scope = Scope { hotels, month: Some(month(DECEMBER)), full: true };
    let run = books.reconcile(&Options { scope, ..incremental() }).await;
    assert_eq!((run.figures.hotel_months, run.figures.corrected), (1, 1));
    assert_eq!(still_damaged(&books).await.len(), 5);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_and_corrects_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    books.lose_event(hotel(3), NOVEMBER, 6).await;
    let before = books.usage().await;
    for options in [incremental(), full()] {
        let dry = books.reconcile(&Options { dry_run: true, ..options }).await;
        assert_eq!((dry.status, dry.dry_run), (Status::Done, true));
        // The lost event may have been an import: at that hotel there is nothing to correct.
        assert_eq!((dry.figures.hotel_months, dry.figures.missing), (6, 1));
        assert_eq!((dry.figures.drifted, dry.figures.corrected), (5, 0));
        assert_eq!(books.runs().await[0], dry);
    }
    assert_eq!((books.usage().await, books.audited().await), (before, 0));

    let run = books.reconcile(&incremental()).await;
    assert_eq!((run.figures.drifted, run.figures.corrected, run.figures.missing), (5, 5, 1));
    assert_eq!(still_damaged(&books).await, of(&[hotel(3)], &[NOVEMBER]));
}
