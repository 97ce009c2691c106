//! A batch of commands against a snapshot: what happens, what to write, what to answer.
//!
//! The caller holds the lock of every hotel in the batch, and goes through three steps:
//!
//! 1. [`Batch::new`] with the locked [`HotelState`]s, in which `needs` says what else to fetch;
//! 2. fetch it into a [`Snapshot`];
//! 3. [`Batch::decide`], and write the [`Decision`] in the same transaction.
//!
//! Commands take effect in their order, exactly as if each had come alone: a copy, a full quota
//! and a seat given up are seen by the commands behind them in the same batch.

use crate::calendar::{Month, TimeZone};
use crate::catalogue::{Counter, DedupRule};
use crate::event::{Barrier, Command, RecordedEvent};
use crate::gate::{Gate, GateKey, GateKind, GateState};
use crate::ids::{HotelId, SeatUserId, UserId};
use crate::plan::{Limit, Limits};
use crate::quota::{Counters, PerCounter, Quota};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A hotel's open month, locked by the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct HotelState {
    /// Whose.
    pub hotel_id: HotelId,
    /// The open month. It never goes back, whatever the clocks say.
    pub month: Month,
    /// Where the hotel's days begin.
    pub time_zone: TimeZone,
    /// Limits of its plan and overrides.
    pub limits: Limits,
    /// The live counters.
    pub counters: Counters,
    /// Sequence number of the last event recorded in the month; 0 before the first.
    pub last_seq: i64,
    /// When that event was recorded.
    pub last_recorded_at: Option<DateTime<Utc>>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The event stands in the log, and counts.
    Recorded,
    /// It was recorded before.
    Duplicate,
    /// One of this session was recorded less than 30 minutes ago.
    SuppressedSession,
    /// The day's number is used up.
    SuppressedDailyCap,
    /// The quota has no unit left.
    QuotaExceeded,
}

/// A counter against its limit, after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaStatus {
    /// Which counter.
    pub counter: Counter,
    /// Used and limit.
    pub quota: Quota,
    /// When the month ends at the hotel.
    pub resets_at: DateTime<Utc>,
}

/// What to answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What became of it.
    pub outcome: Outcome,
    /// The event, if it was recorded now.
    pub event: Option<Arc<RecordedEvent>>,
    /// The quota, if the event type counts.
    pub quota: Option<QuotaStatus>,
}

/// What has to be known, besides the hotels, to decide a batch.
#[derive(Debug, Default, PartialEq)]
pub struct Needs {
    /// Insert these gates where absent, and say which were: on the usual path that is all a batch
    /// needs, and it costs no more than looking them up. In key order.
    pub claim: Vec<Gate>,
    /// Read these gates. In key order; none is in `claim`.
    pub read: Vec<Gate>,
    /// Say which of these seats are held. In order.
    pub seats: Vec<(HotelId, SeatUserId)>,
}

/// The answers to [`Needs`].
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Those of `claim` that were absent and are inserted now.
    pub claimed: Vec<GateKey>,
    /// Those of `read` that exist.
    pub gates: HashMap<GateKey, GateState>,
    /// Those of `seats` that are held.
    pub held_seats: Vec<(HotelId, SeatUserId)>,
}

/// What to write, and what to answer.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    /// One for each command, in the commands' order.
    pub answers: Vec<Answer>,
    /// Append these to the log.
    pub events: Vec<Arc<RecordedEvent>>,
    /// Set these hotels' counters, `last_seq` and `last_recorded_at`. Only those that changed.
    pub hotels: Vec<HotelState>,
    /// Set these gates' states. In key order.
    pub gates: Vec<(Gate, GateState)>,
    /// Remove these gates, claimed for events that were not recorded. In key order.
    pub given_back: Vec<Gate>,
    /// These seats are held now.
    pub seats_added: Vec<Seat>,
    /// These seats are held no longer.
    pub seats_removed: Vec<(HotelId, SeatUserId)>,
}

/// A seat that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// At which hotel.
    pub hotel_id: HotelId,
    /// By whom.
    pub seat_user_id: SeatUserId,
    /// Who granted it.
    pub added_by: UserId,
    /// Since when.
    pub added_at: DateTime<Utc>,
}

/// A command names a hotel that the caller has not locked: a mistake of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hotel {0} is in the batch but was not locked")]
pub struct NotLocked(pub HotelId);

/// Commands that are decided together.
#[derive(Debug)]
pub struct Batch<'a> {
    commands: &'a [Command],
    hotels: BTreeMap<HotelId, Hotel>,
    needs: Needs,
}

#[derive(Debug)]
struct Hotel {
    state: HotelState,
    /// The batch's time here: `now`, unless that would run backwards.
    at: DateTime<Utc>,
    day: NaiveDate,
    changed: bool,
}

impl Hotel {
    fn new(state: HotelState, now: DateTime<Utc>) -> Self {
        let at = state.last_recorded_at.map_or(now, |last| last.max(now));
        let day = state.time_zone.day_of(at);
        Self { state, at, day, changed: false }
    }

    fn quota(&self, counter: Counter) -> Quota {
        Quota::new(self.state.counters[counter], self.state.limits[counter])
    }
}

impl<'a> Batch<'a> {
    /// Prepares a batch at the instant `now`.
    ///
    /// # Errors
    /// When a command's hotel is not among `hotels`.
    pub fn new(
        now: DateTime<Utc>,
        hotels: Vec<HotelState>,
        commands: &'a [Command],
    ) -> Result<Self, NotLocked> {
        let hotels: BTreeMap<_, _> =
            hotels.into_iter().map(|state| (state.hotel_id, Hotel::new(state, now))).collect();
        let needs = needs(&hotels, commands)?;
        Ok(Self { commands, hotels, needs })
    }

    /// What to fetch before [`Batch::decide`].
    #[must_use]
    pub const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Decides every command in order.
    ///
    /// # Errors
    /// None in practice: [`Batch::new`] has checked that every hotel is there.
    pub fn decide(self, snapshot: Snapshot) -> Result<Decision, NotLocked> {
        let mut work = Work::new(self.hotels, &self.needs, snapshot);
        let mut answers = Vec::with_capacity(self.commands.len());
        for command in self.commands {
            answers.push(work.run(command)?);
        }
        Ok(work.finish(answers))
    }
}

/// Finds out what a batch needs. Gates are *claimed* where an event has just one gate and it can
/// only close once; everything else is read first, so that a closed gate leaves its companion
/// untouched.
fn needs(hotels: &BTreeMap<HotelId, Hotel>, commands: &[Command]) -> Result<Needs, NotLocked> {
    let mut claim = BTreeMap::new();
    let mut read = BTreeMap::new();
    let mut seats = BTreeSet::new();
    let wanted = wanted(commands);
    for command in commands {
        let hotel_id = command.hotel_id();
        let hotel = hotels.get(&hotel_id).ok_or(NotLocked(hotel_id))?;
        match (command.sending(), command.barrier(hotel.day)) {
            (None, Barrier::None) => {}
            (None, Barrier::Gate(gate)) if gate.kind == GateKind::Once => {
                claim.insert(gate.key, gate);
            }
            (Some(sending), Barrier::None) => {
                claim.insert(sending.key, sending);
            }
            (sending, barrier) => {
                read.extend(sending.map(|gate| (gate.key, gate)));
                match barrier {
                    Barrier::None => {}
                    Barrier::Gate(gate) => drop(read.insert(gate.key, gate)),
                    Barrier::Seat { seat, .. } => drop(seats.insert((hotel_id, seat))),
                }
            }
        }
        if may_be_refused(hotel, &wanted, command)
            && let Some(refusal) = command.refusal()
        {
            read.extend(refusal.sending().map(|gate| (gate.key, gate)));
            if let Barrier::Gate(gate) = refusal.barrier(hotel.day) {
                read.insert(gate.key, gate);
            }
        }
    }
    claim.retain(|key, _| !read.contains_key(key));
    Ok(Needs {
        claim: claim.into_values().collect(),
        read: read.into_values().collect(),
        seats: seats.into_iter().collect(),
    })
}

/// How many units of each counter a batch asks for, by hotel.
fn wanted(commands: &[Command]) -> HashMap<HotelId, Counters> {
    let mut wanted: HashMap<HotelId, Counters> = HashMap::new();
    for command in commands {
        if let Some(effect) = command.event().event_type.entry().effect {
            let counters = wanted.entry(command.hotel_id()).or_default();
            counters[effect.counter] += effect.step.max(0);
        }
    }
    wanted
}

fn may_be_refused(hotel: &Hotel, wanted: &HashMap<HotelId, Counters>, command: &Command) -> bool {
    let Some(effect) = command.event().event_type.entry().effect else {
        return false;
    };
    match hotel.state.limits[effect.counter] {
        Limit::Unlimited => false,
        Limit::AtMost(limit) => {
            let wanted = wanted.get(&command.hotel_id()).map_or(0, |w| w[effect.counter]);
            hotel.state.counters[effect.counter].saturating_add(wanted) > limit
        }
    }
}

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

struct Work {
    hotels: BTreeMap<HotelId, Hotel>,
    gates: BTreeMap<GateKey, Slot>,
    seats: BTreeMap<(HotelId, SeatUserId), SeatSlot>,
    events: Vec<Arc<RecordedEvent>>,
}

impl Work {
    fn new(hotels: BTreeMap<HotelId, Hotel>, needs: &Needs, snapshot: Snapshot) -> Self {
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
    fn run(&mut self, command: &Command) -> Result<Answer, NotLocked> {
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

    fn finish(self, answers: Vec<Answer>) -> Decision {
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

/// The counters with which a month opens, given the balance of the one before it.
#[must_use]
pub fn opening(previous: &Counters) -> Counters {
    PerCounter::from_fn(|counter| if counter.carries_over() { previous[counter] } else { 0 })
}
