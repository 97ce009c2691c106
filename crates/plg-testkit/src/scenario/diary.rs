//! A hotel's requests while they are written down, and the chances of the day.

use super::hotels::Hotel;
use super::request::{Call, Request, Sending};
use super::{end, start};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// One in so many requests is sent again at once: its answer got lost.
const RETRIED_ONE_IN: u32 = 25;
/// Visits by local hour: nobody at night, a long morning, a short afternoon, some at the bar.
const RHYTHM: [u32; 24] =
    [0, 0, 0, 0, 0, 0, 1, 5, 12, 16, 14, 10, 5, 6, 11, 12, 10, 7, 4, 3, 3, 2, 1, 1];

pub(super) struct Diary {
    pub(super) hotel: &'static Hotel,
    pub(super) requests: Vec<Request>,
    pub(super) rng: ChaCha8Rng,
    zone: Tz,
    names: u32,
}

impl Diary {
    pub(super) fn new(seed: u64, hotel: &'static Hotel) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(hotel.number));
        let zone = hotel.zone.parse().expect("a time zone");
        Self { hotel, requests: Vec::new(), rng, zone, names: 0 }
    }

    /// Happens once in so many times.
    pub(super) fn one_in(&mut self, times: u32) -> bool {
        self.rng.random_ratio(1, times)
    }

    /// A number from 0 to `most`.
    pub(super) fn up_to(&mut self, most: u32) -> u32 {
        self.rng.random_range(0..=most)
    }

    /// A name that nothing else has.
    pub(super) fn name(&mut self, of: &str) -> String {
        self.names += 1;
        format!("{of}-{}-{}", self.hotel.number, self.names)
    }

    /// A time span within bounds, to the microsecond.
    pub(super) fn between(&mut self, least_seconds: i64, most_seconds: i64) -> TimeDelta {
        let micros = least_seconds * 1_000_000..most_seconds * 1_000_000;
        TimeDelta::microseconds(self.rng.random_range(micros))
    }

    /// A local time of the day as instants: two where the clocks are put back, none where they are
    /// put forward, else one.
    pub(super) fn instants(&self, day: NaiveDate, time: NaiveTime) -> Vec<DateTime<Utc>> {
        let found = self.zone.from_local_datetime(&day.and_time(time));
        let mut instants: Vec<_> = found.earliest().into_iter().chain(found.latest()).collect();
        instants.dedup();
        instants.into_iter().map(|at| at.with_timezone(&Utc)).collect()
    }

    /// Likewise, one of them.
    fn instant(&mut self, day: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
        let mut instants = self.instants(day, time);
        if self.one_in(2) { instants.pop() } else { instants.first().copied() }
    }

    /// The full hour.
    pub(super) fn hour(&mut self, day: NaiveDate, hour: u32) -> Option<DateTime<Utc>> {
        self.instant(day, NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour"))
    }

    /// Some time of the day, when people are at work.
    pub(super) fn working_hour(&mut self, day: NaiveDate) -> Option<DateTime<Utc>> {
        let mut ticket = self.rng.random_range(0..RHYTHM.iter().sum());
        for (hour, weight) in (0..).zip(RHYTHM) {
            if ticket < weight {
                let within = self.between(0, 3600);
                return self.hour(day, hour).map(|at| at + within);
            }
            ticket -= weight;
        }
        None
    }

    /// Somebody: at most times one of the first few.
    pub(super) fn user(&mut self) -> uuid::Uuid {
        let least = self.rng.random_range(0..self.hotel.users());
        let number = self.rng.random_range(0..=least);
        self.hotel.user(number)
    }

    /// An event of somebody.
    pub(super) fn sending(&mut self, event_type: &'static str) -> Sending {
        let (hotel, user) = (self.hotel.id(), self.user());
        Sending { event_type, hotel, user, session: None, id: None, key: None }
    }

    /// An event about a job, an export or a seat.
    pub(super) fn keyed(&mut self, event_type: &'static str, key: String) -> Sending {
        Sending { key: Some(key), ..self.sending(event_type) }
    }

    /// Writes a request down, and now and then its retry.
    pub(super) fn send(&mut self, at: DateTime<Utc>, call: Call) {
        self.send_in(None, at, call);
    }

    /// Likewise, with the session in the header.
    pub(super) fn send_in(&mut self, header: Option<&str>, at: DateTime<Utc>, call: Call) {
        let request = Request { at, session_header: header.map(str::to_owned), call };
        if self.one_in(RETRIED_ONE_IN) {
            let again = at + self.between(0, 4);
            self.write(Request { at: again, ..request.clone() });
        }
        self.write(request);
    }

    /// What happens outside of the month and its margins is nobody's business.
    fn write(&mut self, request: Request) {
        if (start()..end()).contains(&request.at) {
            self.requests.push(request);
        }
    }

    /// A billable action, as backends tell of it: by its route, as an event, or in an array.
    pub(super) fn act(&mut self, at: DateTime<Utc>, sending: Sending) {
        let call = match self.up_to(9) {
            0 => Call::Event(sending),
            1 => {
                let companion = self.sending("upgrade_click");
                Call::Events(vec![sending, companion])
            }
            _ => Call::Action(sending),
        };
        self.send(at, call);
    }

    /// Registers the hotel as what it is.
    pub(super) fn register(&mut self, at: DateTime<Utc>, plan: &'static str) {
        let (hotel, zone, limits) = (self.hotel.id(), self.hotel.zone, self.hotel.own_limits());
        self.send(at, Call::Register { hotel, plan, zone, limits });
    }

    /// Likewise, in the afternoon, between the click and the first use. In Honolulu that is the next
    /// day by UTC, on the 31st the next month: it has begun, although it is October again.
    pub(super) fn register_on(&mut self, day: NaiveDate, plan: &'static str) {
        let Some(at) = self.hour(day, 16) else { return };
        let click = self.sending("upgrade_click");
        self.send(at - TimeDelta::minutes(10), Call::Event(click));
        self.register(at, plan);
        let key = self.name("export");
        let export = self.keyed("export_success", key);
        self.send(at + TimeDelta::minutes(10), Call::Action(export));
    }
}

/// Whether hotels' offices are closed.
pub(super) fn is_weekend(day: NaiveDate) -> bool {
    day.weekday().num_days_from_monday() >= 5
}
