//! What has to come of the requests, in the most naive way that can be written down.
//!
//! Requests are taken strictly one at a time, what was recorded at a hotel lies in one `Vec`, and
//! every question is answered by searching it. No code of the service is used, so that no mistake
//! can be shared.

use super::books::{Books, Totals};
use super::reply::{Part, Quota, Reply, Stamp};
use super::request::{Call, OwnLimits, Request, Sending};
use super::rules::{
    METERS, QUOTE_RUNS_A_DAY, Rule, SESSION_WINDOW, TEXT_MAX, moves, plan_limits, rule,
};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The whole group.
#[derive(Debug, Default)]
pub struct Model {
    hotels: BTreeMap<Uuid, Hotel>,
}

/// A recorded event.
#[derive(Debug)]
struct Row {
    sent: Sending,
    stamp: Stamp,
    /// The id of the sending whose refusal this row logs.
    refused_id: Option<String>,
}

#[derive(Debug)]
struct Hotel {
    plan: &'static str,
    zone: Tz,
    own_limits: OwnLimits,
    /// Months in which anything was sent that might have been recorded.
    months: BTreeSet<String>,
    rows: Vec<Row>,
}

impl Default for Hotel {
    /// As nobody has registered it.
    fn default() -> Self {
        let (months, rows) = (BTreeSet::new(), Vec::new());
        Self { plan: "standard", zone: Tz::UTC, own_limits: &[], months, rows }
    }
}

impl Model {
    /// What has to be answered to a request, after all those before it.
    pub fn answer(&mut self, request: &Request) -> Reply {
        let with_session = |sending: &Sending| {
            let session = sending.session.clone().or_else(|| request.session_header.clone());
            Sending { session, ..sending.clone() }
        };
        match &request.call {
            Call::Register { hotel, plan, zone, limits } => {
                if plan_limits(plan).is_none() {
                    return Reply::one(422, Part::word("invalid_field"));
                }
                let hotel = self.hotels.entry(*hotel).or_default();
                hotel.plan = plan;
                hotel.zone = zone.parse().expect("a time zone");
                hotel.own_limits = limits;
                Reply::one(200, Part::word(plan))
            }
            Call::Usage(hotel) => {
                Reply::one(200, self.hotels.entry(*hotel).or_default().usage(request.at))
            }
            Call::BrokenEvent(_) => Reply::one(400, Part::word("malformed_json")),
            Call::Event(sending) => self.single(request.at, &with_session(sending), 200),
            Call::Action(sending) => {
                let recorded = if sending.event_type == "seat_removed" { 200 } else { 201 };
                self.single(request.at, &with_session(sending), recorded)
            }
            Call::Events(sendings) => {
                let one = |sending| self.send(request.at, &with_session(sending));
                Reply { status: 200, parts: sendings.iter().map(one).collect() }
            }
        }
    }

    fn single(&mut self, now: DateTime<Utc>, sending: &Sending, recorded: u16) -> Reply {
        let part = self.send(now, sending);
        let status = match part.said.as_str() {
            "recorded" => recorded,
            "quota_exceeded" => 402,
            "unknown_event_type" | "invalid_field" => 422,
            _ => 200,
        };
        Reply::one(status, part)
    }

    fn send(&mut self, now: DateTime<Utc>, sending: &Sending) -> Part {
        match mistake(sending) {
            Some(code) => Part::word(code),
            None => self.hotels.entry(sending.hotel).or_default().send(now, sending),
        }
    }

    /// Every hotel-month: what its counters must be, and how many events of each type it must have.
    pub fn books(&self) -> Books {
        let mut books = Books::new();
        for (id, hotel) in &self.hotels {
            for month in &hotel.months {
                books.insert((*id, month.clone()), hotel.totals(month));
            }
        }
        books
    }

    /// A hotel's plan by now, and its limits: imports, exports, seats.
    pub fn terms(&self, hotel: Uuid) -> (&'static str, [Option<i64>; 3]) {
        let unregistered = Hotel::default();
        let hotel = self.hotels.get(&hotel).unwrap_or(&unregistered);
        (hotel.plan, METERS.map(|meter| hotel.limit(meter)))
    }
}

/// What is wrong with a sending by itself.
fn mistake(sending: &Sending) -> Option<&'static str> {
    let Some(rule) = rule(sending.event_type) else { return Some("unknown_event_type") };
    let texts = [&sending.session, &sending.id, &sending.key];
    let fits = |text: &String| (1..=TEXT_MAX).contains(&text.chars().count());
    let complete = match rule {
        Rule::OncePerKey => sending.key.is_some(),
        Rule::OncePerSession => sending.session.is_some(),
        Rule::WhileFree | Rule::WhileHeld => {
            sending.key.as_ref().is_some_and(|key| Uuid::parse_str(key).is_ok())
        }
        Rule::EachSending | Rule::SomePerDay => true,
    };
    let valid = complete && texts.into_iter().flatten().all(fits);
    (!valid).then_some("invalid_field")
}

impl Hotel {
    fn send(&mut self, now: DateTime<Utc>, sent: &Sending) -> Part {
        let stamp = self.stamp(now);
        self.months.insert(stamp.month.clone());
        let said = self.repetition(sent, &stamp).unwrap_or_else(|| {
            if self.is_full(sent, &stamp.month) { "quota_exceeded" } else { "recorded" }
        });
        let mut part = Part::word(said);
        if said == "recorded" {
            part.stamp = Some(self.record(sent.clone(), stamp.clone(), None));
        } else if said == "quota_exceeded" {
            self.log_refusal(sent, &stamp);
        }
        if let Some((meter, _)) = moves(sent.event_type) {
            part.quotas.push(self.quota(meter, &stamp.month));
        }
        part
    }

    /// Where an event would stand that is recorded now.
    fn stamp(&self, now: DateTime<Utc>) -> Stamp {
        let day = now.with_timezone(&self.zone).date_naive();
        let month = day.format("%Y-%m").to_string();
        // A month that has begun has begun, also for a hotel that moves to another time zone.
        let month = self.months.iter().cloned().fold(month, Ord::max);
        let seq = self.rows.iter().filter(|row| row.stamp.month == month).count() + 1;
        Stamp { month, day, seq, at: now }
    }

    fn repetition(&self, sent: &Sending, stamp: &Stamp) -> Option<&'static str> {
        if sent.id.is_some() && self.rows.iter().any(|row| row.sent.id == sent.id) {
            return Some("duplicate");
        }
        let alike = || self.rows.iter().filter(|row| row.sent.event_type == sent.event_type);
        let (repeated, said) = match rule(sent.event_type)? {
            Rule::OncePerKey => (alike().any(|row| row.sent.key == sent.key), "duplicate"),
            Rule::WhileFree => (self.holds(sent), "duplicate"),
            Rule::WhileHeld => (!self.holds(sent), "duplicate"),
            Rule::OncePerSession => {
                (self.seen(sent.event_type, sent, stamp.at), "suppressed_session")
            }
            Rule::EachSending => return None,
            Rule::SomePerDay => {
                let today = alike().filter(|row| row.stamp.day == stamp.day).count();
                (today >= QUOTE_RUNS_A_DAY, "suppressed_daily_cap")
            }
        };
        repeated.then_some(said)
    }

    /// Whether an event of this type was recorded lately in the session of `sent`.
    fn seen(&self, event_type: &str, sent: &Sending, at: DateTime<Utc>) -> bool {
        self.rows.iter().any(|row| {
            row.sent.event_type == event_type
                && row.sent.session == sent.session
                && at - row.stamp.at < SESSION_WINDOW
        })
    }

    /// Whether the seat that `sent` is about is held: the last word about it was its granting.
    fn holds(&self, sent: &Sending) -> bool {
        let seat = |sending: &Sending| sending.key.as_ref().map(|key| key.to_lowercase());
        let about_seats = |row: &&Row| {
            matches!(row.sent.event_type, "seat_added" | "seat_removed")
                && seat(&row.sent) == seat(sent)
        };
        self.rows.iter().rfind(about_seats).is_some_and(|row| row.sent.event_type == "seat_added")
    }

    fn is_full(&self, sent: &Sending, month: &str) -> bool {
        match moves(sent.event_type) {
            Some((meter, 1)) => {
                self.limit(meter).is_some_and(|limit| self.used(meter, month) >= limit)
            }
            _ => false,
        }
    }

    /// Logs the blocked event of a refused export or seat, unless that was logged before.
    fn log_refusal(&mut self, sent: &Sending, stamp: &Stamp) {
        let (event_type, logged, refused_id) = match sent.event_type {
            "export_success" if sent.session.is_some() => {
                ("export_blocked", self.seen("export_blocked", sent, stamp.at), None)
            }
            "export_success" => {
                let same = |row: &Row| {
                    row.sent.event_type == "export_blocked"
                        && row.sent.session.is_none()
                        && row.sent.key == sent.key
                };
                ("export_blocked", self.rows.iter().any(same), None)
            }
            "seat_added" => {
                let same = |row: &Row| row.refused_id == sent.id;
                let logged = sent.id.is_some() && self.rows.iter().any(same);
                ("invite_attempt_blocked", logged, sent.id.clone())
            }
            _ => return,
        };
        if !logged {
            let blocked = Sending { event_type, id: None, ..sent.clone() };
            self.record(blocked, stamp.clone(), refused_id);
        }
    }

    fn record(&mut self, sent: Sending, stamp: Stamp, refused_id: Option<String>) -> Stamp {
        self.rows.push(Row { sent, stamp: stamp.clone(), refused_id });
        stamp
    }

    fn limit(&self, meter: &str) -> Option<i64> {
        if let Some((_, own)) = self.own_limits.iter().find(|(name, _)| *name == meter) {
            return *own;
        }
        let place = METERS.iter().position(|name| *name == meter).expect("a meter");
        plan_limits(self.plan).expect("a plan")[place]
    }

    /// Units used in the month. Seats do not vanish at midnight: every one until then counts.
    fn used(&self, meter: &str, month: &str) -> i64 {
        let counts = |row: &&Row| {
            row.stamp.month == month
                || (meter == "active_users" && row.stamp.month.as_str() < month)
        };
        let moved = self.rows.iter().filter(counts).filter_map(|row| moves(row.sent.event_type));
        moved.filter(|(name, _)| *name == meter).map(|(_, step)| step).sum()
    }

    fn quota(&self, meter: &str, month: &str) -> Quota {
        let (used, limit) = (self.used(meter, month), self.limit(meter));
        Quota { name: meter.to_owned(), used, limit, resets_at: self.end_of(month) }
    }

    fn usage(&self, now: DateTime<Utc>) -> Part {
        let Stamp { month, .. } = self.stamp(now);
        let quotas = METERS.map(|meter| self.quota(meter, &month)).to_vec();
        Part { said: month, stamp: None, quotas }
    }

    /// The first midnight of the next month.
    fn end_of(&self, month: &str) -> DateTime<Utc> {
        let first: NaiveDate = format!("{month}-01").parse().expect("a day");
        let mut days = first.iter_days();
        let next = days.find(|day| day.month() != first.month()).expect("another month");
        let midnight = self.zone.from_local_datetime(&next.and_time(NaiveTime::MIN));
        midnight.earliest().expect("a midnight").with_timezone(&Utc)
    }

    fn totals(&self, month: &str) -> Totals {
        let mut events = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.stamp.month == month) {
            *events.entry(row.sent.event_type.to_owned()).or_insert(0) += 1;
        }
        Totals { used: METERS.map(|meter| self.used(meter, month)), events }
    }
}
