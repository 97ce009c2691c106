//! What a batch has to know besides its hotels.

use super::{Hotel, Needs, NotLocked};
use crate::event::{Barrier, Command};
use crate::gate::GateKind;
use crate::ids::HotelId;
use crate::plan::Limit;
use crate::quota::Counters;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Finds out what a batch needs. Gates are *claimed* where an event has just one gate and it can
/// only close once; everything else is read first, so that a closed gate leaves its companion
/// untouched.
pub(super) fn needs(
    hotels: &BTreeMap<HotelId, Hotel>,
    commands: &[Command],
) -> Result<Needs, NotLocked> {
    let mut claim = BTreeMap::new();
    let mut read = BTreeMap::new();
    let mut seats = BTreeSet::new();
    let wanted = wanted(commands);
    let mut some_may_be_refused = false;
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
        if !may_be_refused(hotel, &wanted, command) {
            continue;
        }
        some_may_be_refused = true;
        if let Some(refusal) = command.refusal() {
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
        may_be_refused: some_may_be_refused,
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
