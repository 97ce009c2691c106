//! Over the turn of the month: the last hours of the old one, and seats that were carried on.

use crate::support::{
    A_DAY, Books, DECEMBER, NOVEMBER, STANDSTILL, after_each, carried, correction, full,
    incremental, own, wait_for,
};
use plg_core::ids::HotelId;
use plg_store::connect::begin_write;
use plg_store::rollup::Scope;
use plg_store::rollup::runs::Run;
use plg_testkit::commands::{add_seat, click, hotel, import, remove_seat};
use plg_testkit::{Backend, TestDatabase, ledger};
use rollup_worker::{Options, Stop};
use rstest::rstest;

pub(crate) const HOTEL: HotelId = hotel(1);
const JANUARY: &str = "2027-01";
const TURN: &str = "2026-12-01T00:00:00Z";

impl Books {
    /// Turns the month of a hotel with its first event there.
    pub(crate) async fn turn(&self, hotel: HotelId, at: &str) {
        self.clock.set_to(at);
        self.record(&[click(hotel)]).await;
    }

    async fn corrections(&self, run: &Run) -> Vec<crate::support::Correction> {
        self.adjustments(run).await.iter().map(correction).collect()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_last_hours_of_a_month_are_covered_after_its_end(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.reconcile(&incremental()).await;
    books.clock.set_to("2026-11-30T23:59:59.999999Z");
    books.record(&[import(HOTEL, "job-3"), import(HOTEL, "job-4")]).await;
    books.damage(HOTEL, NOVEMBER, "imports = imports - 1").await;
    books.turn(HOTEL, TURN).await;

    let run = books.reconcile(&incremental()).await;

    assert_eq!((run.figures.hotels, run.figures.hotel_months, run.figures.events), (1, 2, 3));
    assert_eq!(books.corrections(&run).await, [own(NOVEMBER, "imports", 3, 4)]);
    let november = books.month(HOTEL, NOVEMBER).await;
    assert_eq!((november.closed, november.rolled_seq, november.verified_imports), (true, 8, 4));
    books.assert_balanced().await;
}

/// Seats 5 instead of 2 in November, carried into December (one more) and January (one less).
pub(crate) async fn damaged_before_the_turn(backend: Backend) -> Books {
    let books = Books::of(backend, &[HOTEL]).await;
    books.reconcile(&incremental()).await;
    books.damage(HOTEL, NOVEMBER, "active_users = 5").await;
    books.turn(HOTEL, TURN).await;
    books.record(&[add_seat(HOTEL, 3)]).await;
    books.turn(HOTEL, "2027-01-01T00:00:00Z").await;
    books.record(&[remove_seat(HOTEL, 1)]).await;
    books
}

async fn opening(books: &Books, month: &str) -> i64 {
    books.month(HOTEL, month).await.opening_active_users
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_correction_from_before_the_turn_is_carried_into_every_later_month(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(1, 2, 100)] chunk: usize,
) {
    let books = damaged_before_the_turn(backend).await;
    assert_eq!((opening(&books, DECEMBER).await, opening(&books, JANUARY).await), (5, 6));

    let options = Options { read_chunk: chunk, write_chunk: chunk, ..incremental() };
    let run = books.reconcile(&options).await;

    let expected = [
        own(NOVEMBER, "active_users", 5, 2),
        carried(NOVEMBER, DECEMBER, 6, 3),
        carried(NOVEMBER, JANUARY, 5, 2),
    ];
    assert_eq!(books.corrections(&run).await, expected);
    assert_eq!((run.figures.drifted, run.figures.corrected), (1, 3));
    assert_eq!((opening(&books, DECEMBER).await, opening(&books, JANUARY).await), (2, 3));
    books.assert_balanced().await;
    // The later months are verified as they are now.
    let usage = books.usage().await;
    for options in [incremental(), full()] {
        assert_eq!(books.reconcile(&options).await.figures.corrected, 0);
    }
    assert_eq!(
        books.usage().await.iter().map(|row| row.verified_active_users).collect::<Vec<_>>(),
        usage.iter().map(|row| row.active_users).collect::<Vec<_>>()
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_old_month_only_carries_too(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged_before_the_turn(backend).await;
    let scope = Scope { month: Some(NOVEMBER.parse().unwrap()), ..Scope::default() };

    let run = books.reconcile(&Options { scope, ..incremental() }).await;

    assert_eq!((run.figures.hotel_months, run.figures.corrected), (1, 3));
    books.assert_balanced().await;
    assert_eq!(books.reconcile(&incremental()).await.figures.corrected, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_correction_from_after_the_turn_is_not_carried(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.turn(HOTEL, TURN).await;
    books.damage(HOTEL, NOVEMBER, "active_users = 5").await;

    let run = books.reconcile(&incremental()).await;

    assert_eq!(books.corrections(&run).await, [own(NOVEMBER, "active_users", 5, 2)]);
    assert_eq!(books.counters(HOTEL, DECEMBER).await, [0, 0, 2]);
    books.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn damage_before_and_after_the_turn_is_told_apart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.damage(HOTEL, NOVEMBER, "active_users = 5").await;
    books.turn(HOTEL, TURN).await;
    books.damage(HOTEL, NOVEMBER, "active_users = 1").await;
    books.damage(HOTEL, DECEMBER, "active_users = active_users + 10").await;

    let run = books.reconcile(&incremental()).await;

    // December opened with 5 instead of 2, and has drifted by 10 of its own.
    let expected = [own(NOVEMBER, "active_users", 1, 2), own(DECEMBER, "active_users", 15, 5)];
    let audit = books.corrections(&run).await;
    assert!(expected.iter().all(|correction| audit.contains(correction)), "{audit:?}");
    let inherited = audit.iter().find(|correction| correction.6.is_some()).expect("carried");
    assert_eq!((inherited.0.as_str(), inherited.5), (DECEMBER, -3));
    assert_eq!(audit.len(), 3);
    assert_eq!(books.counters(HOTEL, DECEMBER).await, [0, 0, 2]);
    books.assert_balanced().await;
}

/// Imports and exports begin with nothing: there is nothing to carry.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn other_corrections_stay_in_their_month(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    books.damage(HOTEL, NOVEMBER, "imports = 9, exports = 0").await;
    books.turn(HOTEL, TURN).await;
    let run = books.reconcile(&incremental()).await;
    let expected = [own(NOVEMBER, "exports", 0, 1), own(NOVEMBER, "imports", 9, 2)];
    assert_eq!(books.corrections(&run).await, expected);
    books.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_turns_between_counting_and_writing_is_carried(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[hotel(0), HOTEL]).await;
    books.damage(HOTEL, NOVEMBER, "active_users = 5").await;
    // Counted together, in November; written one after the other.
    let options = Options { read_chunk: 2, write_chunk: 1, ..incremental() };
    let meanwhile = |written| match written {
        1 => wait_for(books.turn(HOTEL, TURN)),
        // Found closed, and left for a transaction of its own.
        2 => wait_for(books.record(&[add_seat(HOTEL, 7)])),
        _ => {}
    };

    let run = books.try_reconcile(&options, &mut after_each(meanwhile), &Stop::default()).await;

    let expected = [own(NOVEMBER, "active_users", 5, 2), carried(NOVEMBER, DECEMBER, 6, 3)];
    assert_eq!(books.corrections(&run.unwrap()).await, expected);
    assert_eq!(books.counters(HOTEL, NOVEMBER).await, A_DAY);
    books.assert_balanced().await;
    books.reconcile(&incremental()).await;
    assert_eq!(books.reconcile(&full()).await.figures.corrected, 0);
}

/// PostgreSQL only: on SQLite nobody turns a month while somebody else writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_turns_while_its_row_is_waited_for_is_carried_too() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let books = Books::on(database).await;
    books.spend_a_day(&[HOTEL]).await;
    // It makes the log's months ahead, for which it would wait, too.
    books.reconcile(&incremental()).await;
    books.damage(HOTEL, NOVEMBER, "active_users = 5").await;
    books.turn(HOTEL, TURN).await;
    books.clock.set_to("2027-01-01T00:00:00Z");
    let service = books.database.connect().await;
    let turning = begin_write(&service).await.unwrap();
    plg_store::record(&turning, &books.plans, books.now(), &[add_seat(HOTEL, 7)]).await.unwrap();

    // The run locks November, and waits for December.
    let turn = async {
        let waits = "select count(*) as n from pg_stat_activity where datname = current_database() \
                     and wait_event_type = 'Lock' and query like '%usage_monthly%for update%'";
        while ledger::number(&books.db, waits).await == 0 {}
        turning.commit().await.unwrap();
    };
    let turn = tokio::time::timeout(STANDSTILL, turn);
    let scope = Scope { month: Some(NOVEMBER.parse().unwrap()), ..Scope::default() };
    let options = Options { scope, ..incremental() };
    let (run, turned) = tokio::join!(books.reconcile(&options), turn);

    turned.expect("the run waits for the open month");
    let expected = [
        own(NOVEMBER, "active_users", 5, 2),
        carried(NOVEMBER, DECEMBER, 5, 2),
        carried(NOVEMBER, JANUARY, 6, 3),
    ];
    assert_eq!(books.corrections(&run).await, expected);
    books.assert_balanced().await;
}
