//! Many writers on the same hotels, as several replicas are.

use crate::support::Store;
use chrono::TimeDelta;
use futures_util::future::join_all;
use plg_core::catalogue::Counter;
use plg_core::decide::{Answer, Outcome};
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_testkit::commands::{Workload, export, hotel, import};
use plg_testkit::{Backend, Replica, ledger};
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Barrier;

const HOTELS: [HotelId; 5] = [hotel(1), hotel(2), hotel(3), hotel(4), hotel(5)];
const WRITERS: u64 = 5;
const BATCHES: u32 = 10;
const BATCH_COMMANDS: usize = 25;

/// Lets every writer record its batches as a replica of its own, all at once. `skew` is how much
/// a writer's clock is off at a batch. Answers each command with what became of it.
async fn write_at_once(
    t: &Store,
    batches: impl Fn(u64) -> Vec<Vec<Command>>,
    skew: impl Fn(u64, u32) -> TimeDelta,
) -> Vec<(Command, Answer)> {
    let start = Arc::new(Barrier::new(usize::try_from(WRITERS).unwrap()));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (mut replica, start) = (Replica::new(&t.database).await, Arc::clone(&start));
        let batches: Vec<_> = (0..)
            .zip(batches(writer))
            .map(|(number, batch)| (t.now() + skew(writer, number), batch))
            .collect();
        writers.push(tokio::spawn(async move {
            start.wait().await;
            let mut answered = Vec::new();
            for (now, batch) in batches {
                let answers = replica.record(now, &batch).await;
                answered.extend(batch.into_iter().zip(answers));
            }
            answered
        }));
    }
    join_all(writers).await.into_iter().flat_map(Result::unwrap).collect()
}

fn recorded(answered: &[(Command, Answer)]) -> usize {
    answered.iter().filter(|(_, answer)| answer.outcome == Outcome::Recorded).count()
}

/// Promise 4, and "within a hotel-month `recorded_at` never runs backwards".
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_gapless_ordered_and_agrees_with_the_counters(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.clock.set_to("2026-11-30T23:00:00Z");
    t.register(&HOTELS[..3], "suite").await;
    let batches = |writer| {
        let mut workload = Workload::new(writer, &HOTELS);
        (0..BATCHES).map(|_| workload.batch(BATCH_COMMANDS)).collect()
    };
    // Clocks differ by minutes, and go over the turn of the month.
    let skew = |writer: u64, batch: u32| {
        TimeDelta::minutes(i64::from(batch) * 11 + i64::try_from(writer * 7 % 5).unwrap())
    };

    let answered = write_at_once(&t, batches, skew).await;

    t.assert_balanced().await;
    let contents = t.contents().await;
    assert!(contents.events.len() >= recorded(&answered));
    // What was answered is what stands in the log.
    let log: BTreeMap<_, _> =
        contents.events.iter().map(|row| ((row.hotel_id, row.month, row.seq), row)).collect();
    for event in answered.iter().filter_map(|(_, answer)| answer.event.as_ref()) {
        let row = log[&(event.hotel_id.0, event.month.number(), event.seq)];
        assert_eq!(row.event_type, event.event_type.name());
        assert_eq!((row.recorded_at, row.day), (event.recorded_at, event.day));
    }
    for pair in contents.events.windows(2).filter(|p| p[0].hotel_id == p[1].hotel_id) {
        assert!(pair[0].recorded_at <= pair[1].recorded_at, "{pair:?}");
    }
    let months: BTreeSet<_> = contents.usage.iter().map(|usage| usage.month).collect();
    assert_eq!(months, BTreeSet::from([202_611, 202_612]));
}

/// Promise 2: everybody sends everything, in an order of their own.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn copies_through_many_writers_count_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const JOBS: usize = 40;

    let t = Store::new(backend).await;
    t.register(&HOTELS, "suite").await;
    let batches = |writer: u64| {
        let jobs = (0..JOBS).flat_map(|n| HOTELS.map(|id| import(id, &format!("job-{n}"))));
        let mut jobs: Vec<_> = jobs.collect();
        jobs.rotate_left(usize::try_from(writer).unwrap() * 37);
        if writer.is_multiple_of(2) {
            jobs.reverse();
        }
        jobs.chunks(BATCH_COMMANDS).map(<[Command]>::to_vec).collect()
    };

    let answered = write_at_once(&t, batches, |_, _| TimeDelta::zero()).await;

    assert_eq!(recorded(&answered), JOBS * HOTELS.len());
    for hotel in HOTELS {
        assert_eq!(t.used(hotel, Counter::Imports).await, 40);
    }
    t.assert_balanced().await;
}

/// Promise 3.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_n_admits_exactly_n_however_many_want_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    let batches = |writer| {
        let batch = |batch| {
            let id = |hotel| export(hotel, &format!("export-{writer}-{batch}"));
            HOTELS.into_iter().map(id).collect()
        };
        (0..BATCHES).map(batch).collect()
    };

    let answered = write_at_once(&t, batches, |_, _| TimeDelta::zero()).await;

    assert_eq!(recorded(&answered), 30 * HOTELS.len());
    for hotel in HOTELS {
        assert_eq!(t.used(hotel, Counter::Exports).await, 30);
    }
    // Each of the others was refused once, and logged so.
    let blocked = "select count(*) as n from product_event where event_type = 'export_blocked'";
    assert_eq!(ledger::number(&t.db, blocked).await, 20 * 5);
    t.assert_balanced().await;
}
