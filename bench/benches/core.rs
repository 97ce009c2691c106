//! What the pure rules cost, without a database: `just bench-core`.
#![allow(clippy::unwrap_used, missing_docs)]

use chrono::{DateTime, Utc};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use plg_core::decide::{Batch, HotelState, Snapshot};
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::LimitOverrides;
use plg_core::quota::Counters;
use plg_core::reconcile::{Facts, Tally, reconcile};
use plg_service::Settings;
use plg_testkit::commands::{hotel, import, view};
use std::hint::black_box;

const COMMANDS: usize = 256;

fn now() -> DateTime<Utc> {
    "2026-11-15T12:00:00Z".parse().unwrap()
}

/// A hotel on the default plan, in the middle of its month.
fn state(hotel_id: HotelId) -> HotelState {
    let plans = Settings::defaults().unwrap().plans;
    HotelState {
        hotel_id,
        month: "2026-11".parse().unwrap(),
        time_zone: "Europe/Berlin".parse().unwrap(),
        limits: plans.limits("suite", &LimitOverrides::default()),
        counters: Counters { imports: 1_000, exports: 100, active_users: 10 },
        last_seq: 1_110,
        last_recorded_at: Some(now()),
    }
}

/// A batch of as many commands as `commands` makes, from needs to decision.
fn batch(c: &mut Criterion, name: &str, hotels: u128, command: impl Fn(HotelId, &str) -> Command) {
    let commands: Vec<Command> = (0..COMMANDS as u128)
        .map(|number| command(hotel(number % hotels), &format!("key-{number}")))
        .collect();
    let states: Vec<HotelState> = (0..hotels).map(|number| state(hotel(number))).collect();
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    group.bench_function(name, |b| {
        b.iter_batched(
            || states.clone(),
            |states| {
                let batch = Batch::new(now(), states, &commands).unwrap();
                let claimed = batch.needs().claim.iter().map(|gate| gate.key).collect();
                batch.decide(Snapshot { claimed, ..Snapshot::default() }).unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn deciding(c: &mut Criterion) {
    batch(c, "256 imports of 256 hotels", 256, import);
    batch(c, "256 imports of one hotel", 1, import);
    batch(c, "256 views of 256 hotels", 256, view);
}

fn reconciling(c: &mut Criterion) {
    let counted = Counters { imports: 50, exports: 5, active_users: 1 };
    let mut facts = Facts {
        live: counted,
        last_seq: 60,
        new: Tally { events: 60, net: counted },
        ..Facts::default()
    };
    let mut group = c.benchmark_group("reconcile");
    group.bench_function("a hotel-month in order", |b| b.iter(|| reconcile(black_box(&facts))));
    facts.live.imports += 3;
    group.bench_function("a hotel-month that has drifted", |b| {
        b.iter(|| reconcile(black_box(&facts)));
    });
    group.finish();
}

criterion_group!(benches, deciding, reconciling);
criterion_main!(benches);
