//! What the system promises about recording, in the most naive way that can be written down.
//!
//! Commands are taken strictly one at a time, everything that was recorded lies in one `Vec`, and
//! every question is answered by searching it. There are no gates, no counters and no batches, so
//! nothing here can share a mistake with `plg_core::decide` or `plg_core::gate`.

pub(crate) mod catalogue;

use catalogue::{Meter, QUOTE_RUNS_A_DAY, Rule, SESSION_WINDOW, moves, rule};
use chrono::{DateTime, NaiveDate, Utc};
use plg_core::calendar::{Month, TimeZone};
use plg_core::catalogue::EventType;
use plg_core::event::{NewEvent, RecordedEvent};
use plg_core::ids::{DedupKey, EventId, HotelId, SeatUserId, UserId};
use std::collections::{BTreeMap, HashMap};

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Recorded,
    Duplicate,
    SeenInSession,
    DayIsFull,
    QuotaIsFull,
}

/// Units used of a cap; no cap is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) meter: Meter,
    pub(crate) used: i64,
    pub(crate) cap: Option<i64>,
    pub(crate) resets_at: DateTime<Utc>,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) said: Said,
    pub(crate) event: Option<RecordedEvent>,
    pub(crate) used: Option<Used>,
}

/// What a hotel is subject to when a command arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) zone: TimeZone,
    pub(crate) imports: Option<i64>,
    pub(crate) exports: Option<i64>,
    pub(crate) seats: Option<i64>,
}

impl Terms {
    fn cap(&self, meter: Meter) -> Option<i64> {
        match meter {
            Meter::Imports => self.imports,
            Meter::Exports => self.exports,
            Meter::Seats => self.seats,
        }
    }
}

/// A seat that is held: at which hotel, by whom, granted by whom, since when.
pub(crate) type Held = (HotelId, SeatUserId, UserId, DateTime<Utc>);

struct Row {
    event: RecordedEvent,
    /// The client's id of the sending whose refusal this row logs.
    refused_id: Option<EventId>,
}

/// When and where a command would be recorded.
#[derive(Clone, Copy)]
struct Stamp {
    at: DateTime<Utc>,
    day: NaiveDate,
    month: Month,
}

/// Everything that was ever recorded, and each hotel's open month.
#[derive(Default)]
pub(crate) struct Model {
    rows: Vec<Row>,
    open: HashMap<HotelId, Month>,
}

impl Model {
    /// One command at the instant `now`.
    pub(crate) fn send(&mut self, now: DateTime<Utc>, terms: &Terms, sent: &NewEvent) -> Told {
        let mut sent = sent.clone();
        if matches!(sent.event_type, EventType::SeatAdded | EventType::SeatRemoved) {
            let seat = seat(sent.dedup_key.as_ref());
            sent.dedup_key = Some(DedupKey::parse(seat.0.hyphenated().to_string()).unwrap());
        }
        let sent = &sent;
        let stamp = self.stamp(now, terms, sent.hotel_id);
        let said = if let Some(repetition) = self.repetition(sent, &stamp) {
            repetition
        } else if self.is_full(terms, sent, stamp.month) {
            Said::QuotaIsFull
        } else {
            Said::Recorded
        };
        let mut event = None;
        match said {
            Said::Recorded => event = Some(self.record(sent.clone(), &stamp, None)),
            Said::QuotaIsFull => self.log_refusal(sent, &stamp),
            _ => {}
        }
        let used = moves(sent.event_type).map(|(meter, _)| Used {
            meter,
            used: self.used(sent.hotel_id, meter, stamp.month),
            cap: terms.cap(meter),
            resets_at: terms.zone.end_of(stamp.month),
        });
        Told { said, event, used }
    }

    /// The hotel's month that is open now.
    pub(crate) fn month(&self, hotel_id: HotelId) -> Option<Month> {
        self.open.get(&hotel_id).copied()
    }

    /// Units used in the month. Seats do not vanish at midnight: every one since ever counts.
    pub(crate) fn used(&self, hotel_id: HotelId, meter: Meter, month: Month) -> i64 {
        self.events(hotel_id)
            .filter(|event| meter == Meter::Seats || event.month == month)
            .filter_map(|event| moves(event.event_type))
            .filter_map(|(moved, step)| (moved == meter).then_some(step))
            .sum()
    }

    /// The seats held, in order.
    pub(crate) fn held(&self) -> Vec<Held> {
        let mut held = BTreeMap::new();
        for Row { event, .. } in &self.rows {
            let key = || (event.hotel_id, seat(event.dedup_key.as_ref()));
            match event.event_type {
                EventType::SeatAdded => {
                    held.insert(key(), (event.user_id, event.recorded_at));
                }
                EventType::SeatRemoved => {
                    held.remove(&key());
                }
                _ => {}
            }
        }
        held.into_iter().map(|((hotel, seat), (by, at))| (hotel, seat, by, at)).collect()
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The events recorded after the first `len`, in order.
    pub(crate) fn since(&self, len: usize) -> impl Iterator<Item = &RecordedEvent> {
        self.rows.iter().skip(len).map(|row| &row.event)
    }

    fn events(&self, hotel_id: HotelId) -> impl Iterator<Item = &RecordedEvent> {
        let mine = move |row: &&Row| row.event.hotel_id == hotel_id;
        self.rows.iter().filter(mine).map(|row| &row.event)
    }

    fn stamp(&mut self, now: DateTime<Utc>, terms: &Terms, hotel_id: HotelId) -> Stamp {
        let at = self.events(hotel_id).map(|event| event.recorded_at).fold(now, Ord::max);
        let today = terms.zone.month_of(at);
        let open = self.open.entry(hotel_id).or_insert(today);
        *open = today.max(*open);
        let month = *open;
        Stamp { at, day: terms.zone.day_of(at), month }
    }

    fn repetition(&self, sent: &NewEvent, stamp: &Stamp) -> Option<Said> {
        let mut mine = self.events(sent.hotel_id);
        if sent.event_id.is_some() && mine.any(|event| event.event_id == sent.event_id) {
            return Some(Said::Duplicate);
        }
        let alike =
            || self.events(sent.hotel_id).filter(|event| event.event_type == sent.event_type);
        let (repeated, said) = match rule(sent.event_type) {
            Rule::OncePerKey => {
                (alike().any(|event| event.dedup_key == sent.dedup_key), Said::Duplicate)
            }
            Rule::WhileFree => (self.holds(sent), Said::Duplicate),
            Rule::WhileHeld => (!self.holds(sent), Said::Duplicate),
            Rule::OncePerSession => {
                (self.seen(sent.event_type, sent, stamp.at), Said::SeenInSession)
            }
            Rule::EachSending => (false, Said::Recorded),
            Rule::SomePerDay => (
                alike().filter(|event| event.day == stamp.day).count() >= QUOTE_RUNS_A_DAY,
                Said::DayIsFull,
            ),
        };
        repeated.then_some(said)
    }

    /// Whether an event of this type was recorded lately in the session of `sent`.
    fn seen(&self, event_type: EventType, sent: &NewEvent, at: DateTime<Utc>) -> bool {
        self.events(sent.hotel_id).any(|event| {
            event.event_type == event_type
                && event.session_id == sent.session_id
                && at - event.recorded_at < SESSION_WINDOW
        })
    }

    /// Whether the seat that `sent` is about is held: the last word about it was its granting.
    fn holds(&self, sent: &NewEvent) -> bool {
        let wanted = seat(sent.dedup_key.as_ref());
        self.events(sent.hotel_id)
            .filter(|event| {
                matches!(event.event_type, EventType::SeatAdded | EventType::SeatRemoved)
                    && seat(event.dedup_key.as_ref()) == wanted
            })
            .last()
            .is_some_and(|event| event.event_type == EventType::SeatAdded)
    }

    fn is_full(&self, terms: &Terms, sent: &NewEvent, month: Month) -> bool {
        match moves(sent.event_type) {
            Some((meter, 1)) => {
                terms.cap(meter).is_some_and(|cap| self.used(sent.hotel_id, meter, month) + 1 > cap)
            }
            _ => false,
        }
    }

    /// Logs the blocked event of a refused export or seat, unless that was logged before.
    fn log_refusal(&mut self, sent: &NewEvent, stamp: &Stamp) {
        let (event_type, logged, refused_id) = match sent.event_type {
            EventType::ExportSuccess if sent.session_id.is_some() => {
                let logged = self.seen(EventType::ExportBlocked, sent, stamp.at);
                (EventType::ExportBlocked, logged, None)
            }
            EventType::ExportSuccess => {
                let logged = self.events(sent.hotel_id).any(|event| {
                    event.event_type == EventType::ExportBlocked
                        && event.session_id.is_none()
                        && event.dedup_key == sent.dedup_key
                });
                (EventType::ExportBlocked, logged, None)
            }
            EventType::SeatAdded => {
                let logged = sent.event_id.is_some()
                    && self.rows.iter().any(|row| {
                        row.event.hotel_id == sent.hotel_id && row.refused_id == sent.event_id
                    });
                (EventType::InviteAttemptBlocked, logged, sent.event_id.clone())
            }
            _ => return,
        };
        if !logged {
            let blocked = NewEvent { event_type, event_id: None, event_data: None, ..sent.clone() };
            self.record(blocked, stamp, refused_id);
        }
    }

    fn record(
        &mut self,
        new: NewEvent,
        stamp: &Stamp,
        refused_id: Option<EventId>,
    ) -> RecordedEvent {
        let in_month = self.events(new.hotel_id).filter(|event| event.month == stamp.month);
        let event = RecordedEvent {
            seq: i64::try_from(in_month.count()).unwrap() + 1,
            event_type: new.event_type,
            hotel_id: new.hotel_id,
            user_id: new.user_id,
            session_id: new.session_id,
            event_id: new.event_id,
            dedup_key: new.dedup_key,
            event_data: new.event_data,
            month: stamp.month,
            day: stamp.day,
            recorded_at: stamp.at,
        };
        self.rows.push(Row { event: event.clone(), refused_id });
        event
    }
}

/// A seat is its user, however the UUID was written.
fn seat(key: Option<&DedupKey>) -> SeatUserId {
    key.unwrap().as_str().parse().unwrap()
}
