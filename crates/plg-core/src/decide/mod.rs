//! A batch of commands against a snapshot: what happens, what to write, what to answer.
//!
//! The caller holds the lock of every hotel in the batch, and goes through three steps:
//!
//! 1. [`Batch::new`] with the locked [`HotelState`]s, in which `needs` says what else to fetch;
//! 2. fetch it into a [`Snapshot`];
//! 3. [`Batch::decide`], and write the [`Decision`] in the same transaction.
//!
//! Or the caller holds no lock, and remembers the hotels: [`Batch::suppose`] decides by gates that were read since, and
//! [`Batch::suppose_new`] as if nobody had sent any of it before. Both hold if the hotels are found as they were
//! remembered when they are written.
//!
//! Commands take effect in their order, exactly as if each had come alone: a copy, a full quota
//! and a seat given up are seen by the commands behind them in the same batch.

mod needs;
mod work;

use crate::calendar::{Month, TimeZone};
use crate::catalogue::Counter;
use crate::event::{Command, RecordedEvent};
use crate::gate::{Gate, GateKey, GateKind, GateState};
use crate::ids::{HotelId, SeatUserId, UserId};
use crate::plan::Limits;
use crate::quota::{Counters, PerCounter, Quota};
use chrono::{DateTime, NaiveDate, Utc};
use needs::needs;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use work::Work;

/// A hotel's open month, locked by the caller, or remembered ([`Batch::suppose`]).
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

impl HotelState {
    /// The time here at the instant `now`: it never runs backwards, whatever the clocks say.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.last_recorded_at.map_or(now, |last| last.max(now))
    }

    /// The month that has to be open at the instant `now`.
    #[must_use]
    pub fn month_at(&self, now: DateTime<Utc>) -> Month {
        self.month.max(self.time_zone.month_of(self.at(now)))
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(rename_all = "snake_case"))]
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

impl Serialize for Outcome {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Outcome {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::SuppressedSession => "suppressed_session",
            Self::SuppressedDailyCap => "suppressed_daily_cap",
            Self::QuotaExceeded => "quota_exceeded",
        }
    }
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
    /// needs. In key order.
    pub claim: Vec<Gate>,
    /// Read these gates. In key order; none is in `claim`.
    pub read: Vec<Gate>,
    /// Say which of these seats are held. In order.
    pub seats: Vec<(HotelId, SeatUserId)>,
    /// A quota may refuse some of the commands.
    pub(crate) may_be_refused: bool,
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// One for each command, in the commands' order.
    pub answers: Vec<Answer>,
    /// Append these to the log.
    pub events: Vec<Arc<RecordedEvent>>,
    /// Set these hotels' counters, `last_seq` and `last_recorded_at`. Only those that changed, but for [`Batch::suppose`].
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
    /// It has to be written.
    changed: bool,
}

impl Hotel {
    fn new(state: HotelState, now: DateTime<Utc>) -> Self {
        let at = state.at(now);
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

    /// Whether all of it is recorded, but for copies, if none of it was sent before: no window stands before it, and no
    /// quota.
    #[must_use]
    pub fn may_all_be_new(&self) -> bool {
        let is_once = |gate: &Gate| gate.kind == GateKind::Once;
        !self.needs.may_be_refused && self.needs.read.iter().all(is_once)
    }

    /// Every gate that may stand before the commands.
    #[must_use]
    pub fn gates(&self) -> Vec<Gate> {
        self.needs.claim.iter().chain(&self.needs.read).copied().collect()
    }

    /// Decides by hotels that are remembered and not locked, where no command is [about a
    /// seat](Command::is_about_a_seat). `gates` are those of [`gates`](Self::gates) that existed at some later time.
    ///
    /// The decision holds if each of its hotels, which are all of the batch's, is found as it was remembered when it is
    /// written: whatever passes a gate is recorded, and so writes its hotel.
    ///
    /// # Errors
    /// As [`Batch::decide`].
    pub fn suppose(mut self, gates: HashMap<GateKey, GateState>) -> Result<Decision, NotLocked> {
        let claim = std::mem::take(&mut self.needs.claim);
        self.needs.read.extend(claim);
        for hotel in self.hotels.values_mut() {
            hotel.changed = true;
        }
        self.decide(Snapshot { gates, ..Snapshot::default() })
    }

    /// Decides as [`suppose`](Self::suppose) does, and as if no gate existed: where
    /// [`may_all_be_new`](Self::may_all_be_new). The decision holds only if all of its gates are absent, and are inserted
    /// with it. They close for ever. Whatever passes none is a copy in the batch itself, whoever else may have sent it.
    ///
    /// # Errors
    /// As [`Batch::decide`].
    pub fn suppose_new(self) -> Result<Decision, NotLocked> {
        self.suppose(HashMap::new())
    }
}

/// The counters with which a month opens, given the balance of the one before it.
#[must_use]
pub fn opening(previous: &Counters) -> Counters {
    PerCounter::from_fn(|counter| if counter.carries_over() { previous[counter] } else { 0 })
}
