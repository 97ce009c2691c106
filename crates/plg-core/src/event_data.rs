//! What a sender wants to remember with an event, within bounds.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// Longest accepted `event_data`, in bytes of JSON as sent, and without spaces and with the digits that PostgreSQL gives
/// back: `1e300` with all its zeros.
pub const EVENT_DATA_MAX_BYTES: usize = 8 * 1024;
/// Deepest accepted `event_data`, in levels; the object itself is the first.
pub const EVENT_DATA_MAX_LEVELS: usize = 16;
/// How much of a key or a number is shown, in characters.
const SHOWN_CHARS: usize = 40;
/// serde_json takes an object with this key for a text that holds JSON, when it is read as a [`Value`]: such an event
/// could be stored, and not be read any more.
const RESERVED_KEY: &str = "$serde_json::private::RawValue";

/// What the sender wants to remember with an event: a JSON object within bounds.
///
/// It is kept as text: understood, eight kilobytes of objects in one another are a megabyte.
#[derive(Debug, Clone)]
pub struct EventData(Arc<RawValue>);

/// Letter by letter; [`EventData::is_same`] looks at what it says.
impl PartialEq for EventData {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}

impl Serialize for EventData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Why a JSON text is not [`EventData`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventDataError {
    /// Longer than [`EVENT_DATA_MAX_BYTES`], as sent or with its numbers written out.
    #[error("must be at most {EVENT_DATA_MAX_BYTES} bytes of JSON, got {bytes}")]
    TooLarge {
        /// Bytes received.
        bytes: usize,
    },
    /// Deeper than [`EVENT_DATA_MAX_LEVELS`].
    #[error("must be at most {EVENT_DATA_MAX_LEVELS} levels deep")]
    TooDeep,
    /// A number, a text, an array …
    #[error("must be a JSON object")]
    NotAnObject,
    /// A key twice in one object: databases keep the last value, in silence.
    #[error("must not have a key twice in one object, got {0}")]
    Repeated(String),
    /// A key that means something to whoever reads the data with serde_json.
    #[error("must not have the key {RESERVED_KEY}")]
    Reserved,
    /// A whole number that would become a double, and perhaps another one.
    #[error("must not have whole numbers of more than 64 bits, such as {0}: send it as text")]
    Inexact(String),
    /// `\u0000` somewhere in a key or a text: databases cannot store it.
    #[error("must not contain the character U+0000")]
    Nul,
    /// Not JSON at all.
    #[error("must be JSON that can be read: {0}")]
    Malformed(String),
}

impl EventData {
    /// Checks a JSON text.
    ///
    /// # Errors
    /// Says which bound it breaks.
    pub fn parse(json: &str) -> Result<Self, EventDataError> {
        if json.len() > EVENT_DATA_MAX_BYTES {
            return Err(EventDataError::TooLarge { bytes: json.len() });
        }
        let value = exact(json)?;
        if !value.is_object() {
            return Err(EventDataError::NotAnObject);
        }
        check_level(&value, 1)?;
        let data = Self::of(&value)?;
        let bytes = data.json().len() + growth(&value);
        if bytes > EVENT_DATA_MAX_BYTES {
            return Err(EventDataError::TooLarge { bytes });
        }
        Ok(data)
    }

    /// From a stored text, whose bounds were checked when it was written. Databases write the same value in other ways:
    /// it is given the form that it was answered with.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn from_stored(json: &str) -> Result<Self, EventDataError> {
        Self::of(&serde_json::from_str(json).map_err(|error| malformed(&error))?)
    }

    fn of(value: &Value) -> Result<Self, EventDataError> {
        Ok(Self(to_raw_value(value).map_err(|error| malformed(&error))?.into()))
    }

    /// Whether both say the same: databases may write the same number in another way.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let value = |data: &Self| serde_json::from_str(data.json());
        match (value(self), value(other)) {
            (Ok(one), Ok(other)) => same(&one, &other),
            _ => self == other,
        }
    }

    /// As JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }
}

fn malformed(error: &serde_json::Error) -> EventDataError {
    EventDataError::Malformed(error.to_string())
}

/// Checks that a JSON text is kept as it was sent.
///
/// # Errors
/// Names the key or the number that would be lost.
pub fn check_exact(json: &str) -> Result<(), EventDataError> {
    exact(json).map(|_| ())
}

fn exact(json: &str) -> Result<Value, EventDataError> {
    let Exact(value) = serde_json::from_str(json).map_err(|e| match e.to_string() {
        // Any JSON is a value: there is no error in what it says but those of its keys.
        message if e.is_data() => {
            match message.rsplit_once(" at line ").map_or(&*message, |(key, _)| key) {
                RESERVED_KEY => EventDataError::Reserved,
                key => EventDataError::Repeated(key.to_owned()),
            }
        }
        message if message.starts_with("recursion limit") => EventDataError::TooDeep,
        message => EventDataError::Malformed(message),
    })?;
    match inexact(json) {
        Some(number) => Err(EventDataError::Inexact(number.chars().take(SHOWN_CHARS).collect())),
        None => Ok(value),
    }
}

/// The first whole number of a JSON text that 64 bits do not hold.
fn inexact(json: &str) -> Option<&str> {
    let (mut in_text, mut is_escaped) = (false, false);
    let is_between = |c: char| {
        if in_text {
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            return true;
        }
        in_text = c == '"';
        !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')
    };
    json.split(is_between).find(|number| {
        let digits = number.strip_prefix('-').unwrap_or(number);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err()
    })
}

/// A value in which no key is there twice.
struct Exact(Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExactVisitor).map(Self)
    }
}

struct ExactVisitor;

impl<'de> de::Visitor<'de> for ExactVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Exact(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if key == RESERVED_KEY {
                return Err(de::Error::custom(RESERVED_KEY));
            }
            if all.contains_key(&key) {
                let key: String = key.chars().take(SHOWN_CHARS).collect();
                return Err(de::Error::custom(format_args!("{key:?}")));
            }
            let Exact(value) = fields.next_value()?;
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same_field = |(key, one)| other.get(key).is_some_and(|other| same(one, other));
            one.len() == other.len() && one.iter().all(same_field)
        }
        _ => one == other,
    }
}

/// The bytes that a value takes more with its numbers written out.
fn growth(value: &Value) -> usize {
    match value {
        // The standard library writes no exponents, serde_json does.
        Value::Number(number) if number.is_f64() => {
            let plain = number.as_f64().map_or(0, |number| number.to_string().len());
            plain.saturating_sub(number.to_string().len())
        }
        Value::Array(items) => items.iter().map(growth).sum(),
        Value::Object(fields) => fields.values().map(growth).sum(),
        _ => 0,
    }
}

fn check_level(value: &Value, level: usize) -> Result<(), EventDataError> {
    let deeper = |value: &Value| match value {
        Value::Array(_) | Value::Object(_) if level == EVENT_DATA_MAX_LEVELS => {
            Err(EventDataError::TooDeep)
        }
        _ => check_level(value, level + 1),
    };
    let text = |text: &str| {
        if text.contains('\0') { Err(EventDataError::Nul) } else { Ok(()) }
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(s) => text(s),
        Value::Array(items) => items.iter().try_for_each(deeper),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            text(key)?;
            deeper(value)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_the_same_however_it_is_written() {
        let same = |one: &str, other: &str| {
            EventData::parse(one).unwrap().is_same(&EventData::parse(other).unwrap())
        };
        assert!(same(r#"{"a": [1, {"b": 100}], "c": null}"#, r#"{"c":null,"a":[1.0,{"b":1e2}]}"#));
        for other in
            ["{}", r#"{"a": 1}"#, r#"{"a": [1]}"#, r#"{"a": [1, 2, 3]}"#, r#"{"b": [1, 2]}"#]
        {
            assert!(!same(r#"{"a": [1, 2]}"#, other), "{other}");
        }
    }

    #[test]
    fn what_a_database_gives_back_is_shown_as_it_was_answered() {
        let sent = EventData::parse(r#"{ "b": 1e300, "a": [1.50, "\u00e9"] }"#).unwrap();
        assert_eq!(sent.json(), r#"{"a":[1.5,"é"],"b":1e+300}"#);
        let stored = format!(r#"{{"b": 1{}, "a": [1.50, "é"]}}"#, "0".repeat(300));
        assert_eq!(EventData::from_stored(&stored), Ok(sent));
        assert!(matches!(EventData::from_stored("{"), Err(EventDataError::Malformed(_))));
    }

    /// By default serde_json reads a tenth of all doubles as their neighbour.
    #[test]
    fn a_double_is_kept_to_its_last_digit() {
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..10_000 {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let json = format!("{{\"a\":{number:e}}}");
                let data = EventData::parse(&json).unwrap();
                let kept: Value = serde_json::from_str(data.json()).unwrap();
                assert_eq!(kept["a"].as_f64(), Some(number), "{json}");
                assert!(data.is_same(&EventData::parse(data.json()).unwrap()), "{json}");
            }
        }
    }

    #[test]
    fn event_data_is_a_bounded_object() {
        assert!(EventData::parse(r#"{"a": [1, {"b": null}]}"#).is_ok());
        assert_eq!(EventData::parse("[1]"), Err(EventDataError::NotAnObject));
        assert_eq!(EventData::parse(r#"{"a\u0000": 1}"#), Err(EventDataError::Nul));
        assert_eq!(EventData::parse(r#"{"a": ["\u0000"]}"#), Err(EventDataError::Nul));
        assert!(matches!(EventData::parse("{"), Err(EventDataError::Malformed(_))));

        let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(EventData::parse(&sized(EVENT_DATA_MAX_BYTES)).is_ok());
        assert_eq!(
            EventData::parse(&sized(EVENT_DATA_MAX_BYTES + 1)),
            Err(EventDataError::TooLarge { bytes: EVENT_DATA_MAX_BYTES + 1 })
        );

        // A number of five bytes, and three hundred that it is stored as.
        let numbers = |count: usize| format!("{{\"a\":[{}]}}", vec!["1e300"; count].join(","));
        assert!(EventData::parse(&numbers(20)).is_ok());
        assert!(matches!(EventData::parse(&numbers(40)), Err(EventDataError::TooLarge { .. })));
        let small = numbers(40).replace("1e300", "-1e-300");
        assert!(matches!(EventData::parse(&small), Err(EventDataError::TooLarge { .. })));
        assert!(EventData::parse(&numbers(1_000).replace("1e300", "1.5")).is_ok());
        // Three bytes of 8 KiB become twelve.
        let short = numbers(1_000).replace("1e300", "1e9");
        assert_eq!(EventData::parse(&short), Err(EventDataError::TooLarge { bytes: 13_007 }));

        let deep = |levels: usize| {
            format!("{{\"a\":{}0{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
        };
        assert!(EventData::parse(&deep(EVENT_DATA_MAX_LEVELS)).is_ok());
        assert_eq!(
            EventData::parse(&deep(EVENT_DATA_MAX_LEVELS + 1)),
            Err(EventDataError::TooDeep)
        );
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let refused = |json: &str| EventData::parse(json).unwrap_err();
        for (json, key) in [
            (r#"{"a": 1, "b": {}, "a": 1}"#, "\"a\""),
            (r#"{"a": [{"b": 1, "\u0062": 2}]}"#, "\"b\""),
            (r#"{"": 1, "": 2}"#, "\"\""),
        ] {
            assert_eq!(refused(json), EventDataError::Repeated(key.to_owned()));
        }
        assert!(EventData::parse(r#"{"a": {"a": [{"a": 1}, {"a": 2}]}}"#).is_ok());
        for number in ["18446744073709551616", "-9223372036854775809"] {
            for json in [r#"{"a":N}"#, r#"{"\"": "\\", "a": [1.5e3, true, N ], "b": 1}"#] {
                let inexact = EventDataError::Inexact(number.to_owned());
                assert_eq!(refused(&json.replace('N', number)), inexact);
            }
        }
        for kept in ["18446744073709551615", "-9223372036854775808", "-0", "1e300", "1.25"] {
            assert!(EventData::parse(&format!(r#"{{"a":{kept}}}"#)).is_ok(), "{kept}");
        }
        for reserved in [r#"{"K": 5}"#, r#"{"a": [1, {"b": 1, "K": "[]"}]}"#] {
            let json = reserved.replace('K', "$serde_json::private::RawValue");
            assert_eq!(refused(&json), EventDataError::Reserved);
        }
        let text = r#"{"a\\": "18446744073709551616", "\"1": "\"18446744073709551616"}"#;
        assert!(EventData::parse(text).is_ok());
    }
}
