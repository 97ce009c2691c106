//! A database in memory that obeys a `Decision` to the letter, and trusts none of it.

use crate::model::catalogue::{Meter, moves};
use crate::model::{Held, Terms};
use chrono::{DateTime, Utc};
use plg_core::catalogue::Counter;
use plg_core::decide::{Batch, Decision, HotelState, Needs, Seat, Snapshot, opening};
use plg_core::event::{Command, RecordedEvent};
use plg_core::gate::{Gate, GateKey, GateKind, GateState};
use plg_core::ids::{HotelId, SeatUserId};
use plg_core::plan::{Limit, Limits};
use plg_core::quota::Counters;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) fn counter(meter: Meter) -> Counter {
    match meter {
        Meter::Imports => Counter::Imports,
        Meter::Exports => Counter::Exports,
        Meter::Seats => Counter::ActiveUsers,
    }
}

pub(crate) fn limit(cap: Option<i64>) -> Limit {
    cap.map_or(Limit::Unlimited, Limit::AtMost)
}

fn limits(terms: &Terms) -> Limits {
    Limits {
        imports: limit(terms.imports),
        exports: limit(terms.exports),
        active_users: limit(terms.seats),
    }
}

/// What a batch asked for and got, to hold its decision against.
struct Asked {
    at: HashMap<HotelId, DateTime<Utc>>,
    read: BTreeSet<GateKey>,
    claimed: BTreeSet<GateKey>,
    seats: BTreeSet<(HotelId, SeatUserId)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    hotels: BTreeMap<HotelId, HotelState>,
    /// The balance with which each hotel's open month began.
    openings: BTreeMap<HotelId, Counters>,
    gates: HashMap<(HotelId, GateKey), GateState>,
    seats: BTreeMap<(HotelId, SeatUserId), Seat>,
    log: Vec<Arc<RecordedEvent>>,
    /// Batches with gates that could be decided as if they were new, and those that were.
    pub(crate) supposed: usize,
    pub(crate) held: usize,
    /// Batches that could not, and were decided by gates that were read.
    pub(crate) looked_up: usize,
}

impl Store {
    pub(crate) fn hotels(&self) -> impl Iterator<Item = &HotelState> {
        self.hotels.values()
    }

    /// The seats held: whose, granted by whom, since when.
    pub(crate) fn seats(&self) -> Vec<Held> {
        let held = |seat: &Seat| (seat.hotel_id, seat.seat_user_id, seat.added_by, seat.added_at);
        self.seats.values().map(held).collect()
    }

    /// One transaction: lock, ask, decide, write.
    pub(crate) fn run(
        &mut self,
        now: DateTime<Utc>,
        terms: impl Fn(HotelId) -> Terms,
        commands: &[Command],
    ) -> Result<Decision, TestCaseError> {
        let ids: BTreeSet<_> = commands.iter().map(Command::hotel_id).collect();
        let mut locked = Vec::new();
        for hotel_id in &ids {
            locked.push(self.lock(now, *hotel_id, &terms(*hotel_id))?);
        }
        let at = |hotel: &HotelState| hotel.last_recorded_at.map_or(now, |last| last.max(now));
        let at = locked.iter().map(|hotel| (hotel.hotel_id, at(hotel))).collect();
        let batch = Batch::new(now, locked.clone(), commands).unwrap();
        check_needs(batch.needs())?;
        let before = self.clone();
        let unlocked = || Batch::new(now, locked.clone(), commands).unwrap();
        let (asked, snapshot) = self.fetch(batch.needs(), at);
        let decision = batch.decide(snapshot).unwrap();
        prop_assert_eq!(decision.answers.len(), commands.len());
        self.write_gates(&decision, &asked)?;
        self.write_seats(&decision, &asked)?;
        self.write_events(&decision, &asked)?;
        check_admissions(&decision)?;
        if !commands.iter().any(Command::is_about_a_seat) {
            if unlocked().may_all_be_new() {
                let supposed = unlocked().suppose_new().unwrap();
                let asks = usize::from(!supposed.gates.is_empty());
                self.supposed += asks;
                self.held += asks * usize::from(self.check_new(&before, &supposed, &decision)?);
            } else {
                self.looked_up += 1;
            }
            let stored =
                |gate: Gate| Some((gate.key, *before.gates.get(&(gate.hotel_id, gate.key))?));
            let gates = unlocked().gates().into_iter().filter_map(stored).collect();
            let supposed = unlocked().suppose(gates).unwrap();
            prop_assert!(supposed.hotels.iter().map(|hotel| &hotel.hotel_id).eq(&ids));
            self.check_supposed(&before, &supposed, &decision)?;
        }
        if decision.events.is_empty() {
            prop_assert!(self.is_as(&before), "nothing was recorded, and yet there is a trace");
        }
        Ok(decision)
    }

    /// What was supposed new, where it was, is what was decided. Says whether it was.
    fn check_new(
        &self,
        before: &Self,
        supposed: &Decision,
        decision: &Decision,
    ) -> Result<bool, TestCaseError> {
        let mut gates = supposed.gates.iter().map(|(gate, _)| gate);
        prop_assert!(gates.clone().all(|gate| gate.kind == GateKind::Once), "it may pass again");
        // The caller inserts them, and sees which are there.
        if gates.any(|gate| before.gates.contains_key(&(gate.hotel_id, gate.key))) {
            return Ok(false);
        }
        self.check_supposed(before, supposed, decision)?;
        Ok(true)
    }

    /// What was supposed is what was decided, and all hotels are written.
    fn check_supposed(
        &self,
        before: &Self,
        supposed: &Decision,
        decision: &Decision,
    ) -> TestCaseResult {
        prop_assert!(ascending(supposed.gates.iter().map(|(gate, _)| gate.key)));
        let mut gates = before.gates.clone();
        gates.extend(supposed.gates.iter().map(|(gate, at)| ((gate.hotel_id, gate.key), *at)));
        prop_assert_eq!(&gates, &self.gates);
        let Decision { answers, events, .. } = decision.clone();
        let hotels = supposed.hotels.iter().map(|hotel| self.hotels[&hotel.hotel_id].clone());
        let hotels = hotels.collect();
        let gates = supposed.gates.clone();
        let expected = Decision { answers, events, hotels, gates, ..Decision::default() };
        prop_assert_eq!(supposed, &expected);
        Ok(())
    }

    /// Whether a transaction has left no trace.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        let Self { hotels, openings, gates, seats, log, .. } = self;
        (hotels, openings, gates, seats, log)
            == (&other.hotels, &other.openings, &other.gates, &other.seats, &other.log)
    }

    /// Opens the hotel's month if a later one has begun.
    fn lock(
        &mut self,
        now: DateTime<Utc>,
        hotel_id: HotelId,
        terms: &Terms,
    ) -> Result<HotelState, TestCaseError> {
        let first = terms.zone.month_of(now);
        let hotel = self.hotels.entry(hotel_id).or_insert_with(|| HotelState {
            hotel_id,
            month: first,
            time_zone: terms.zone,
            limits: limits(terms),
            counters: Counters::default(),
            last_seq: 0,
            last_recorded_at: None,
        });
        hotel.limits = limits(terms);
        hotel.time_zone = terms.zone;
        let month = hotel.month_at(now);
        if month > hotel.month {
            let seats = hotel.counters.active_users;
            hotel.counters = opening(&hotel.counters);
            let carried = Counters { active_users: seats, ..Counters::default() };
            prop_assert_eq!(hotel.counters, carried, "opening");
            hotel.month = month;
            hotel.last_seq = 0;
            self.openings.insert(hotel_id, carried);
        }
        Ok(hotel.clone())
    }

    fn fetch(&mut self, needs: &Needs, at: HashMap<HotelId, DateTime<Utc>>) -> (Asked, Snapshot) {
        let mut snapshot = Snapshot::default();
        for gate in &needs.claim {
            self.gates.entry((gate.hotel_id, gate.key)).or_insert_with(|| {
                snapshot.claimed.push(gate.key);
                GateState { last_at: at[&gate.hotel_id], passed: 1 }
            });
        }
        for gate in &needs.read {
            if let Some(state) = self.gates.get(&(gate.hotel_id, gate.key)) {
                snapshot.gates.insert(gate.key, *state);
            }
        }
        let held = needs.seats.iter().copied().filter(|seat| self.seats.contains_key(seat));
        snapshot.held_seats = held.collect();
        let asked = Asked {
            at,
            read: needs.read.iter().map(|gate| gate.key).collect(),
            claimed: snapshot.claimed.iter().copied().collect(),
            seats: needs.seats.iter().copied().collect(),
        };
        (asked, snapshot)
    }

    fn write_gates(&mut self, decision: &Decision, asked: &Asked) -> TestCaseResult {
        prop_assert!(ascending(decision.gates.iter().map(|(gate, _)| gate.key)));
        prop_assert!(ascending(decision.given_back.iter().map(|gate| gate.key)));
        for (gate, state) in &decision.gates {
            prop_assert!(asked.read.contains(&gate.key), "set without having been read: {gate:?}");
            prop_assert_eq!(state.last_at, asked.at[&gate.hotel_id]);
            self.gates.insert((gate.hotel_id, gate.key), *state);
        }
        for gate in &decision.given_back {
            prop_assert!(asked.claimed.contains(&gate.key), "not claimed by this batch: {gate:?}");
            let removed = self.gates.remove(&(gate.hotel_id, gate.key));
            prop_assert!(removed.is_some(), "not there to be given back: {gate:?}");
        }
        Ok(())
    }

    fn write_seats(&mut self, decision: &Decision, asked: &Asked) -> TestCaseResult {
        let added: BTreeSet<_> =
            decision.seats_added.iter().map(|seat| (seat.hotel_id, seat.seat_user_id)).collect();
        let removed: BTreeSet<_> = decision.seats_removed.iter().copied().collect();
        prop_assert_eq!(added.len(), decision.seats_added.len(), "a seat added twice");
        prop_assert_eq!(removed.len(), decision.seats_removed.len(), "a seat removed twice");
        prop_assert!(added.is_disjoint(&removed), "a seat both added and removed");
        for key in &removed {
            prop_assert!(self.seats.remove(key).is_some(), "was not held: {key:?}");
        }
        for seat in &decision.seats_added {
            let key = (seat.hotel_id, seat.seat_user_id);
            prop_assert!(
                asked.seats.contains(&key),
                "added without having been asked for: {seat:?}"
            );
            prop_assert_eq!(seat.added_at, asked.at[&seat.hotel_id]);
            self.seats.insert(key, *seat);
        }
        Ok(())
    }

    fn write_events(&mut self, decision: &Decision, asked: &Asked) -> TestCaseResult {
        let mut changed = BTreeMap::new();
        for event in &decision.events {
            let hotel = self.hotels.get_mut(&event.hotel_id).unwrap();
            prop_assert_eq!(event.month, hotel.month);
            prop_assert_eq!(event.seq, hotel.last_seq + 1, "a gap in the sequence");
            prop_assert!(hotel.last_recorded_at.is_none_or(|last| last <= event.recorded_at));
            prop_assert_eq!(event.recorded_at, asked.at[&event.hotel_id]);
            hotel.last_seq = event.seq;
            hotel.last_recorded_at = Some(event.recorded_at);
            if let Some((meter, step)) = moves(event.event_type) {
                hotel.counters[counter(meter)] += step;
            }
            changed.insert(event.hotel_id, hotel.clone());
            self.log.push(Arc::clone(event));
        }
        let written: BTreeMap<_, _> =
            decision.hotels.iter().map(|hotel| (hotel.hotel_id, hotel.clone())).collect();
        prop_assert_eq!(&written, &changed, "hotels as written, and as their events say");
        prop_assert_eq!(written.len(), decision.hotels.len(), "a hotel written twice");
        written.values().try_for_each(|hotel| self.check_hotel(hotel))
    }

    /// Promise 4, from the log: a counter is its opening balance and its events.
    fn check_hotel(&self, hotel: &HotelState) -> TestCaseResult {
        let opening = self.openings.get(&hotel.hotel_id).copied().unwrap_or_default();
        let mut expected = opening;
        let mut seqs = Vec::new();
        for event in self.log.iter().filter(|event| event.hotel_id == hotel.hotel_id) {
            if event.month == hotel.month {
                seqs.push(event.seq);
                if let Some((meter, step)) = moves(event.event_type) {
                    expected[counter(meter)] += step;
                }
            }
        }
        prop_assert_eq!(hotel.counters, expected, "counters, and opening + events");
        prop_assert_eq!(seqs, (1..=hotel.last_seq).collect::<Vec<_>>());
        let held = self.seats.keys().filter(|(hotel_id, _)| *hotel_id == hotel.hotel_id).count();
        prop_assert_eq!(hotel.counters.active_users, i64::try_from(held).unwrap(), "seats held");
        Ok(())
    }
}

fn ascending<T: Ord>(keys: impl IntoIterator<Item = T>) -> bool {
    keys.into_iter().is_sorted_by(|a, b| a < b)
}

fn check_needs(needs: &Needs) -> TestCaseResult {
    let keys = |gates: &[Gate]| gates.iter().map(|gate| gate.key).collect::<Vec<_>>();
    let (claim, read) = (keys(&needs.claim), keys(&needs.read));
    prop_assert!(claim.iter().all(|key| !read.contains(key)), "both claimed and read");
    prop_assert!(ascending(claim) && ascending(read) && ascending(&needs.seats));
    Ok(())
}

/// Promise 3: whoever was let in still fits.
fn check_admissions(decision: &Decision) -> TestCaseResult {
    for answer in &decision.answers {
        if let (Some(event), Some(status)) = (&answer.event, &answer.quota)
            && let Some((_, 1)) = moves(event.event_type)
            && let Limit::AtMost(limit) = status.quota.limit()
        {
            prop_assert!(status.quota.used() <= limit, "overshot: {status:?}");
        }
    }
    Ok(())
}
