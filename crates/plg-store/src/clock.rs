//! The clock of the database's server. Nothing takes its time from there: it shows whether ours is wrong.

use crate::connect::is_postgres;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbErr, Statement};

/// What two clocks said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// This machine's.
    here: DateTime<Utc>,
    /// The database's.
    there: DateTime<Utc>,
    /// How far this machine's is ahead, at least.
    ahead: TimeDelta,
}

/// This machine's clock is too far ahead of the database's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock says {here}, the database's {there}: mend the one that is wrong \
     (database.clock_tolerance_seconds says how far they may be apart)"
)]
pub struct ClockAhead {
    /// What it says.
    pub here: DateTime<Utc>,
    /// What the database's says.
    pub there: DateTime<Utc>,
}

impl Comparison {
    /// The database's clock was read between two looks at ours: a slow answer is no wrong clock.
    fn new(asked_at: DateTime<Utc>, there: DateTime<Utc>, answered_at: DateTime<Utc>) -> Self {
        let ahead = if there < asked_at {
            asked_at - there
        } else {
            (answered_at - there).min(TimeDelta::zero())
        };
        Self { here: answered_at, there, ahead }
    }

    /// How far this machine's clock is ahead, or behind (negative), at least.
    #[must_use]
    pub const fn ahead(&self) -> TimeDelta {
        self.ahead
    }

    /// A clock that is ahead opens months, and forgets events, before their time. One that is behind does no harm.
    ///
    /// # Errors
    /// When it is further ahead than this.
    pub fn ensure_not_ahead(&self, tolerance: TimeDelta) -> Result<(), ClockAhead> {
        if self.ahead <= tolerance {
            return Ok(());
        }
        Err(ClockAhead { here: self.here.trunc_subsecs(0), there: self.there.trunc_subsecs(0) })
    }
}

/// Asks the database for its time. That of a SQLite file is this machine's: there is nothing to compare.
///
/// # Errors
/// When the database cannot be read.
pub async fn compare(
    db: &impl ConnectionTrait,
    now: impl Fn() -> DateTime<Utc>,
) -> Result<Option<Comparison>, DbErr> {
    if !is_postgres(db) {
        return Ok(None);
    }
    let question = "select clock_timestamp() as now";
    let question = Statement::from_string(db.get_database_backend(), question);
    let asked_at = now();
    let Some(row) = db.query_one_raw(question).await? else { return Ok(None) };
    Ok(Some(Comparison::new(asked_at, row.try_get("", "now")?, now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(there: i64) -> Comparison {
        let at = |seconds| DateTime::from_timestamp(1_000 + seconds, 0).unwrap();
        Comparison::new(at(0), at(there), at(9))
    }

    #[test]
    fn a_slow_answer_is_no_difference() {
        let ahead = [-5, 0, 4, 9, 11].map(|there| compared(there).ahead().num_seconds());
        assert_eq!(ahead, [5, 0, 0, 0, -2]);
    }

    #[test]
    fn ahead_is_refused_and_behind_is_not() {
        let tolerance = TimeDelta::seconds(5);
        assert_eq!(compared(-5).ensure_not_ahead(tolerance), Ok(()));
        assert_eq!(compared(5_000).ensure_not_ahead(tolerance), Ok(()));
        let refused = compared(-6).ensure_not_ahead(tolerance).unwrap_err().to_string();
        let times = "says 1970-01-01 00:16:49 UTC, the database's 1970-01-01 00:16:34 UTC";
        assert!(refused.contains(times), "{refused}");
    }
}
