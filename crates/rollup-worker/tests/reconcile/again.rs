//! Running it again changes nothing.

use crate::support::{Books, NOVEMBER, full, incremental, live};
use chrono::TimeDelta;
use plg_core::ids::HotelId;
use plg_store::rollup::runs::Figures;
use plg_testkit::commands::{click, hotel, import};
use plg_testkit::{Backend, TestApp};
use rstest::rstest;

const HOTELS: [HotelId; 5] = [hotel(1), hotel(2), hotel(3), hotel(4), hotel(5)];

async fn damaged(backend: Backend) -> Books {
    let books = Books::of(backend, &HOTELS).await;
    books.damage(hotel(2), NOVEMBER, "imports = 9, active_users = 0").await;
    books.damage(hotel(4), NOVEMBER, "exports = exports - 5").await;
    books.lose_event(hotel(5), NOVEMBER, 2).await;
    books
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_finds_nothing_and_writes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    let first = books.reconcile(&incremental()).await;
    assert_eq!((first.figures.drifted, first.figures.corrected), (2, 3));
    let (usage, audited) = (books.usage().await, books.audited().await);

    for _ in 0..3 {
        books.clock.advance(TimeDelta::days(1));
        let again = books.reconcile(&incremental()).await;
        assert_eq!(again.figures, Figures::default());
    }

    assert_eq!((books.usage().await, books.audited().await), (usage, audited));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_full_run_corrects_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    books.reconcile(&full()).await;
    let (mut usage, audited) = (books.usage().await, books.audited().await);

    books.clock.advance(TimeDelta::days(1));
    let again = books.reconcile(&full()).await;

    assert_eq!((again.figures.drifted, again.figures.corrected), (0, 0));
    assert_eq!(books.audited().await, audited);
    // It has verified everything once more, and says so. Nothing else has changed.
    for month in &mut usage {
        month.rollup_version += 1;
        month.last_rollup_at = Some(books.now());
    }
    assert_eq!(books.usage().await, usage);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn runs_of_every_kind_in_turn_agree(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged(backend).await;
    books.reconcile(&incremental()).await;
    let counters: Vec<_> = books.usage().await.iter().map(live).collect();
    for options in [full(), incremental(), full()] {
        books.reconcile(&options).await;
        assert_eq!(books.usage().await.iter().map(live).collect::<Vec<_>>(), counters);
    }
    assert_eq!(books.audited().await, 3);
}

/// `last_rollup_at` is what usage shows of it.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn usage_says_when_it_was_last_verified(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &HOTELS).await;
    let app = TestApp::start(&books.database, &books.clock).await;
    let path = |hotel: HotelId| format!("/v1/hotels/{hotel}/usage");
    let last = async |hotel| app.api.get(&path(hotel)).await.body["last_rollup_at"].clone();
    assert!(last(hotel(1)).await.is_null());

    books.reconcile(&incremental()).await;
    assert_eq!(last(hotel(1)).await, "2026-11-15T12:00:00Z");

    books.clock.advance(TimeDelta::hours(24));
    books.record(&[import(hotel(1), "job-9"), click(hotel(1))]).await;
    let run = books.reconcile(&incremental()).await;
    assert_eq!(last(hotel(1)).await, "2026-11-16T12:00:00Z");
    // Nothing was new at the other one.
    assert_eq!(last(hotel(2)).await, "2026-11-15T12:00:00Z");
    // Also of a month that has ended.
    books.turn(hotel(2), "2026-12-01T00:00:00Z").await;
    let november = app.api.get(&format!("{}?month=2026-11", path(hotel(2)))).await.body;
    let history = app.api.get(&format!("{}/history", path(hotel(2)))).await.body;
    for told in [&november, &history["months"][1]] {
        assert_eq!(told["last_rollup_at"], "2026-11-15T12:00:00Z", "{told}");
    }

    let rollups = app.api.get("/v1/rollups").await.body;
    assert_eq!(rollups["rollups"][0]["run_id"], run.run_id.to_string(), "{rollups}");
    assert_eq!(rollups["rollups"][0]["events"], 2);
}
