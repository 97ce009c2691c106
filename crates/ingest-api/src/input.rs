//! What the service is told: bodies, paths, queries and headers, parsed once into types that cannot
//! be wrong, with an error that names the field.

use crate::json::{Object, parse_json};
use crate::problem::{Code, Problem};
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::web::Payload;
use actix_web::{FromRequest, HttpRequest, dev};
use futures_util::future::LocalBoxFuture;
use plg_core::event::{Command, NewEvent};
use plg_core::event_data::EventData;
use plg_core::ids::{DedupKey, EventId, HotelId, SeatUserId, SessionId, TextIdError, UserId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// Largest body, in bytes.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;
/// How long a body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Most items of an array.
pub const ITEMS_MAX: usize = 1_000;
/// Names the session of everything in the request that names none itself.
pub const SESSION_HEADER: &str = "X-Session-Id";

/// A JSON body, read whole within its bounds, not yet understood.
#[derive(Debug)]
pub struct Body(actix_web::web::Bytes);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let declared = check_content_type(request.headers());
        let payload = Payload::from_request(request, payload);
        Box::pin(async move {
            declared?;
            let too_large = || {
                let detail = format!("send at most {BODY_MAX_BYTES} bytes");
                Problem::new(Code::BodyTooLarge, detail)
            };
            let incomplete = |detail: &str| Problem::new(Code::BodyIncomplete, detail);
            let payload = payload.await.map_err(|_| incomplete("the body could not be read"))?;
            let bytes = payload.to_bytes_limited(BODY_MAX_BYTES);
            match tokio::time::timeout(BODY_DEADLINE, bytes).await {
                Ok(Ok(Ok(bytes))) => Ok(Self(bytes)),
                Ok(Ok(Err(_))) => Err(incomplete("the body broke off")),
                Ok(Err(_)) => Err(too_large()),
                Err(_) => Err(incomplete("send the body faster")),
            }
        })
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(declared) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let declared = declared.to_str().unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("send Content-Type: application/json, not {declared:?}");
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

impl Body {
    /// Understands the body as one JSON object.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let Object(value) = parse_json(&self.0)?;
        Ok(value)
    }

    /// The items of an array, each for itself; `None` when the body is no array.
    ///
    /// # Errors
    /// When the body is no JSON, or has too many items.
    pub fn items(&self) -> Result<Option<Vec<Box<RawValue>>>, Problem> {
        let first = self.0.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'[') {
            return Ok(None);
        }
        let items: Vec<Box<RawValue>> = parse_json(&self.0)?;
        if items.len() > ITEMS_MAX {
            let detail = format!("send at most {ITEMS_MAX} items, got {}", items.len());
            return Err(Problem::new(Code::TooManyItems, detail));
        }
        Ok(Some(items))
    }
}

/// Understands one item of an array.
///
/// # Errors
/// Names the field that is wrong.
pub fn parse_item<T: DeserializeOwned>(item: &RawValue) -> Result<T, Problem> {
    let Object(value) = parse_json(item.get().as_bytes())?;
    Ok(value)
}

/// One event of `POST /v1/events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBody {
    event_type: String,
    hotel_id: Uuid,
    user_id: Uuid,
    session_id: Option<String>,
    id: Option<String>,
    dedup_key: Option<String>,
    event_data: Option<Box<RawValue>>,
}

impl EventBody {
    /// Checks everything that can be checked without the database.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn into_command(self, header: &SessionHeader) -> Result<Command, Problem> {
        let event_type = self.event_type.parse();
        let event = NewEvent {
            event_type: event_type.map_err(|_| Problem::unknown_event_type(&self.event_type))?,
            hotel_id: HotelId(self.hotel_id),
            user_id: UserId(self.user_id),
            session_id: header.or(self.session_id)?,
            event_id: optional("id", self.id, EventId::parse)?,
            dedup_key: optional("dedup_key", self.dedup_key, DedupKey::parse)?,
            event_data: event_data(self.event_data.as_deref())?,
        };
        Command::try_from(event).map_err(|error| Problem::field(error.field(), error))
    }
}

/// A required text identifier.
///
/// # Errors
/// Names the field.
pub fn required<T>(
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
pub fn optional<T>(
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
pub fn event_data(json: Option<&RawValue>) -> Result<Option<EventData>, Problem> {
    let data = json.map(|json| EventData::parse(json.get())).transpose();
    data.map_err(|error| Problem::field("event_data", error))
}

/// The session that the request's header names.
#[derive(Debug)]
pub struct SessionHeader(Option<SessionId>);

impl SessionHeader {
    /// The session of a body that may name one itself.
    ///
    /// # Errors
    /// When the body's is not valid.
    pub fn or(&self, body: Option<String>) -> Result<Option<SessionId>, Problem> {
        let own = optional("session_id", body, SessionId::parse)?;
        Ok(own.or_else(|| self.0.clone()))
    }
}

impl FromRequest for SessionHeader {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let parse = |value: &actix_web::http::header::HeaderValue| {
            let text = std::str::from_utf8(value.as_bytes())
                .map_err(|_| Problem::field(SESSION_HEADER, "must be UTF-8"))?;
            required(SESSION_HEADER, text.to_owned(), SessionId::parse)
        };
        let session = request.headers().get(SESSION_HEADER).map(parse).transpose();
        std::future::ready(session.map(Self))
    }
}

/// The seat that the path names.
#[derive(Debug, Clone, Copy)]
pub struct SeatPath(pub SeatUserId);

impl FromRequest for SeatPath {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(path_uuid(request, "seat_user_id").map(Self))
    }
}

pub(crate) fn path_uuid<T: FromStr>(request: &HttpRequest, segment: &str) -> Result<T, Problem> {
    uuid(segment, request.match_info().query(segment))
}

/// A UUID of the path or the query.
///
/// # Errors
/// Names the field.
pub fn uuid<T: FromStr>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::field(field, format!("must be a UUID, got {text:?}")))
}

/// Parses a part of the path or the query.
///
/// # Errors
/// Names the field.
pub fn part<T>(field: &'static str, text: &str) -> Result<T, Problem>
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
pub fn bounded(
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
