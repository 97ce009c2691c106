//! A database that is distributed by hotel wants one hotel per transaction. Nothing else may
//! differ.

use crate::support::{Store, outcomes};
use chrono::TimeDelta;
use plg_core::decide::Outcome;
use plg_core::ids::HotelId;
use plg_testkit::commands::{Workload, hotel};
use plg_testkit::{Backend, citus};
use rstest::rstest;
use std::collections::BTreeMap;

const HOTELS: [HotelId; 5] = [hotel(1), hotel(2), hotel(3), hotel(4), hotel(5)];
const BATCHES: u32 = 72;
const BATCH_COMMANDS: usize = 30;

/// How long after a batch the next one comes: twelve in three hours, and then eight days later,
/// which reaches over two turns of the month.
fn pause(batch: u32) -> TimeDelta {
    if batch % 12 == 11 { TimeDelta::days(8) } else { TimeDelta::minutes(15) }
}

/// A store with hotels on all plans, in zones where the month turns at different hours.
async fn store(backend: Backend) -> Store {
    let t = Store::new(backend).await;
    t.register_in(&HOTELS[..1], "superior", "Pacific/Auckland").await;
    t.register_in(&HOTELS[1..2], "deluxe", "America/New_York").await;
    t.register(&HOTELS[2..3], "suite").await;
    t
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_same_commands_give_the_same_rows_and_answers(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let together = store(backend).await;
    let by_hotel = store(backend).await;
    let mut workload = Workload::new(1, &HOTELS);
    let mut seen = BTreeMap::<&str, usize>::new();
    for batch in 0..BATCHES {
        let commands = workload.batch(BATCH_COMMANDS);
        let answers = together.record(&commands).await;
        let now = by_hotel.now();
        let separately =
            citus::record_by_hotel(&by_hotel.db, &by_hotel.plans, now, &commands).await;
        assert_eq!(outcomes(&separately.unwrap()), answers);
        for outcome in answers {
            *seen.entry(name(outcome)).or_default() += 1;
        }
        together.clock.advance(pause(batch));
        by_hotel.clock.advance(pause(batch));
    }

    assert_eq!(by_hotel.contents().await, together.contents().await);
    together.assert_balanced().await;
    // It was worth comparing: everything that can become of a command did, often.
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.values().all(|times| *times > 10), "{seen:?}");
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Recorded => "recorded",
        Outcome::Duplicate => "duplicate",
        Outcome::SuppressedSession => "suppressed_session",
        Outcome::SuppressedDailyCap => "suppressed_daily_cap",
        Outcome::QuotaExceeded => "quota_exceeded",
    }
}
