//! One open month per hotel: opened once, whoever comes first, and never gone back from.

use crate::support::{Store, outcomes};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use plg_core::calendar::TimeZone;
use plg_core::catalogue::Counter;
use plg_core::decide::Outcome;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::LimitOverrides;
use plg_store::connect::begin_write;
use plg_store::{hotels, usage};
use plg_testkit::commands::{add_seat, click, hotel, import, remove_seat};
use plg_testkit::{Backend, Replica, TestDatabase, ledger};
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, SqlErr};
use std::sync::Arc;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

const HOTEL: HotelId = hotel(1);
const HOTELS: [HotelId; 4] = [hotel(1), hotel(2), hotel(3), hotel(4)];
const RACERS: u128 = 8;

const LAST_INSTANT_OF_NOVEMBER: &str = "2026-11-30T23:59:59.999999Z";
const FIRST_INSTANT_OF_DECEMBER: &str = "2026-12-01T00:00:00Z";

/// Sessions of PostgreSQL that wait for a lock.
const WAITING: &str = "count(*) as n from pg_stat_activity \
                       where datname = current_database() and wait_event_type = 'Lock'";

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Lets racers, each on a connection and with a clock of its own, record at the same moment.
async fn race(
    t: &Store,
    clock: impl Fn(u128) -> DateTime<Utc>,
    commands: impl Fn(u128) -> Vec<Command>,
) -> Vec<Outcome> {
    let start = Arc::new(Barrier::new(usize::try_from(RACERS).unwrap()));
    let mut racers = Vec::new();
    for racer in 0..RACERS {
        let (mut replica, start) = (Replica::new(&t.database).await, Arc::clone(&start));
        let (now, commands) = (clock(racer), commands(racer));
        racers.push(tokio::spawn(async move {
            start.wait().await;
            outcomes(&replica.record(now, &commands).await)
        }));
    }
    join_all(racers).await.into_iter().flat_map(Result::unwrap).collect()
}

async fn number(t: &Store, select: &str) -> i64 {
    ledger::number(&t.db, &format!("select {select}")).await
}

async fn assert_one_month_is_open(t: &Store) {
    let open = "count(*) as n from usage_monthly where not closed";
    let hotels = "count(distinct hotel_id) as n from usage_monthly";
    assert_eq!(number(t, open).await, number(t, hotels).await);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_many_open_at_once_is_opened_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.register(&HOTELS, "suite").await;
    let everywhere = |racer| HOTELS.into_iter().map(|id| add_seat(id, racer)).collect();
    // The first month of all, and two turns: of the next month, and over a month without events.
    for (turn, at) in ["2026-11-01T00:00:00Z", FIRST_INSTANT_OF_DECEMBER, "2027-02-01T00:00:00Z"]
        .into_iter()
        .enumerate()
    {
        let first_seat = RACERS * u128::try_from(turn).unwrap();
        let recorded = race(&t, |_| instant(at), |racer| everywhere(first_seat + racer)).await;
        assert!(recorded.iter().all(|outcome| *outcome == Outcome::Recorded), "{recorded:?}");
        assert_one_month_is_open(&t).await;
    }
    let months: Vec<_> = t.contents().await.usage[..3]
        .iter()
        .map(|m| (m.month, m.opening_active_users, m.active_users, m.last_seq))
        .collect();
    assert_eq!(months, [(202_611, 0, 8, 8), (202_612, 8, 16, 8), (202_702, 16, 24, 8)]);
}

/// Every other replica is still in November.
fn disagreeing(racer: u128) -> DateTime<Utc> {
    let late = racer.is_multiple_of(2);
    instant(if late { LAST_INSTANT_OF_NOVEMBER } else { FIRST_INSTANT_OF_DECEMBER })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn replicas_whose_clocks_disagree_about_the_month_lose_no_seat(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.register(&HOTELS, "suite").await;
    t.record(&HOTELS.map(|id| add_seat(id, 100))).await;

    race(&t, disagreeing, |racer| HOTELS.map(|id| add_seat(id, racer)).to_vec()).await;

    assert_one_month_is_open(&t).await;
    for hotel in HOTELS {
        assert_eq!(t.used(hotel, Counter::ActiveUsers).await, 9);
    }
    assert_eq!(number(&t, "count(*) as n from usage_monthly where closed").await, 4);
}

/// Whoever comes first closes the month: an action, or a change of the plan.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_keeps_the_limits_that_it_ended_with_whoever_closes_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.register(&HOTELS, "deluxe").await;
    t.record(&HOTELS.map(|id| add_seat(id, 100))).await;
    let start = Arc::new(Barrier::new(HOTELS.len() + 1));
    let mut changes = Vec::new();
    for hotel in HOTELS {
        let (db, plans, start) = (t.connection().await, t.plans.clone(), Arc::clone(&start));
        changes.push(tokio::spawn(async move {
            start.wait().await;
            let new = ("suite", TimeZone::default(), LimitOverrides::default());
            let now = instant(FIRST_INSTANT_OF_DECEMBER);
            for _ in 0..2 {
                assert!(hotels::change(&db, &plans, hotel, None, new, now).await.unwrap());
            }
        }));
    }

    start.wait().await;
    race(&t, disagreeing, |racer| HOTELS.map(|id| add_seat(id, racer)).to_vec()).await;
    join_all(changes).await.into_iter().for_each(|change| change.unwrap());

    assert_one_month_is_open(&t).await;
    let deluxe = Some(t.plans.limits("deluxe", &LimitOverrides::default()));
    let november = "2026-11".parse().unwrap();
    for hotel in HOTELS {
        let months = usage::until(&t.db, hotel, november, 1).await.unwrap();
        assert_eq!(months[0].limits, deluxe);
        assert_eq!(t.used(hotel, Counter::ActiveUsers).await, 9);
    }
}

/// SQLite has one lock for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_plan_waits_for_an_action_only_if_the_month_is_over() {
    let t = Store::of(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    t.register(&[HOTEL], "deluxe").await;
    t.record(&[add_seat(HOTEL, 1)]).await;
    let (november, december) =
        (instant(LAST_INSTANT_OF_NOVEMBER), instant(FIRST_INSTANT_OF_DECEMBER));
    let recording = begin_write(&t.db).await.unwrap();
    plg_store::record(&recording, &t.plans, november, &[add_seat(HOTEL, 2)]).await.unwrap();
    let (db, plans) = (t.connection().await, t.plans.clone());
    db.execute_unprepared("set lock_timeout = '10s'").await.unwrap();
    let change = async move |now| {
        let new = ("suite", TimeZone::default(), LimitOverrides::default());
        hotels::change(&db, &plans, HOTEL, None, new, now).await
    };

    assert!(change(november).await.unwrap());
    let turning = tokio::spawn(async move { change(december).await });
    while !turning.is_finished() && number(&t, WAITING).await == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!turning.is_finished());
    recording.commit().await.unwrap();

    assert!(turning.await.unwrap().unwrap());
    assert_eq!(t.used(HOTEL, Counter::ActiveUsers).await, 2, "what was waited for is carried on");
    assert_one_month_is_open(&t).await;
}

/// A hotel's first month has no row that all could lock.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn replicas_whose_clocks_disagree_open_one_first_month(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.register(&HOTELS, "suite").await;

    race(&t, disagreeing, |racer| HOTELS.map(|id| add_seat(id, racer)).to_vec()).await;

    assert_one_month_is_open(&t).await;
    for hotel in HOTELS {
        assert_eq!(t.used(hotel, Counter::ActiveUsers).await, 8);
    }
    assert_eq!(number(&t, "count(*) as n from usage_monthly where not closed").await, 4);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_a_second_open_month(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.record(&[click(HOTEL)]).await;
    let id = ledger::uuid(&t.db, HOTEL.0);
    let another = |closed| {
        format!(
            "insert into usage_monthly (hotel_id, month, closed) values ({id}, 202612, {closed})"
        )
    };

    let refused = t.db.execute_unprepared(&another(false)).await.unwrap_err().sql_err();

    assert!(matches!(refused, Some(SqlErr::UniqueConstraintViolation(_))), "{refused:?}");
    t.db.execute_unprepared(&another(true)).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_gets_the_month_that_is_open(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.clock.set_to(FIRST_INSTANT_OF_DECEMBER);
    t.record(&[import(HOTEL, "job-1"), add_seat(HOTEL, 1)]).await;
    t.clock.set_to("2026-11-29T08:00:00Z");

    let late = [import(HOTEL, "job-2"), remove_seat(HOTEL, 1)];
    assert_eq!(t.record(&late).await, [Outcome::Recorded; 2]);

    let events: Vec<_> = t.contents().await.events;
    let december = instant(FIRST_INSTANT_OF_DECEMBER);
    for event in events {
        // Day and instant go with the month: in a hotel-month, time never runs backwards.
        assert_eq!((event.month, event.recorded_at), (202_612, december));
        assert_eq!(event.day, december.date_naive());
    }
    assert_eq!(t.used(HOTEL, Counter::Imports).await, 2);
    assert_one_month_is_open(&t).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_has_opened_the_month_for_everybody(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.record(&[import(HOTEL, "job-1"), add_seat(HOTEL, 1)]).await;
    t.clock.set_to("2027-01-05T00:00:00Z");
    t.record(&[click(HOTEL)]).await;
    t.clock.set_to("2026-11-20T00:00:00Z");
    t.record(&[click(HOTEL), import(HOTEL, "job-1"), import(HOTEL, "job-2")]).await;

    let months: Vec<_> = t.contents().await.usage;
    let months: Vec<_> =
        months.iter().map(|m| (m.month, m.closed, m.imports, m.active_users, m.last_seq)).collect();
    assert_eq!(months, [(202_611, true, 1, 1, 2), (202_701, false, 1, 1, 3)]);
    assert_one_month_is_open(&t).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn each_hotel_turns_its_month_at_its_own_midnight(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.register_in(&[hotel(1)], "suite", "Pacific/Auckland").await;
    t.register_in(&[hotel(2)], "suite", "Pacific/Honolulu").await;
    let both = [click(hotel(1)), click(hotel(2)), click(hotel(3))];
    for at in ["2026-11-30T10:59:59Z", "2026-11-30T11:00:00Z", FIRST_INSTANT_OF_DECEMBER] {
        t.clock.set_to(at);
        t.record(&both).await;
    }
    t.clock.set_to("2026-12-01T10:00:00Z");
    t.record(&both).await;

    let events: Vec<_> = t.contents().await.usage;
    let months: Vec<_> = events.iter().map(|m| (m.month, m.last_seq)).collect();
    assert_eq!(months[..2], [(202_611, 1), (202_612, 3)], "Auckland");
    assert_eq!(months[2..4], [(202_611, 3), (202_612, 1)], "Honolulu");
    assert_eq!(months[4..], [(202_611, 2), (202_612, 2)], "UTC");
    assert_one_month_is_open(&t).await;
}

/// Each time that a batch begins anew it meets another who turns a month, more often than it would be tried for
/// conflicts. SQLite has one who writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_outlasts_all_who_turn_the_months_of_its_hotels() {
    let t = Store::of(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    t.clock.set_to(LAST_INSTANT_OF_NOVEMBER);
    let hotels: Vec<_> = (1..=6).map(hotel).collect();
    t.record(&hotels.iter().map(|hotel| import(*hotel, "november")).collect::<Vec<_>>()).await;
    let december = instant(FIRST_INSTANT_OF_DECEMBER);
    let turn = |db: DatabaseConnection, hotel| {
        let plans = t.plans.clone();
        tokio::spawn(async move {
            let txn = begin_write(&db).await.unwrap();
            plg_store::record(&txn, &plans, december, &[click(hotel)]).await.unwrap();
            txn
        })
    };
    // Or the batch is done.
    let waiting = async |batch: &JoinHandle<_>, sessions| {
        while !batch.is_finished() && number(&t, WAITING).await < sessions {
            tokio::task::yield_now().await;
        }
    };

    let (last, others) = hotels.split_last().unwrap();
    let mut turned = turn(t.connection().await, *last).await.unwrap();
    let (db, plans) = (t.connection().await, t.plans.clone());
    let imports: Vec<_> = hotels.iter().map(|hotel| import(*hotel, "december")).collect();
    let batch = tokio::spawn(async move {
        let recorded = plg_store::record_batch(&db, &plans, || december, &imports).await;
        outcomes(&recorded.unwrap())
    });
    for hotel in others.iter().rev() {
        waiting(&batch, 1).await;
        // The batch has this one, and waits for the one behind it.
        let next = turn(t.connection().await, *hotel);
        waiting(&batch, 2).await;
        turned.commit().await.unwrap();
        turned = next.await.unwrap();
    }
    turned.commit().await.unwrap();

    assert_eq!(batch.await.unwrap(), vec![Outcome::Recorded; hotels.len()]);
    assert_one_month_is_open(&t).await;
}
