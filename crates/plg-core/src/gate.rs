//! Gates: the remembered state of a dedup rule, one per hotel and key.
//!
//! A gate changes only when an event is recorded. So a repetition, a suppressed event and a
//! refused action leave no trace, and the same sending may be tried again.

use crate::catalogue::SESSION_WINDOW;
use crate::ids::{HotelId, UserId};
use chrono::{DateTime, NaiveDate, Utc};
use fnv::FnvHasher;
use sha1::{Digest as _, Sha1};
use std::fmt::{Display, Write as _};
use std::hash::Hasher as _;
use uuid::Uuid;

/// A gate's key: 56 bits of where it is kept, then 72 bits of a hash of hotel, rule and client's key.
///
/// So every key has one short, fixed width, and clients' keys that follow each other in time (numbers, `UUIDv7`s,
/// ULIDs) are kept side by side. A hash alone would put each at a random place of a table that remembers
/// for more than a year, and each would be a page read and written for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateKey(pub Uuid);

/// How a gate closes, and whether it opens again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateKind {
    /// Closed for ever by its first event.
    Once,
    /// Closed for [`SESSION_WINDOW`] after its last event.
    Session,
    /// Closed by the given number of events; its key holds the day.
    Day(i64),
}

/// The gate that an event has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Whose gate it is.
    pub hotel_id: HotelId,
    /// Its key.
    pub key: GateKey,
    /// Its rule.
    pub kind: GateKind,
}

/// What is stored of a gate that an event has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateState {
    /// When the last event passed.
    pub last_at: DateTime<Utc>,
    /// How many events have passed.
    pub passed: i64,
}

/// How much of a [`GateKey`] is hash: the end, of which two bits say that it comes from a UUID.
const HASH_BITS: u32 = 72;
const HASH: u128 = (1 << HASH_BITS) - 1;

/// Where a client's key is kept, in 56 bits: near its neighbours, if it begins with what counts up.
///
/// A UUID's first seven bytes, which are time in version 7. Otherwise 14 bits for all before the last separator,
/// and then the first seven letters or digits behind it, so that `job-1041` comes after `job-1040`.
fn place(key: &str) -> u64 {
    const UUID: usize = 36;
    let tail = key.len().checked_sub(UUID).and_then(|start| key.get(start..));
    if let Some(uuid) = tail.and_then(|tail| Uuid::try_parse(tail).ok()) {
        return uuid.as_u64_pair().0 >> 8;
    }
    let series = key.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
    let mut hash = FnvHasher::default();
    hash.write(series.as_bytes());
    let id = key[series.len()..].bytes().map(rank).chain(std::iter::repeat(0));
    id.take(7).fold(hash.finish() >> 50, |place, rank| place << 6 | rank)
}

/// A letter's or digit's place among them, in 6 bits; 0 is for none.
fn rank(byte: u8) -> u64 {
    u64::from(match byte {
        b'0'..=b'9' => byte - b'0' + 1,
        b'A'..=b'Z' => byte - b'A' + 11,
        _ => byte - b'a' + 37,
    })
}

/// A name in a namespace (RFC 9562, 5.5). `Uuid::new_v5` would hash without the processor's help, in five times as long.
fn uuid_v5(namespace: Uuid, name: &str) -> Uuid {
    let hash = Sha1::new().chain_update(namespace).chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

impl Gate {
    fn new(hotel_id: HotelId, kind: GateKind, rule: impl Display, key: impl Display) -> Self {
        let mut text = format!("{rule}/");
        let rule_ends = text.len();
        // Writing to a String cannot fail.
        let _ = write!(text, "{key}");
        let hash = uuid_v5(hotel_id.0, &text).as_u128();
        let place = u128::from(place(&text[rule_ends..])) << HASH_BITS;
        Self { hotel_id, key: GateKey(Uuid::from_u128(place | hash & HASH)), kind }
    }

    /// Of a client's own id of a sending, whatever its event type.
    #[must_use]
    pub fn of_sending(hotel_id: HotelId, id: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Once, "id", id)
    }

    /// Of the id of a sending that a user's browser has chosen.
    #[must_use]
    pub fn of_browser_sending(hotel_id: HotelId, user_id: UserId, id: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Once, format_args!("browser/{user_id}"), id)
    }

    /// Of the event that the service logs when it refuses the sending with this id.
    #[must_use]
    pub fn of_refusal(hotel_id: HotelId, id: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Once, "refused", id)
    }

    /// Of an event type's dedup key.
    #[must_use]
    pub fn of_key(hotel_id: HotelId, event_type: &str, key: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Once, format_args!("{event_type}/key"), key)
    }

    /// Of an event type in a session.
    #[must_use]
    pub fn of_session(hotel_id: HotelId, event_type: &str, session: impl Display) -> Self {
        Self::new(hotel_id, GateKind::Session, format_args!("{event_type}/session"), session)
    }

    /// Of an event type on a hotel-local day, for at most `max` events.
    #[must_use]
    pub fn of_day(hotel_id: HotelId, event_type: &str, day: NaiveDate, max: i64) -> Self {
        Self::new(hotel_id, GateKind::Day(max), format_args!("{event_type}/day"), day)
    }

    /// Whether an event at `now` may pass.
    #[must_use]
    pub fn is_open(&self, state: Option<GateState>, now: DateTime<Utc>) -> bool {
        match (self.kind, state) {
            (_, None) => true,
            (GateKind::Once, Some(_)) => false,
            (GateKind::Session, Some(state)) => now - state.last_at >= SESSION_WINDOW,
            (GateKind::Day(max), Some(state)) => state.passed < max,
        }
    }

    /// The state after an event passed at `now`.
    #[must_use]
    pub fn passed(state: Option<GateState>, now: DateTime<Utc>) -> GateState {
        GateState { last_at: now, passed: state.map_or(0, |state| state.passed) + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOTEL: HotelId = HotelId(Uuid::from_u128(7));

    fn of(key: &str) -> Uuid {
        Gate::of_key(HOTEL, "import_success", key).key.0
    }

    /// The first 56 bits.
    fn place_of(key: &str) -> u64 {
        of(key).as_u64_pair().0 >> 8
    }

    #[test]
    fn what_is_stored_is_found_again() {
        // A release that computed other keys would count every retry of an older event once more.
        for (key, stored) in [
            ("1041", "cbf02045-0800-00f6-8b2e-a9fe3b59c94d"),
            ("job-1041", "41b82045-0800-00b8-8bc4-f19a79243ae5"),
            ("0193f5c2-7a10-7c3e-8d2b-5e1f00c0ffee", "0193f5c2-7a10-7cff-b502-4585b529b3b7"),
            ("01JDXW4YGRTSV4RRFFQ69G5FAV", "cbf01094-3a28-4523-8727-fbcdf0728d43"),
            ("Z\u{fc}rich", "e25b6b67-b000-0036-8bb9-2626c4168ef7"),
        ] {
            assert_eq!(of(key).to_string(), stored, "{key}");
        }
    }

    /// The same for every rule: what is asked for is made anew from the event each time.
    #[test]
    fn each_rule_finds_what_is_stored_again() {
        let user = UserId(Uuid::from_u128(9));
        let day = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();
        for (gate, stored) in [
            (Gate::of_sending(HOTEL, "s-1"), "08d82000-0000-0075-a61c-9f105e7c05a0"),
            (Gate::of_browser_sending(HOTEL, user, "s-1"), "08d82000-0000-005f-af2b-9e00a04a467a"),
            (Gate::of_refusal(HOTEL, "s-1"), "08d82000-0000-003f-8969-49637fd3305d"),
            (Gate::of_key(HOTEL, "export_success", "s-1"), "08d82000-0000-0061-b4d7-5af95280b3f6"),
            (
                Gate::of_session(HOTEL, "paywall_view", "s-1"),
                "08d82000-0000-00d7-b277-00006eeb075c",
            ),
            (
                Gate::of_day(HOTEL, "pricing_quote_run", day, 10),
                "f8383240-0000-009e-ac03-d10e68a1d5bc",
            ),
        ] {
            assert_eq!(gate.key.0.to_string(), stored, "{gate:?}");
        }
    }

    #[test]
    fn hotel_rule_and_key_all_count() {
        let other = HotelId(Uuid::from_u128(8));
        // One place for all of them, so the hash has to tell them apart.
        let gates = [
            Gate::of_key(HOTEL, "import_success", "job-1041-abcdefg"),
            Gate::of_key(HOTEL, "import_success", "job-1041-abcdefgh"),
            Gate::of_key(HOTEL, "export_success", "job-1041-abcdefg"),
            Gate::of_key(other, "import_success", "job-1041-abcdefg"),
            Gate::of_sending(HOTEL, "job-1041-abcdefg"),
            Gate::of_refusal(HOTEL, "job-1041-abcdefg"),
            Gate::of_browser_sending(HOTEL, UserId(Uuid::from_u128(7)), "job-1041-abcdefg"),
            Gate::of_browser_sending(HOTEL, UserId(Uuid::from_u128(9)), "job-1041-abcdefg"),
            Gate::of_session(HOTEL, "paywall_view", "job-1041-abcdefg"),
        ];
        let keys: std::collections::HashSet<_> = gates.iter().map(|gate| gate.key).collect();
        assert_eq!(keys.len(), gates.len());
        let places: std::collections::HashSet<_> =
            gates.iter().map(|gate| gate.key.0.as_u64_pair().0 >> 8).collect();
        assert_eq!(places.len(), 1);
    }

    #[test]
    fn what_counts_up_is_kept_in_its_order() {
        let at = |seconds| uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
        let sevens =
            [1_732_000_000, 1_732_000_001, 1_764_000_000].map(|s| Uuid::new_v7(at(s)).to_string());
        for keys in [
            ["1040", "1041", "1042"],
            ["job-1040", "job-1041", "job-1042"],
            ["2026-11-28/run 7/8999", "2026-11-28/run 7/9000", "2026-11-28/run 7/9001"],
            sevens.each_ref().map(String::as_str),
            // ULIDs, and Prisma's cuids.
            [
                "01JDXW4Y00TSV4RRFFQ69G5FAV",
                "01JDXW5000ABCDEFGHJKMNPQRS",
                "01JDXX0000TSV4RRFFQ69G5FAV",
            ],
            [
                "cm3zk1q2a0000xyzab1c2d3e4f",
                "cm3zk2000000abcdefghijklmn",
                "cm3zl000000001234abcd5678e",
            ],
        ] {
            assert!(keys.is_sorted_by(|one, next| place_of(one) < place_of(next)), "{keys:?}");
        }
    }

    #[test]
    fn a_series_is_kept_apart_from_others() {
        assert_ne!(place_of("imports-1041") >> 42, place_of("exports-1041") >> 42);
        assert_eq!(place_of("imports-1041") >> 42, place_of("imports-2") >> 42);
    }

    #[test]
    fn any_text_has_a_place() {
        // Of the last, the end that is as long as a UUID begins within a character.
        let long = ["\u{e4}".repeat(40), "x".repeat(128), "\u{e4}".repeat(40) + "x"];
        let texts = ["-", "Z\u{fc}rich", "\u{1f3e8}", "a\u{fc}", "a b"];
        for key in texts.into_iter().chain(long.iter().map(String::as_str)) {
            assert!(place(key) < 1 << 56, "{key}");
        }
    }
}
