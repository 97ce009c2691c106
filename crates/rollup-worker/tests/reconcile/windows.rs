//! Forgetting session windows and daily caps: not before they are over, and not when they are used again.

use crate::retention::KEEP_TWO_MONTHS;
use crate::support::{Books, STANDSTILL};
use chrono::TimeDelta;
use plg_core::catalogue::EventType;
use plg_core::decide::Outcome;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::LimitOverrides;
use plg_store::connect::begin_write;
use plg_testkit::commands::{command, event, hotel, view};
use plg_testkit::{Backend, TestDatabase, citus};
use rstest::rstest;

const HOTEL: HotelId = hotel(1);

fn calculation() -> Command {
    command(event(HOTEL, EventType::PricingQuoteRun))
}

/// From the first instant of the longest day that there is: at its end clocks are turned back.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_remembered_until_it_is_over(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::new(backend).await;
    let profile = ("suite", "America/New_York".parse().unwrap(), LimitOverrides::default());
    plg_store::hotels::put(&books.db, HOTEL, profile, books.now()).await.unwrap();
    books.clock.set_to("2026-11-01T04:00:00Z");
    books.record(&vec![calculation(); 10]).await;
    books.clock.set_to("2026-11-02T04:59:59Z");
    books.record(&[view(HOTEL, "session")]).await;
    let both = [view(HOTEL, "session"), calculation()];

    assert_eq!(books.retain(&KEEP_TWO_MONTHS).await.unwrap().windows, 0);

    let again = citus::record(&books.db, &books.plans, books.now(), &both).await.unwrap();
    let again = again.iter().map(|answer| answer.outcome).collect::<Vec<_>>();
    assert_eq!(again, [Outcome::SuppressedSession, Outcome::SuppressedDailyCap]);
    assert_eq!(books.count("event_window").await, 2);
    books.clock.advance(TimeDelta::days(4));
    assert_eq!(books.retain(&KEEP_TWO_MONTHS).await.unwrap().windows, 2);
    assert_eq!(books.count("event_window").await, 0);
    books.record(&both).await;
}

/// SQLite does not tell when somebody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_used_again_while_it_is_forgotten_stays() {
    let books = Books::on(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    books.record(&[view(HOTEL, "session")]).await;
    books.clock.advance(TimeDelta::days(4));
    let service = books.database.connect().await;
    let using = begin_write(&service).await.unwrap();
    let view = [view(HOTEL, "session")];
    plg_store::record(&using, &books.plans, books.now(), &view).await.unwrap();

    let used = async {
        let waits = "pg_stat_activity where datname = current_database() and wait_event_type = \
                     'Lock' and query like 'delete from event_window%'";
        while books.count(waits).await == 0 {}
        using.commit().await.unwrap();
    };
    let used = tokio::time::timeout(STANDSTILL, used);
    let (forgotten, used) = tokio::join!(books.retain(&KEEP_TWO_MONTHS), used);

    used.expect("it waits for who uses the window");
    assert_eq!((forgotten.unwrap().windows, books.count("event_window").await), (0, 1));
}
