//! A gate changes only when an event is recorded: there is no gate without its event.

use crate::support::{GateRow, Store};
use chrono::TimeDelta;
use plg_core::catalogue::{DedupRule, EventType};
use plg_core::decide::Outcome;
use plg_core::event::{Command, NewEvent, RecordedEvent};
use plg_core::gate::{Gate, GateKind};
use plg_core::ids::{EventId, HotelId};
use plg_testkit::Backend;
use plg_testkit::commands::{Workload, command, event, export, hotel, import, view};
use rstest::rstest;
use std::collections::BTreeMap;

const HOTEL: HotelId = hotel(1);
const HOTELS: [HotelId; 3] = [HOTEL, hotel(2), hotel(3)];

/// The gates that an event passes, as the catalogue has them.
fn gates_of(event: &RecordedEvent) -> Vec<Gate> {
    let (hotel, name) = (event.hotel_id, event.event_type.name());
    let key = event.dedup_key.as_ref().map(|key| Gate::of_key(hotel, name, key));
    let session = event.session_id.as_ref().map(|id| Gate::of_session(hotel, name, id));
    let rule = match event.event_type.entry().dedup {
        DedupRule::OncePerKey => key,
        // An export that was refused outside of every session is logged once for itself.
        DedupRule::OncePerSession => session.or(key),
        DedupRule::PerDay(max) => Some(Gate::of_day(hotel, name, event.day, max)),
        DedupRule::SeatFree | DedupRule::SeatHeld | DedupRule::Each => None,
    };
    let sending = event.event_id.as_ref().map(|id| Gate::of_sending(hotel, id));
    rule.into_iter().chain(sending).collect()
}

/// The rows that the recorded events, oldest first, should have left.
fn expected(events: &[RecordedEvent], refusals: &[Gate]) -> Vec<GateRow> {
    let mut rows = BTreeMap::new();
    let mut pass = |gate: Gate, last_at| {
        let row = GateRow {
            gate_id: gate.key.0,
            hotel_id: gate.hotel_id.0,
            kind: if gate.kind == GateKind::Once { "once" } else { "window" }.to_owned(),
            last_at,
            passed: 0,
        };
        let row = rows.entry((gate.key.0, gate.hotel_id.0)).or_insert(row);
        row.passed += 1;
        row.last_at = last_at;
        assert!(gate.kind != GateKind::Once || row.passed == 1, "passed twice: {row:?}");
    };
    for event in events {
        gates_of(event).into_iter().for_each(|gate| pass(gate, event.recorded_at));
    }
    for gate in refusals {
        pass(*gate, events[0].recorded_at);
    }
    rows.into_values().collect()
}

/// What a refused seat is remembered by: its sending.
fn refusal(command: &Command) -> Option<Gate> {
    let NewEvent { event_type, hotel_id, event_id, .. } = command.event();
    let id = event_id.as_ref().filter(|_| *event_type == EventType::SeatAdded)?;
    Some(Gate::of_refusal(*hotel_id, id))
}

async fn log(t: &Store) -> Vec<RecordedEvent> {
    let mut log = Vec::new();
    for hotel in HOTELS {
        let page = plg_store::events::list(&t.db, hotel, None, None, 100_000).await.unwrap();
        log.extend(page.events.into_iter().rev());
    }
    log
}

/// Without the instants of gates that close for ever: nobody will ask when.
fn without_dead_instants(mut rows: Vec<GateRow>) -> Vec<GateRow> {
    for row in rows.iter_mut().filter(|row| row.kind == "once") {
        row.last_at = chrono::DateTime::UNIX_EPOCH;
    }
    rows
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_gates_are_those_of_the_recorded_events_and_no_others(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.register(&HOTELS[1..2], "superior").await;
    t.register(&HOTELS[2..], "suite").await;
    let mut workload = Workload::new(2, &HOTELS);
    let mut refusals: Vec<Gate> = Vec::new();
    for batch in 0..60 {
        // Alone, in pairs, and in crowds.
        let commands = workload.batch([1, 2, 40][batch % 3]);
        let outcomes = t.record(&commands).await;
        for (command, outcome) in commands.iter().zip(outcomes) {
            let gate = refusal(command).filter(|gate| !refusals.contains(gate));
            refusals.extend(gate.filter(|_| outcome == Outcome::QuotaExceeded));
        }
        t.clock.advance(TimeDelta::minutes(13));
        if batch == 40 {
            // Now what was refused before succeeds.
            t.register(&HOTELS[..1], "deluxe").await;
        }
    }

    let expected = expected(&log(&t).await, &refusals);
    let gates = t.contents().await.gates;
    let once = |rows: &[GateRow]| rows.iter().filter(|row| row.kind == "once").count();
    assert_eq!(once(&gates), once(&expected));
    assert_eq!(without_dead_instants(gates), without_dead_instants(expected));
    t.assert_balanced().await;
    assert!(!refusals.is_empty(), "no seat was refused");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_action_gives_its_gate_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    t.record(&[import(HOTEL, "job-1"), import(HOTEL, "job-2"), import(HOTEL, "job-3")]).await;
    let before = t.contents().await;

    // Alone, and copies in one batch: each is refused for the quota, none for being a repetition.
    let job = import(HOTEL, "job-4");
    assert_eq!(t.record(std::slice::from_ref(&job)).await, [Outcome::QuotaExceeded]);
    assert_eq!(t.record(&[job.clone(), job.clone()]).await, [Outcome::QuotaExceeded; 2]);

    assert_eq!(t.contents().await, before);
    t.register(&[HOTEL], "superior").await;
    assert_eq!(t.record(&[job.clone(), job]).await, [Outcome::Recorded, Outcome::Duplicate]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn repetitions_leave_no_trace(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    let mut commands = vec![import(HOTEL, "job-1"), export(HOTEL, "e-1"), view(HOTEL, "s-1")];
    commands.extend((0..10).map(|_| command(event(HOTEL, EventType::PricingQuoteRun))));
    t.record(&commands).await;
    let before = t.contents().await;
    t.clock.advance(TimeDelta::minutes(29));

    let again = t.record(&commands).await;

    let suppressed = [Outcome::Duplicate, Outcome::Duplicate, Outcome::SuppressedSession];
    assert_eq!(again[..3], suppressed);
    assert_eq!(again[3..], [Outcome::SuppressedDailyCap; 10]);
    assert_eq!(t.contents().await, before);
}

/// An event with an id of its sending has two gates.
fn calculation(id: &str) -> Command {
    let event_id = Some(EventId::parse(id).unwrap());
    command(NewEvent { event_id, ..event(HOTEL, EventType::PricingQuoteRun) })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_gate_leaves_its_companion_as_it_was(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Store::new(backend).await;
    // A retry does not use up another of the day's ten …
    for _ in 0..20 {
        t.record(&[calculation("c-0")]).await;
    }
    let nine: Vec<_> = (1..10).map(|n| calculation(&format!("c-{n}"))).collect();
    assert_eq!(t.record(&nine).await, [Outcome::Recorded; 9]);
    // … and a suppressed sending does not use up its id.
    let before = t.contents().await;
    let late = calculation("c-10");
    assert_eq!(t.record(std::slice::from_ref(&late)).await, [Outcome::SuppressedDailyCap]);
    assert_eq!(t.contents().await, before);
    t.clock.advance(TimeDelta::days(1));
    assert_eq!(t.record(&[late.clone(), late]).await, [Outcome::Recorded, Outcome::Duplicate]);
}
