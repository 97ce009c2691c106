//! The group: where its hotels are, what they pay for, and what they are used to doing.

use super::request::OwnLimits;
use uuid::Uuid;

/// A hotel of the group.
#[derive(Debug, PartialEq)]
pub struct Hotel {
    /// Its number, which its id is made from.
    pub number: u8,
    /// What people call it.
    pub name: &'static str,
    /// Where it lives. The service knows that only if it is registered.
    pub zone: &'static str,
    /// Its plan at first, once it is registered.
    pub plan: &'static str,
    /// When it is registered.
    pub registration: Registration,
    /// How much goes on: visits on a working day.
    pub visits: u32,
    /// What else it does.
    pub habits: &'static [Habit],
}

/// When a hotel is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Before anything else.
    FromTheStart,
    /// On a day of October; until then it has the default plan and UTC.
    On {
        /// The day.
        october: u32,
    },
    /// Not at all.
    Never,
}

/// What a hotel does besides the usual.
#[derive(Debug, PartialEq)]
pub enum Habit {
    /// A channel manager exports every hour, in no session.
    HourlyExports,
    /// The night auditor runs prices around midnight, and in the hour that summer time ends.
    NightAudit,
    /// Buys another plan on a day of October.
    ChangesPlan {
        /// The day.
        october: u32,
        /// The plan.
        to: &'static str,
    },
    /// Has negotiated limits.
    OwnLimits(OwnLimits),
}

impl Hotel {
    /// Its id.
    pub const fn id(&self) -> Uuid {
        crate::app::hotel(0x6000 + self.number as u128)
    }

    /// One of its users. The first few come every day.
    pub const fn user(&self, number: u8) -> Uuid {
        let one = ((self.number as u128) << 8) + number as u128;
        Uuid::from_u128(0xface_face_0000_0000_0000_0000_0000_0000 + one)
    }

    /// How many people work with the application.
    pub const fn users(&self) -> u8 {
        if self.visits > 8 { 9 } else { 5 }
    }

    /// What it has instead of its plan's limits.
    pub fn own_limits(&self) -> OwnLimits {
        let own = |habit: &Habit| match habit {
            Habit::OwnLimits(limits) => Some(*limits),
            _ => None,
        };
        self.habits.iter().find_map(own).unwrap_or_default()
    }
}

use Habit::{ChangesPlan, HourlyExports, NightAudit, OwnLimits as Own};
use Registration::{FromTheStart, Never, On};

const fn hotel(
    (number, name, zone): (u8, &'static str, &'static str),
    plan: &'static str,
    registration: Registration,
    visits: u32,
    habits: &'static [Habit],
) -> Hotel {
    Hotel { number, name, zone, plan, registration, visits, habits }
}

const UP_ON_13: &[Habit] = &[NightAudit, ChangesPlan { october: 13, to: "superior" }];
const UP_ON_20: &[Habit] = &[ChangesPlan { october: 20, to: "deluxe" }];
const DOWN_ON_16: &[Habit] = &[ChangesPlan { october: 16, to: "superior" }];
const SMALL: &[Habit] = &[Own(&[("exports", Some(20)), ("active_users", Some(2))])];
const NO_IMPORTS: &[Habit] = &[Own(&[("imports", Some(0)), ("exports", None)])];
const BIG_GROUP: &[Habit] = &[HourlyExports, Own(&[("imports", Some(60)), ("exports", Some(400))])];

/// Every hotel. The first three already do nearly everything that there is to do.
#[rustfmt::skip]
pub static GROUP: [Hotel; 24] = [
    hotel((1, "Adler Wien", "Europe/Vienna"), "standard", FromTheStart, 7, UP_ON_13),
    hotel((2, "Posada del Sol", "Europe/Madrid"), "superior", On { october: 9 }, 4, SMALL),
    hotel((3, "Aloha Bay", "Pacific/Honolulu"), "superior", On { october: 31 }, 3, &[]),
    hotel((4, "Hudson House", "America/New_York"), "standard", FromTheStart, 6, &[NightAudit]),
    hotel((5, "Kea Lodge", "Pacific/Auckland"), "superior", FromTheStart, 3, &[HourlyExports]),
    hotel((6, "Sakura Gate", "Asia/Tokyo"), "deluxe", FromTheStart, 10, DOWN_ON_16),
    hotel((7, "Spreeblick", "Europe/Berlin"), "superior", FromTheStart, 7, UP_ON_20),
    hotel((8, "Grand Palais", "Europe/Paris"), "suite", FromTheStart, 12, &[NightAudit]),
    hotel((9, "Paddington Arms", "Europe/London"), "superior", FromTheStart, 6, &[]),
    hotel((10, "Casa do Tejo", "Europe/Lisbon"), "standard", FromTheStart, 4, &[]),
    hotel((11, "Ilha Verde", "Atlantic/Azores"), "standard", FromTheStart, 2, &[]),
    hotel((12, "Sunset Inn", "America/Los_Angeles"), "deluxe", FromTheStart, 7, &[NightAudit]),
    hotel((13, "Harbour View", "America/St_Johns"), "standard", FromTheStart, 3, UP_ON_13),
    hotel((14, "Pousada Azul", "America/Sao_Paulo"), "superior", FromTheStart, 5, &[]),
    hotel((15, "Last Light", "Pacific/Pago_Pago"), "standard", FromTheStart, 2, &[NightAudit]),
    hotel((16, "First Light", "Pacific/Kiritimati"), "standard", FromTheStart, 2, &[NightAudit]),
    hotel((17, "Opera Quay", "Australia/Sydney"), "deluxe", FromTheStart, 8, BIG_GROUP),
    hotel((18, "Island House", "Australia/Lord_Howe"), "standard", FromTheStart, 2, &[]),
    hotel((19, "Marigold", "Asia/Kolkata"), "superior", FromTheStart, 6, &[]),
    hotel((20, "Everest Rest", "Asia/Kathmandu"), "standard", FromTheStart, 3, NO_IMPORTS),
    hotel((21, "Creek Tower", "Asia/Dubai"), "suite", FromTheStart, 7, &[]),
    hotel((22, "Acacia Camp", "Africa/Nairobi"), "standard", Never, 3, &[]),
    hotel((23, "Chao Phraya", "Asia/Bangkok"), "standard", Never, 5, &[]),
    hotel((24, "Polar Station", "UTC"), "standard", FromTheStart, 2, &[NightAudit]),
];
