//! Forgetting what is old: events of months that are reconciled, and dedup state that can refuse
//! nothing any more. Counters, corrections and runs stay.

use crate::arguments::Retain;
use crate::chunk::now;
use crate::connections::Connections;
use chrono::{Months, TimeDelta};
use plg_core::calendar::{Month, TimeZone};
use plg_service::Clock;
use plg_store::{StoreError, retention};
use serde::Serialize;

/// Somewhere on earth it is still the month that it was so long ago in UTC.
const LAST_ZONE: TimeDelta = TimeDelta::hours(12);

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Events of months before this one are gone.
    pub dropped_before: Month,
    /// Months of events dropped now (PostgreSQL).
    pub months: u64,
    /// Events deleted now (SQLite).
    pub events: u64,
    /// Session windows and daily caps removed.
    pub windows: u64,
    /// Jobs, exports and event ids that may count again.
    pub gates: u64,
}

/// Why nothing, or not everything, was forgotten.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// Their events are the only proof of their counters.
    #[error(
        "{hotel_months} hotel-months before {before} are not reconciled: run `rollup-worker` first, \
         then again"
    )]
    Unreconciled {
        /// How many.
        hotel_months: i64,
        /// Months before this one were to be dropped.
        before: Month,
    },
    /// The database did not play along. What was forgotten is; the next run goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Forgets what is older than `keep` says.
///
/// # Errors
/// When something that would be dropped is not reconciled, or the database fails.
pub async fn retain(
    db: &Connections,
    keep: &Retain,
    clock: &dyn Clock,
) -> Result<Forgotten, RetainError> {
    let now = now(clock);
    let mut before = TimeZone::default().month_of(now - LAST_ZONE);
    for _ in 1..keep.months {
        before = before.previous();
    }
    let hotel_months = retention::unreconciled_before(&db.search, before).await?;
    if hotel_months > 0 {
        return Err(RetainError::Unreconciled { hotel_months, before });
    }
    let dropped = retention::drop_events_before(&db.search, before, now).await?;
    let horizon = now.checked_sub_months(Months::new(keep.gate_months)).unwrap_or_default();
    Ok(Forgotten {
        dropped_before: before,
        months: dropped.months,
        events: dropped.events,
        windows: retention::prune_windows(&db.search, now).await?,
        gates: retention::prune_gates(&db.search, horizon).await?,
    })
}

/// For people.
#[must_use]
pub fn summary(forgotten: &Forgotten) -> String {
    let Forgotten { dropped_before, months, events, windows, gates } = forgotten;
    let what = if *events > 0 { format!("{events} events") } else { format!("{months} months") };
    format!(
        "kept the events since {dropped_before}: dropped {what}, {windows} session windows and \
         daily caps, {gates} dedup keys"
    )
}
