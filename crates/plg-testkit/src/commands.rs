//! Commands as the edge of the system makes them, for tests that go around HTTP: single ones, and a
//! [`Workload`] of all kinds.

use crate::app;
use plg_core::catalogue::EventType;
use plg_core::event::{Command, NewEvent};
use plg_core::ids::{DedupKey, EventId, HotelId, SeatUserId, SessionId, UserId};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use uuid::Uuid;

/// A hotel of a test.
pub const fn hotel(number: u128) -> HotelId {
    HotelId(app::hotel(number))
}

/// Somebody to give a seat to.
pub const fn seat(number: u128) -> SeatUserId {
    SeatUserId(Uuid::from_u128(0x5ea7_0000_0000_0000_0000_0000_0000_0000 + number))
}

/// A bare event, to be completed.
pub fn event(hotel_id: HotelId, event_type: EventType) -> NewEvent {
    NewEvent {
        event_type,
        hotel_id,
        user_id: UserId(app::USER),
        session_id: None,
        event_id: None,
        dedup_key: None,
        event_data: None,
    }
}

/// Checks that an event has what its rule needs.
///
/// # Panics
/// When it does not.
pub fn command(event: NewEvent) -> Command {
    event.try_into().expect("all that its rule needs")
}

fn keyed(hotel_id: HotelId, event_type: EventType, key: &str) -> NewEvent {
    let dedup_key = Some(DedupKey::parse(key).expect("a key"));
    NewEvent { dedup_key, ..event(hotel_id, event_type) }
}

/// An import.
pub fn import(hotel_id: HotelId, job_id: &str) -> Command {
    command(keyed(hotel_id, EventType::ImportSuccess, job_id))
}

/// An export.
pub fn export(hotel_id: HotelId, export_id: &str) -> Command {
    command(keyed(hotel_id, EventType::ExportSuccess, export_id))
}

/// A seat granted.
pub fn add_seat(hotel_id: HotelId, number: u128) -> Command {
    command(keyed(hotel_id, EventType::SeatAdded, &seat(number).to_string()))
}

/// A seat given up.
pub fn remove_seat(hotel_id: HotelId, number: u128) -> Command {
    command(keyed(hotel_id, EventType::SeatRemoved, &seat(number).to_string()))
}

/// An event that is recorded each time.
pub fn click(hotel_id: HotelId) -> Command {
    command(event(hotel_id, EventType::UpgradeClick))
}

/// An event that is recorded once per session.
pub fn view(hotel_id: HotelId, session_id: &str) -> Command {
    let session_id = Some(SessionId::parse(session_id).expect("a session"));
    command(NewEvent { session_id, ..event(hotel_id, EventType::PaywallView) })
}

/// Commands of every kind from a seed, with many repetitions: jobs, seats, sessions and ids of
/// sendings are taken from a few.
#[derive(Debug)]
pub struct Workload {
    random: ChaCha8Rng,
    hotels: Vec<HotelId>,
}

/// What a workload consists of. Types with a quota or a cap come more often.
const TYPES: [EventType; 16] = [
    EventType::ImportSuccess,
    EventType::ImportSuccess,
    EventType::ExportSuccess,
    EventType::ExportSuccess,
    EventType::SeatAdded,
    EventType::SeatAdded,
    EventType::SeatRemoved,
    EventType::SeatRemoved,
    EventType::ExportBlocked,
    EventType::UpgradeClick,
    EventType::InviteAttemptBlocked,
    EventType::PaywallView,
    EventType::DashboardViewSession,
    EventType::PricingQuoteRun,
    EventType::PricingQuoteRun,
    EventType::PricingQuoteRun,
];

impl Workload {
    /// For these hotels.
    pub fn new(seed: u64, hotels: &[HotelId]) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), hotels: hotels.to_owned() }
    }

    /// The next commands.
    ///
    /// # Panics
    /// Without hotels.
    pub fn batch(&mut self, commands: usize) -> Vec<Command> {
        (0..commands).map(|_| self.command()).collect()
    }

    fn command(&mut self) -> Command {
        let random = &mut self.random;
        let hotel_id = *self.hotels.choose(random).expect("a hotel");
        let event_type = *TYPES.choose(random).expect("a type");
        let mut event = match event_type {
            EventType::ImportSuccess | EventType::ExportSuccess => {
                keyed(hotel_id, event_type, &format!("job-{}", random.random_range(0..60)))
            }
            EventType::SeatAdded | EventType::SeatRemoved => {
                let seat = seat(random.random_range(0..6));
                keyed(hotel_id, event_type, &seat.to_string())
            }
            _ => event(hotel_id, event_type),
        };
        let needs_session = matches!(
            event_type,
            EventType::ExportBlocked | EventType::PaywallView | EventType::DashboardViewSession
        );
        if needs_session || random.random_bool(0.3) {
            let session = format!("session-{}", random.random_range(0..5));
            event.session_id = Some(SessionId::parse(session).expect("a session"));
        }
        if random.random_bool(0.3) {
            let id = format!("id-{}", random.random_range(0..200));
            event.event_id = Some(EventId::parse(id).expect("an id"));
        }
        command(event)
    }
}
