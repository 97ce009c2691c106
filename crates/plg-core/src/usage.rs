//! What a hotel's counters say in a month that has a row, and in one that has none.
//!
//! A month gets its row with its first event. Until then it reads as it will be opened: nothing
//! used, the seats carried over.

use crate::calendar::{Month, TimeZone};
use crate::decide::opening;
use crate::plan::Limits;
use crate::quota::Counters;
use chrono::{DateTime, Utc};

/// A hotel-month as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthUsage {
    /// Which month.
    pub month: Month,
    /// The counters.
    pub counters: Counters,
    /// When a reconciliation last verified it.
    pub last_rollup_at: Option<DateTime<Utc>>,
    /// The limits with which it ended, where that is noted: those of today apply as long as a month is open.
    pub limits: Option<Limits>,
}

impl MonthUsage {
    fn unused(month: Month, previous: Option<&Self>) -> Self {
        let counters = previous.map_or_else(Counters::default, |p| opening(&p.counters));
        // They have not changed since: a month is closed before they do.
        let limits = previous.and_then(|p| p.limits);
        Self { month, counters, last_rollup_at: None, limits }
    }
}

/// The month that a hotel is in, given the one that is open in the database.
#[must_use]
pub fn current(open: Option<MonthUsage>, time_zone: TimeZone, now: DateTime<Utc>) -> MonthUsage {
    let today = time_zone.month_of(now);
    match open {
        Some(open) if open.month >= today => open,
        open => MonthUsage::unused(today, open.as_ref()),
    }
}

/// A certain month, given the newest row up to it.
#[must_use]
pub fn in_month(month: Month, newest_until: Option<MonthUsage>) -> MonthUsage {
    match newest_until {
        Some(row) if row.month == month => row,
        row => MonthUsage::unused(month, row.as_ref()),
    }
}

/// The months from `current` back to the first row, at most `count`, newest first. `rows` are the
/// hotel's rows before `current`, newest first; months between them read as unused.
#[must_use]
pub fn history(current: MonthUsage, rows: &[MonthUsage], count: usize) -> Vec<MonthUsage> {
    let mut months = vec![current];
    let mut older = rows.iter().filter(|row| row.month < current.month).peekable();
    let mut month = current.month;
    while months.len() < count && older.peek().is_some() {
        month = month.previous();
        months.push(in_month(
            month,
            older.next_if(|r| r.month == month).or(older.peek().copied()).copied(),
        ));
    }
    months
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Limit;

    fn row(month: &str, imports: i64, active_users: i64) -> MonthUsage {
        let counters = Counters { imports, exports: 0, active_users };
        let month = month.parse().unwrap();
        MonthUsage { month, counters, last_rollup_at: None, limits: None }
    }

    #[test]
    fn a_month_without_events_keeps_the_seats() {
        let zone = TimeZone::default();
        let open = row("2026-10", 3, 2);
        let now = "2026-12-01T00:00:00Z".parse().unwrap();
        assert_eq!(current(Some(open), zone, now), row("2026-12", 0, 2));
        // A clock behind the database reads the month that is open.
        let now = "2026-09-30T23:59:59Z".parse().unwrap();
        assert_eq!(current(Some(open), zone, now), open);
        assert_eq!(current(None, zone, now), row("2026-09", 0, 0));
    }

    #[test]
    fn months_between_have_the_limits_of_the_one_before() {
        let ended_with = |imports| Limits {
            imports: Limit::AtMost(imports),
            exports: Limit::Unlimited,
            active_users: Limit::AtMost(0),
        };
        let closed =
            |month, imports| MonthUsage { limits: Some(ended_with(imports)), ..row(month, 1, 0) };
        let rows = [row("2026-12", 1, 0), closed("2026-10", 5), closed("2026-08", 3)];
        let limits: Vec<_> = history(rows[0], &rows, 12).iter().map(|month| month.limits).collect();
        let (five, three) = (Some(ended_with(5)), Some(ended_with(3)));
        assert_eq!(limits, [None, five, five, three, three]);
        assert_eq!(in_month("2026-11".parse().unwrap(), Some(rows[1])).limits, five);
        assert_eq!(in_month("2026-07".parse().unwrap(), None).limits, None);
    }

    #[test]
    fn history_fills_the_gaps_and_ends_at_the_first_row() {
        let rows = [row("2026-10", 3, 2), row("2026-07", 1, 1)];
        let all = [
            row("2026-11", 0, 2),
            row("2026-10", 3, 2),
            row("2026-09", 0, 1),
            row("2026-08", 0, 1),
            row("2026-07", 1, 1),
        ];
        assert_eq!(history(all[0], &rows, 12), all);
        assert_eq!(history(all[0], &rows, 2), all[..2]);
        assert_eq!(history(all[1], &rows, 12), all[1..]);
    }
}
