//! Random input, from spaces so small that commands collide all the time.

use crate::model::Terms;
use crate::model::catalogue::{EVENT_TYPES, Rule, rule};
use chrono::{DateTime, TimeDelta, Utc};
use plg_core::calendar::TimeZone;
use plg_core::catalogue::EventType;
use plg_core::event::NewEvent;
use plg_core::event_data::EventData;
use plg_core::ids::{DedupKey, EventId, HotelId, SessionId, UserId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

pub(crate) const HOTELS: usize = 3;
/// Jobs, exports, sessions and ids share their texts: only the rule may keep their gates apart.
const TEXTS: [&str; 8] = ["a", "b", "c", "key/a", "session/a", "é", "d", "e"];
const SESSIONS: usize = 3;
const SEATS: usize = 3;
/// UUIDs have several spellings, and all of them name the same seat.
const SEAT_SPELLINGS: usize = 2;

const ZONES: [&str; 4] = ["UTC", "America/New_York", "Pacific/Auckland", "Europe/Vienna"];
/// Shortly before a month, a year or the clocks change somewhere.
const STARTS: [&str; 8] = [
    "2026-10-24T21:30:00Z",
    "2026-10-31T22:00:00Z",
    "2026-10-31T10:20:00Z",
    "2026-11-01T03:30:00Z",
    "2026-09-26T11:00:00Z",
    "2026-09-30T10:30:00Z",
    "2026-12-31T21:45:00Z",
    "2028-02-28T23:00:00Z",
];

/// What one hotel does again and again.
const BURSTS: [&[EventType]; 5] = [
    &[EventType::PricingQuoteRun],
    &[EventType::SeatAdded, EventType::SeatRemoved],
    &[EventType::ExportSuccess, EventType::ExportBlocked],
    &[EventType::ImportSuccess],
    &[EventType::PaywallView, EventType::UpgradeClick],
];

pub(crate) fn hotel_id(index: usize) -> HotelId {
    HotelId(Uuid::from_u128(0xA000 + u128::try_from(index).unwrap()))
}

/// Batches, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) start: DateTime<Utc>,
    pub(crate) terms: [Terms; HOTELS],
    pub(crate) rounds: Vec<Round>,
}

/// One batch.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// How far the clock has moved since the batch before.
    pub(crate) step: TimeDelta,
    /// A hotel that has got other limits meanwhile: imports, exports, seats.
    pub(crate) new_caps: Option<(usize, [Option<i64>; 3])>,
    /// A hotel that has moved its clocks to another zone meanwhile.
    pub(crate) new_zone: Option<(usize, TimeZone)>,
    pub(crate) commands: Vec<NewEvent>,
}

impl Round {
    /// Applies what has changed at the hotels.
    pub(crate) fn change(&self, terms: &mut [Terms; HOTELS]) {
        if let Some((hotel, [imports, exports, seats])) = self.new_caps {
            terms[hotel] = Terms { imports, exports, seats, ..terms[hotel] };
        }
        if let Some((hotel, zone)) = self.new_zone {
            terms[hotel].zone = zone;
        }
    }
}

pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    let start = select(&STARTS[..]).prop_map(|text| text.parse().unwrap());
    let terms = [terms(), terms(), terms()];
    (start, terms, vec(round(), 1..24)).prop_map(|(start, terms, rounds)| Scenario {
        start,
        terms,
        rounds,
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    (zone(), caps()).prop_map(|(zone, [imports, exports, seats])| Terms {
        zone,
        imports,
        exports,
        seats,
    })
}

fn zone() -> impl Strategy<Value = TimeZone> {
    select(&ZONES[..]).prop_map(|name| name.parse().unwrap())
}

fn caps() -> impl Strategy<Value = [Option<i64>; 3]> {
    let cap = || select(&[Some(1), Some(0), Some(2), Some(3), Some(5), None][..]);
    [cap(), cap(), cap()]
}

fn step() -> impl Strategy<Value = TimeDelta> {
    let window = TimeDelta::minutes(30);
    let tick = TimeDelta::milliseconds(1);
    prop_oneof![
        3 => Just(TimeDelta::zero()),
        3 => Just(window),
        3 => Just(window - tick),
        1 => Just(window + tick),
        2 => Just(TimeDelta::minutes(-5)),
        1 => Just(TimeDelta::minutes(-90)),
        3 => (1_i64..1_800_000_000).prop_map(TimeDelta::microseconds),
        2 => (30_i64..720).prop_map(TimeDelta::minutes),
        1 => (1_i64..5).prop_map(TimeDelta::days),
    ]
}

fn round() -> impl Strategy<Value = Round> {
    let new_caps = option::weighted(0.3, (0..HOTELS, caps()));
    let new_zone = option::weighted(0.05, (0..HOTELS, zone()));
    let changes = (new_caps, new_zone);
    // Quotas and daily caps are met in earnest only when one hotel does the same again and again.
    let burst = option::weighted(0.3, (hotel(), select(&BURSTS[..])));
    (step(), changes, burst, vec(draft(), 1..=12)).prop_map(|(step, changes, burst, drafts)| {
        let (new_caps, new_zone) = changes;
        let commands = drafts.into_iter().map(|mut draft| {
            if let Some((hotel, event_types)) = burst {
                draft.hotel = hotel;
                draft.event_type = *draft.pick.get(event_types);
            }
            draft.event()
        });
        Round { step, new_caps, new_zone, commands: commands.collect() }
    })
}

#[derive(Debug, Clone)]
struct Draft {
    hotel: usize,
    event_type: EventType,
    pick: Index,
    user: u128,
    session: Option<usize>,
    id: Option<usize>,
    key: Option<usize>,
    with_data: bool,
}

fn hotel() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0_usize), 2 => Just(1), 1 => Just(2)]
}

fn event_type() -> impl Strategy<Value = EventType> {
    prop_oneof![
        3 => select(&EVENT_TYPES[..]),
        1 => Just(EventType::ImportSuccess),
        2 => Just(EventType::ExportSuccess),
        2 => Just(EventType::SeatAdded),
        1 => Just(EventType::SeatRemoved),
        1 => Just(EventType::PricingQuoteRun),
        1 => Just(EventType::PlaybookOpen),
        1 => Just(EventType::ExportBlocked),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let session = option::weighted(0.6, 0..SESSIONS);
    let id = option::weighted(0.35, 0..TEXTS.len());
    let key = option::weighted(0.9, 0..TEXTS.len());
    let what = (hotel(), event_type(), any::<Index>());
    (what, 0_u128..2, session, id, key, any::<bool>()).prop_map(
        |((hotel, event_type, pick), user, session, id, key, with_data)| Draft {
            hotel,
            event_type,
            pick,
            user,
            session,
            id,
            key,
            with_data,
        },
    )
}

impl Draft {
    fn event(self) -> NewEvent {
        let rule = rule(self.event_type);
        let session = if rule == Rule::OncePerSession {
            Some(self.session.unwrap_or(0))
        } else {
            self.session
        };
        let key = match rule {
            Rule::WhileFree | Rule::WhileHeld => Some(seat(self.key.unwrap_or(0))),
            Rule::OncePerKey => Some(TEXTS[self.key.unwrap_or(0)].to_owned()),
            _ => self.key.map(|key| TEXTS[key].to_owned()),
        };
        NewEvent {
            event_type: self.event_type,
            hotel_id: hotel_id(self.hotel),
            user_id: UserId(Uuid::from_u128(0xB000 + self.user)),
            session_id: session.map(|session| SessionId::parse(TEXTS[session]).unwrap()),
            event_id: self.id.map(|id| EventId::parse(TEXTS[id]).unwrap()),
            dedup_key: key.map(|key| DedupKey::parse(key).unwrap()),
            event_data: self.with_data.then(|| EventData::parse(r#"{"n": 1}"#).unwrap()),
        }
    }
}

fn seat(index: usize) -> String {
    let seat = Uuid::from_u128(0xC000 + u128::try_from(index % SEATS).unwrap());
    if (index / SEATS).is_multiple_of(SEAT_SPELLINGS) {
        seat.hyphenated().to_string()
    } else {
        seat.simple().to_string().to_uppercase()
    }
}
