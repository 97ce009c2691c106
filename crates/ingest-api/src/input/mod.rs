//! What the service is told: bodies, paths, queries and headers, parsed once into types that cannot
//! be wrong, with an error that names the field.

mod body;
mod cloud_event;
mod event;
mod headers;
mod memory;

pub(crate) use body::{BODY_MAX_BYTES, Body, BodyEnded};
pub(crate) use cloud_event::CloudEvent;
pub(crate) use event::EventBody;
pub(crate) use event::{ITEMS_MAX, Items, UnreadEvents, event_type};
pub(crate) use headers::SendingParams;
pub(crate) use headers::{IDEMPOTENCY_HEADER, REPLAYED_HEADER, Sending};
pub(crate) use memory::BodyMemory;

use crate::problem::Problem;
use actix_web::{FromRequest, HttpRequest, dev};
use plg_core::event_data::EventData;
use plg_core::ids::{HotelId, SeatUserId, TextIdError};
use serde_json::value::RawValue;
use std::str::FromStr;
use utoipa::IntoParams;

/// A required text identifier.
///
/// # Errors
/// Names the field.
pub(crate) fn required<T>(
    field: &'static str,
    text: String,
    parse: impl FnOnce(String) -> Result<T, TextIdError>,
) -> Result<T, Problem> {
    parse(text).map_err(|error| Problem::field(field, error))
}

/// An optional text identifier.
///
/// # Errors
/// Names the field.
pub(crate) fn optional<T>(
    field: &'static str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, TextIdError>,
) -> Result<Option<T>, Problem> {
    text.map(|text| required(field, text, parse)).transpose()
}

/// Whatever the sender wants to remember.
///
/// # Errors
/// When it is out of its bounds.
pub(crate) fn event_data(json: Option<&RawValue>) -> Result<Option<EventData>, Problem> {
    let data = json.map(|json| EventData::parse(json.get())).transpose();
    data.map_err(|error| Problem::field("event_data", error))
}

/// The hotel of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is there to be documented")]
pub(crate) struct HotelPath {
    hotel_id: HotelId,
}

/// The hotel and the seat of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is there to be documented")]
pub(crate) struct HotelSeatPath {
    hotel_id: HotelId,
    seat_user_id: SeatUserId,
}

/// The seat that the path names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeatPath(pub SeatUserId);

impl FromRequest for SeatPath {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(path_uuid(request, "seat_user_id").map(Self))
    }
}

/// A request that knows no query. One that is not looked at would count an import where somebody has asked to try it.
pub(crate) struct NoQuery;

impl FromRequest for NoQuery {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let name = request.query_string().split(['&', '=']).find(|part| !part.is_empty());
        std::future::ready(name.map_or(Ok(Self), |name| {
            Err(Problem::field(name, "is unknown: this resource has no query"))
        }))
    }
}

pub(crate) fn path_uuid<T: FromStr>(request: &HttpRequest, segment: &str) -> Result<T, Problem> {
    uuid(segment, request.match_info().query(segment))
}

/// A UUID of the path or the query.
///
/// # Errors
/// Names the field.
pub(crate) fn uuid<T: FromStr>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::field(field, format!("must be a UUID, got {text:?}")))
}

/// Parses a part of the path or the query.
///
/// # Errors
/// Names the field.
pub(crate) fn part<T>(field: &'static str, text: &str) -> Result<T, Problem>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Problem::field(field, format!("{error} (got {text:?})")))
}

/// A number of the query within its bounds.
///
/// # Errors
/// Names the field.
pub(crate) fn bounded(
    field: &'static str,
    value: Option<&str>,
    default: u64,
    max: u64,
) -> Result<u64, Problem> {
    let Some(text) = value else { return Ok(default) };
    match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(Problem::field(
            field,
            format!("must be a whole number from 1 to {max}, got {text:?}"),
        )),
    }
}
