//! A month of a hotel group, October 2026, with the hours around it in which the month turns
//! somewhere on Earth: who sends what when ([`Scenario`]), what has to come of it ([`Model`]), and
//! what the service makes of it ([`mod@replay`]).
//!
//! The requests follow from a seed and from nothing else. The model knows the requests and nothing
//! of the service: it shares no code with it.

pub mod books;
mod diary;
mod hotels;
mod jobs;
mod mischief;
pub mod model;
pub mod replay;
pub mod reply;
pub mod request;
mod rules;
mod seats;
mod visits;

pub use books::{Books, Totals};
pub use hotels::{GROUP, Hotel};
pub use model::Model;
pub use replay::replay;
pub use reply::Reply;
pub use request::{Call, Request, Sending};

use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc};
use diary::Diary;
use hotels::{Habit, Registration};

/// Before it is October anywhere, and in the middle of a working day in Europe.
pub fn start() -> DateTime<Utc> {
    "2026-09-30T06:00:00Z".parse().expect("an instant")
}

/// After it is November everywhere.
pub fn end() -> DateTime<Utc> {
    "2026-11-01T18:00:00Z".parse().expect("an instant")
}

/// The month that it is about.
pub const MONTH: &str = "2026-10";

/// Requests in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Who takes part.
    pub hotels: &'static [Hotel],
    /// What they send.
    pub requests: Vec<Request>,
}

impl Scenario {
    /// The month of the first `hotels` hotels of the group. The same seed makes the same requests,
    /// and a hotel's are the same whoever else takes part.
    ///
    /// # Panics
    /// When the group does not have so many hotels.
    pub fn generate(seed: u64, hotels: usize) -> Self {
        let hotels = &GROUP[..hotels];
        let mut requests = Vec::new();
        for hotel in hotels {
            requests.extend(month_of(seed, hotel));
        }
        requests.extend(mischief::night_reports(seed, hotels));
        requests.sort_by_key(|request| request.at);
        Self { hotels, requests }
    }

    /// How many time zones the hotels live in.
    pub fn time_zones(&self) -> usize {
        let zones: std::collections::BTreeSet<_> = self.hotels.iter().map(|h| h.zone).collect();
        zones.len()
    }
}

/// Every day on which it is some hotel's local day between start and end.
fn days() -> impl Iterator<Item = NaiveDate> {
    let first = start().date_naive() - Days::new(1);
    let last = end().date_naive() + Days::new(1);
    first.iter_days().take_while(move |day| *day <= last)
}

fn month_of(seed: u64, hotel: &'static Hotel) -> Vec<Request> {
    let mut diary = Diary::new(seed, hotel);
    if hotel.registration == Registration::FromTheStart {
        diary.register(start(), hotel.plan);
    }
    seats::opening(&mut diary);
    for day in days() {
        if hotel.registration == (Registration::On { october: day.day() }) && in_october(day) {
            diary.register_on(day, hotel.plan);
        }
        for habit in hotel.habits {
            match habit {
                Habit::HourlyExports => jobs::hourly_exports(&mut diary, day),
                Habit::NightAudit => visits::night_audit(&mut diary, day),
                Habit::ChangesPlan { october, to } if day.day() == *october && in_october(day) => {
                    jobs::change_of_plan(&mut diary, day, to);
                }
                Habit::ChangesPlan { .. } | Habit::OwnLimits(_) => {}
            }
        }
        jobs::imports(&mut diary, day);
        jobs::nightly_export(&mut diary, day);
        seats::comings_and_goings(&mut diary, day);
        visits::of_a_day(&mut diary, day);
        mischief::of_a_day(&mut diary, day);
    }
    diary.requests
}

fn in_october(day: NaiveDate) -> bool {
    day.month() == 10
}
