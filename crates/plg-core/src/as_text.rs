//! Instants and days as JSON and the log write them, each as one text.
//!
//! chrono's own hand over one digit after the other, and each is looked at for what JSON would have to escape: that took
//! ten times as many instructions.

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};
use serde::Serializer;

/// Nanoseconds of a second; a leap second has more.
const SECOND: u32 = 1_000_000_000;

/// An instant as RFC 3339 writes it, in UTC, with 0, 3, 6 or 9 digits of a second.
///
/// # Errors
/// The serializer's.
pub fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    let nanos = at.nanosecond();
    let digits = match nanos {
        0 | SECOND => 0,
        _ if nanos.is_multiple_of(1_000_000) => 3,
        _ if nanos.is_multiple_of(1_000) => 6,
        _ => 9,
    };
    serializer.serialize_str(&rfc3339(at, digits))
}

/// An instant as RFC 3339 writes it, in UTC, with so many digits of a second, 9 at the most. A leap second is the 60th.
#[must_use]
pub fn rfc3339(at: &DateTime<Utc>, digits: u32) -> String {
    let mut text = String::with_capacity("2026-11-30T09:11:00.562751123Z".len());
    push_day(&mut text, at.date_naive());
    let (second, nanos) = match at.nanosecond() {
        nanos @ SECOND.. => (at.second() + 1, nanos - SECOND),
        nanos => (at.second(), nanos),
    };
    for (before, number) in [('T', at.hour()), (':', at.minute()), (':', second)] {
        text.push(before);
        push(&mut text, number, 2);
    }
    if digits > 0 {
        text.push('.');
        push(&mut text, nanos / 10_u32.pow(9 - digits), digits);
    }
    text.push('Z');
    text
}

/// A day, `YYYY-MM-DD`.
///
/// # Errors
/// The serializer's.
pub fn day<S: Serializer>(day: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity("2026-11-30".len());
    push_day(&mut text, *day);
    serializer.serialize_str(&text)
}

fn push_day(text: &mut String, day: NaiveDate) {
    match u32::try_from(day.year()) {
        Ok(year @ 0..=9_999) => push(text, year, 4),
        // As chrono writes it, with its sign.
        _ => text.push_str(&format!("{:+05}", day.year())),
    }
    for number in [day.month(), day.day()] {
        text.push('-');
        push(text, number, 2);
    }
}

/// A number with so many digits, zeros in front.
fn push(text: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::SecondsFormat;
    use proptest::prelude::*;
    use serde_json::value::Serializer as ToValue;

    proptest! {
        /// Clients were told so, and what is in their logs has to be found again.
        #[test]
        fn all_is_written_as_chrono_writes_it(
            seconds in -99_999_999_999_i64..299_999_999_999,
            part in 0_u32..1_000,
            unit in prop::sample::select(vec![1_u32, 1_000, 1_000_000]),
            is_leap in any::<bool>(),
        ) {
            // A leap second is the last of its minute.
            let second = if is_leap { seconds - seconds.rem_euclid(60) + 59 } else { seconds };
            let nanos = part * unit + if is_leap { SECOND } else { 0 };
            let at = DateTime::from_timestamp(second, nanos).unwrap();
            let day_of_it = at.date_naive();
            prop_assert_eq!(instant(&at, ToValue).unwrap(), serde_json::json!(at));
            prop_assert_eq!(day(&day_of_it, ToValue).unwrap(), serde_json::json!(day_of_it));
            prop_assert_eq!(rfc3339(&at, 6), at.to_rfc3339_opts(SecondsFormat::Micros, true));
        }
    }
}
