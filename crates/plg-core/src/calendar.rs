//! A hotel's own calendar: which month and which day it is there.
//!
//! Both are decided once, when an event is recorded, and stored with it.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Earliest and latest year a [`Month`] may name.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=9998;

/// A calendar month, ordered by time. Stored as the number `YYYYMM`, written as `YYYY-MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month(i32);

/// The text or number is not a month between 2000-01 and 9998-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a month written YYYY-MM, for example 2026-11")]
pub struct MonthError;

impl Month {
    /// The month `month` (1 to 12) of `year`.
    ///
    /// # Errors
    /// Outside 2000-01 to 9998-12.
    pub fn new(year: i32, month: u32) -> Result<Self, MonthError> {
        match i32::try_from(month) {
            Ok(m @ 1..=12) if YEARS.contains(&year) => Ok(Self(year * 100 + m)),
            _ => Err(MonthError),
        }
    }

    /// From the stored number, `YYYYMM`.
    ///
    /// # Errors
    /// When the number is no month.
    pub fn from_number(number: i32) -> Result<Self, MonthError> {
        let month = u32::try_from(number.rem_euclid(100)).map_err(|_| MonthError)?;
        Self::new(number.div_euclid(100), month)
    }

    /// The stored number, `YYYYMM`.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The month after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 % 100 == 12 { Self(self.0 + 89) } else { Self(self.0 + 1) }
    }

    /// The month before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        if self.0 % 100 == 1 { Self(self.0 - 89) } else { Self(self.0 - 1) }
    }

    fn of_date(date: NaiveDate) -> Self {
        // Clocks outside the range of years are a broken machine; the nearest month keeps order.
        let year = date.year().clamp(*YEARS.start(), *YEARS.end());
        Self(year * 100 + i32::try_from(date.month()).unwrap_or(1))
    }

    fn first_day(self) -> NaiveDate {
        let month = u32::try_from(self.0 % 100).unwrap_or(1);
        NaiveDate::from_ymd_opt(self.0 / 100, month, 1).unwrap_or_default()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 100, self.0 % 100)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        match text.split_once('-') {
            Some((year, month))
                if year.len() == 4 && month.len() == 2 && digits(year) && digits(month) =>
            {
                let year = year.parse().map_err(|_| MonthError)?;
                Self::new(year, month.parse().map_err(|_| MonthError)?)
            }
            _ => Err(MonthError),
        }
    }
}

impl Serialize for Month {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

/// An IANA time zone, for example `Europe/Vienna`. The default is UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeZone(Tz);

/// The text names no IANA time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an IANA time zone, for example Europe/Vienna or UTC, in this spelling")]
pub struct TimeZoneError;

impl Default for TimeZone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl FromStr for TimeZone {
    type Err = TimeZoneError;

    fn from_str(text: &str) -> Result<Self, TimeZoneError> {
        text.parse().map(Self).map_err(|_| TimeZoneError)
    }
}

impl TimeZone {
    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// The calendar day at this instant.
    #[must_use]
    pub fn day_of(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.0).date_naive()
    }

    /// The calendar month at this instant.
    #[must_use]
    pub fn month_of(&self, at: DateTime<Utc>) -> Month {
        Month::of_date(self.day_of(at))
    }

    /// The first instant of the month after `month`: when its quotas reset.
    #[must_use]
    pub fn end_of(&self, month: Month) -> DateTime<Utc> {
        self.first_instant(month.next().first_day())
    }

    /// Midnight is missing on days when the clocks jump over it, and happens twice on others.
    fn first_instant(&self, day: NaiveDate) -> DateTime<Utc> {
        // No zone ever skipped more than a day at once.
        const STEP: TimeDelta = TimeDelta::minutes(15);
        let midnight = day.and_time(NaiveTime::MIN);
        let last = day.checked_add_days(Days::new(2)).unwrap_or(day).and_time(NaiveTime::MIN);
        let mut local = midnight;
        while local < last {
            if let Some(at) = self.0.from_local_datetime(&local).earliest() {
                return at.with_timezone(&Utc);
            }
            local += STEP;
        }
        Utc.from_utc_datetime(&midnight)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Serialize for TimeZone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        name.parse().unwrap()
    }

    #[test]
    fn months_parse_print_and_step() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(month.number(), 202_612);
        assert_eq!(month.next().to_string(), "2027-01");
        assert_eq!(month.next().previous(), month);
        assert_eq!(Month::from_number(202_612), Ok(month));
        for bad in ["2026-13", "2026-00", "26-01", "2026-1", "2026/01", "2026-01-01", "+026-01", ""]
        {
            assert_eq!(bad.parse::<Month>(), Err(MonthError), "{bad}");
        }
        assert!(Month::from_number(-1).is_err());
    }

    #[test]
    fn a_hotel_lives_in_its_own_month() {
        let last_second_utc = at("2026-10-31T23:59:59Z");
        assert_eq!(TimeZone::default().month_of(last_second_utc).to_string(), "2026-10");
        assert_eq!(zone("Asia/Tokyo").month_of(last_second_utc).to_string(), "2026-11");
        assert_eq!(
            zone("Pacific/Honolulu").month_of(at("2026-11-01T09:00:00Z")).to_string(),
            "2026-10"
        );
    }

    #[test]
    fn quotas_reset_at_local_midnight() {
        let october: Month = "2026-10".parse().unwrap();
        assert_eq!(zone("Europe/Vienna").end_of(october), at("2026-10-31T23:00:00Z"));
        assert_eq!(zone("Europe/Vienna").end_of(october.previous()), at("2026-09-30T22:00:00Z"));
        // Asuncion jumped over midnight of 1 October 2023: that month began at 01:00 local time.
        let september: Month = "2023-09".parse().unwrap();
        assert_eq!(zone("America/Asuncion").end_of(september), at("2023-10-01T04:00:00Z"));
        // Havana has the midnight of 1 November 2026 twice: November begins with the first.
        assert_eq!(zone("America/Havana").end_of(october), at("2026-11-01T04:00:00Z"));
    }

    #[test]
    fn days_of_23_and_25_hours() {
        let vienna = zone("Europe/Vienna");
        let hours = |day: &str| {
            let day: NaiveDate = day.parse().unwrap();
            let next = day.succ_opt().unwrap();
            (vienna.first_instant(next) - vienna.first_instant(day)).num_hours()
        };
        assert_eq!(hours("2026-03-29"), 23);
        assert_eq!(hours("2026-10-25"), 25);
        assert_eq!(hours("2026-10-26"), 24);
    }
}
