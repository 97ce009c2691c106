//! A batch while it is decided: what each command sees of those before it, and what is left to write.

use super::{Answer, Decision, Hotel, Needs, NotLocked, Outcome, QuotaStatus, Seat, Snapshot};
use crate::catalogue::{Counter, DedupRule};
use crate::event::{Barrier, Command, RecordedEvent};
use crate::gate::{Gate, GateKey, GateKind, GateState};
use crate::ids::{HotelId, SeatUserId};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A gate while its batch is decided.
struct Slot {
    gate: Gate,
    state: Option<GateState>,
    /// The row that is in the database by now, whoever inserted it.
    stored: Option<GateState>,
    /// The row was inserted for this batch: remove it if nothing passes.
    claimed: bool,
}

struct SeatSlot {
    holder: Option<Seat>,
    held: bool,
    was_held: bool,
}

pub(super) struct Work {
    hotels: BTreeMap<HotelId, Hotel>,
    gates: BTreeMap<GateKey, Slot>,
    seats: BTreeMap<(HotelId, SeatUserId), SeatSlot>,
    events: Vec<Arc<RecordedEvent>>,
}

impl Work {
    pub(super) fn new(hotels: BTreeMap<HotelId, Hotel>, needs: &Needs, snapshot: Snapshot) -> Self {
        let claimed: BTreeSet<_> = snapshot.claimed.into_iter().collect();
        let mut gates = BTreeMap::new();
        for gate in &needs.claim {
            // Somebody else's claim closes the gate whenever it was; ours leaves it open.
            let at = hotels.get(&gate.hotel_id).map_or(DateTime::UNIX_EPOCH, |hotel| hotel.at);
            let stored = Some(GateState { last_at: at, passed: 1 });
            let claimed = claimed.contains(&gate.key);
            let state = if claimed { None } else { stored };
            gates.insert(gate.key, Slot { gate: *gate, state, stored, claimed });
        }
        for gate in &needs.read {
            let state = snapshot.gates.get(&gate.key).copied();
            gates.insert(gate.key, Slot { gate: *gate, state, stored: state, claimed: false });
        }
        let held: BTreeSet<_> = snapshot.held_seats.into_iter().collect();
        let seats = needs.seats.iter().map(|seat| {
            let held = held.contains(seat);
            (*seat, SeatSlot { holder: None, held, was_held: held })
        });
        Self { hotels, gates, seats: seats.collect(), events: Vec::new() }
    }

    /// One command, as if it had come alone.
    pub(super) fn run(&mut self, command: &Command) -> Result<Answer, NotLocked> {
        let answer = self.try_record(command)?;
        if answer.outcome == Outcome::QuotaExceeded
            && let Some(refusal) = command.refusal()
        {
            self.try_record(&refusal)?;
        }
        Ok(answer)
    }

    fn try_record(&mut self, command: &Command) -> Result<Answer, NotLocked> {
        let hotel_id = command.hotel_id();
        let Self { hotels, gates, seats, .. } = self;
        let hotel = hotels.get_mut(&hotel_id).ok_or(NotLocked(hotel_id))?;
        let barrier = command.barrier(hotel.day);
        let effect = command.event().event_type.entry().effect;
        let refused = |hotel: &Hotel| {
            effect.is_some_and(|e| e.step > 0 && !hotel.quota(e.counter).admits_one())
        };

        let outcome = if !is_open(gates, command.sending(), hotel.at) {
            Outcome::Duplicate
        } else if let Some(repetition) = repetition(gates, seats, hotel, command, barrier) {
            repetition
        } else if refused(hotel) {
            Outcome::QuotaExceeded
        } else {
            Outcome::Recorded
        };

        let mut event = None;
        if outcome == Outcome::Recorded {
            if let Some(effect) = effect {
                hotel.state.counters[effect.counter] += effect.step;
            }
            let recorded = Arc::new(record(hotel, command));
            self.pass(command, barrier, recorded.recorded_at);
            self.events.push(Arc::clone(&recorded));
            event = Some(recorded);
        }
        let quota = effect.map(|effect| self.status(hotel_id, effect.counter)).transpose()?;
        Ok(Answer { outcome, event, quota })
    }

    /// Closes what the recorded command has passed.
    fn pass(&mut self, command: &Command, barrier: Barrier, at: DateTime<Utc>) {
        let gate = if let Barrier::Gate(gate) = barrier { Some(gate) } else { None };
        for gate in command.sending().into_iter().chain(gate) {
            let slot = self.gates.entry(gate.key).or_insert(Slot {
                gate,
                state: None,
                stored: None,
                claimed: false,
            });
            slot.state = Some(Gate::passed(slot.state, at));
        }
        if let Barrier::Seat { seat, must_be_held } = barrier {
            let hotel_id = command.hotel_id();
            let added_by = command.event().user_id;
            let seat = Seat { hotel_id, seat_user_id: seat, added_by, added_at: at };
            if let Some(slot) = self.seats.get_mut(&(hotel_id, seat.seat_user_id)) {
                slot.held = !must_be_held;
                slot.holder = slot.held.then_some(seat);
            }
        }
    }

    fn status(&self, hotel_id: HotelId, counter: Counter) -> Result<QuotaStatus, NotLocked> {
        let hotel = self.hotels.get(&hotel_id).ok_or(NotLocked(hotel_id))?;
        let resets_at = hotel.state.time_zone.end_of(hotel.state.month);
        Ok(QuotaStatus { counter, quota: hotel.quota(counter), resets_at })
    }

    pub(super) fn finish(self, answers: Vec<Answer>) -> Decision {
        let mut decision = Decision { answers, events: self.events, ..Decision::default() };
        for slot in self.gates.into_values() {
            match slot.state {
                None if slot.claimed => decision.given_back.push(slot.gate),
                Some(state) if slot.stored != Some(state) => {
                    decision.gates.push((slot.gate, state));
                }
                _ => {}
            }
        }
        for (key, slot) in self.seats {
            match slot.holder {
                Some(seat) if slot.held => decision.seats_added.push(seat),
                _ if slot.was_held && !slot.held => decision.seats_removed.push(key),
                _ => {}
            }
        }
        let changed = self.hotels.into_values().filter(|hotel| hotel.changed);
        decision.hotels = changed.map(|hotel| hotel.state).collect();
        decision
    }
}

fn is_open(gates: &BTreeMap<GateKey, Slot>, gate: Option<Gate>, at: DateTime<Utc>) -> bool {
    gate.is_none_or(|gate| gate.is_open(gates.get(&gate.key).and_then(|slot| slot.state), at))
}

/// What the dedup rule says against the command, if anything.
fn repetition(
    gates: &BTreeMap<GateKey, Slot>,
    seats: &BTreeMap<(HotelId, SeatUserId), SeatSlot>,
    hotel: &Hotel,
    command: &Command,
    barrier: Barrier,
) -> Option<Outcome> {
    match barrier {
        Barrier::None => None,
        Barrier::Gate(gate) if is_open(gates, Some(gate), hotel.at) => None,
        Barrier::Gate(gate) => Some(match gate.kind {
            GateKind::Once
                if command.event().event_type.entry().dedup == DedupRule::OncePerSession =>
            {
                Outcome::SuppressedSession
            }
            GateKind::Once => Outcome::Duplicate,
            GateKind::Session => Outcome::SuppressedSession,
            GateKind::Day(_) => Outcome::SuppressedDailyCap,
        }),
        Barrier::Seat { seat, must_be_held } => {
            let held = seats.get(&(hotel.state.hotel_id, seat)).is_some_and(|slot| slot.held);
            (held != must_be_held).then_some(Outcome::Duplicate)
        }
    }
}

/// Stamps a command into the hotel's open month.
fn record(hotel: &mut Hotel, command: &Command) -> RecordedEvent {
    hotel.state.last_seq += 1;
    hotel.state.last_recorded_at = Some(hotel.at);
    hotel.changed = true;
    let event = command.event().clone();
    RecordedEvent {
        event_type: event.event_type,
        hotel_id: event.hotel_id,
        user_id: event.user_id,
        session_id: event.session_id,
        event_id: event.event_id,
        dedup_key: event.dedup_key,
        event_data: event.event_data,
        month: hotel.state.month,
        day: hotel.day,
        seq: hotel.state.last_seq,
        recorded_at: hotel.at,
    }
}
