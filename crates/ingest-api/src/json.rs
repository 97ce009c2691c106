//! Understanding JSON, with errors that name the field.

use crate::problem::{Code, Problem};
use actix_web::error::QueryPayloadError;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// Understands a JSON text.
///
/// # Errors
/// Names the field that is wrong.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    parse(bytes, |path| path)
}

/// Understands the value of a field.
///
/// # Errors
/// Names the field that is wrong, or this one.
pub(crate) fn parse_part<T: DeserializeOwned>(field: &str, json: &RawValue) -> Result<T, Problem> {
    parse(json.get().as_bytes(), |path| match path.as_str() {
        "." => field.to_owned(),
        path => format!("{field}.{path}"),
    })
}

fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    whole_path: impl Fn(String) -> String,
) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = whole_path(error.path().to_string());
        let error = error.into_inner();
        if error.is_data() {
            return invalid_data("body", &path, &error.to_string());
        }
        Problem::new(Code::MalformedJson, format!("the body is not valid JSON: {error}"))
    })?;
    json.end().map_err(|error| {
        Problem::new(Code::MalformedJson, format!("the body goes on behind its end: {error}"))
    })?;
    Ok(value)
}

/// serde names the place of a wrong value, and in its message the name of one that is missing or
/// unknown.
fn invalid_data(whole: &str, path: &str, message: &str) -> Problem {
    let message = message.split(" at line ").next().unwrap_or(message);
    let named = ["missing field `", "unknown field `", "duplicate field `"];
    let name = named.iter().find_map(|start| message.strip_prefix(start)?.split('`').next());
    let field = match (path, name) {
        (".", name) => name.unwrap_or(whole).to_owned(),
        (path, Some(name)) if path.rsplit('.').next() != Some(name) => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    };
    if message.starts_with("UUID parsing failed") || message.ends_with("UUID string") {
        return Problem::field(
            field,
            "must be a UUID, such as 6f1f64b4-0000-4000-8000-000000000001",
        );
    }
    Problem::field(field, in_plain_words(message))
}

/// What serde says of a field, behind its name.
fn in_plain_words(message: &str) -> String {
    if message.starts_with("missing field") {
        return "is required".to_owned();
    }
    if message.starts_with("duplicate field") {
        return "is there twice".to_owned();
    }
    let Some((got, expected)) = message.rsplit_once(", expected ") else {
        return format!("is not right: {message}");
    };
    let expected = json_kind(expected);
    if got.starts_with("unknown field") {
        return format!("is unknown: there is {expected}");
    }
    match got.strip_prefix("invalid type: ").or_else(|| got.strip_prefix("invalid value: ")) {
        Some(got) => format!("must be {expected}, got {}", json_kind(got)),
        None => format!("is not right: {message}"),
    }
}

/// As JSON calls it.
fn json_kind(kind: &str) -> &str {
    match kind {
        "sequence" | "a sequence" => "an array",
        "map" | "a map" => "an object",
        kind => kind,
    }
}

/// A query names a parameter that is unknown, or one twice.
pub(crate) fn invalid_query(error: &QueryPayloadError) -> Problem {
    let message = match error {
        QueryPayloadError::Deserialize(error) => error.to_string(),
        error => error.to_string(),
    };
    invalid_data("query", ".", &message)
}

/// What a JSON object, and nothing else, is understood as. serde takes an array for a struct too,
/// its values in the order of the fields; here a value means what its name says.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// For a field that is an object.
///
/// # Errors
/// When it is none, or its fields are not right.
pub(crate) fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Fields<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Fields(PhantomData))
}
