//! Errors as RFC 9457 problem details: one table of code, status and title.

use crate::writer::WriteError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chrono::{DateTime, SecondsFormat, Utc};
use plg_core::catalogue::{Counter, UnknownEventType};
use plg_core::decide::QuotaStatus;
use plg_core::plan::Limit;
use plg_core::quota::Quota;
use plg_store::StoreError;
use serde::{Serialize, Serializer};
use std::fmt;
use utoipa::ToSchema;

/// The stable name of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Code {
    /// The body is no JSON.
    MalformedJson,
    /// A field is absent, unknown, of the wrong kind or out of its bounds.
    InvalidField,
    /// The event type is not in the catalogue.
    UnknownEventType,
    /// The key of an earlier event, with another content.
    IdempotencyKeyReused,
    /// An array with more items than one request may have.
    TooManyItems,
    /// The body is larger than a request may be.
    BodyTooLarge,
    /// The body arrived too slowly, or not whole.
    BodyIncomplete,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// No credential, or none that is valid.
    Unauthenticated,
    /// The credential does not permit this.
    Forbidden,
    /// The credential has sent more requests than it may in a while.
    RateLimited,
    /// The monthly quota has no unit left.
    QuotaExceeded,
    /// No such resource.
    NotFound,
    /// The resource does not know this method.
    MethodNotAllowed,
    /// More requests wait than may.
    Overloaded,
    /// The database does not answer.
    DatabaseUnavailable,
    /// The database's schema is older than this program.
    SchemaBehind,
    /// It is not known whether the action was recorded.
    OutcomeUnknown,
    /// The service is stopping.
    ShuttingDown,
    /// A mistake in the service.
    Internal,
}

impl Code {
    /// Every code, its HTTP status and its title.
    pub const TABLE: [(Self, &'static str, u16, &'static str); 20] = [
        (Self::MalformedJson, "malformed_json", 400, "The body is not valid JSON"),
        (Self::InvalidField, "invalid_field", 422, "A field is not valid"),
        (Self::UnknownEventType, "unknown_event_type", 422, "No such event type"),
        (Self::IdempotencyKeyReused, "idempotency_key_reused", 422, "The key names another event"),
        (Self::TooManyItems, "too_many_items", 422, "Too many items in one request"),
        (Self::BodyTooLarge, "body_too_large", 413, "The body is too large"),
        (Self::BodyIncomplete, "body_incomplete", 408, "The body did not arrive in time"),
        (Self::UnsupportedMediaType, "unsupported_media_type", 415, "The body must be JSON"),
        (Self::Unauthenticated, "unauthenticated", 401, "A valid credential is needed"),
        (Self::Forbidden, "forbidden", 403, "The credential does not permit this"),
        (Self::RateLimited, "rate_limited", 429, "Too many requests"),
        (Self::QuotaExceeded, "quota_exceeded", 402, "The quota is used up"),
        (Self::NotFound, "not_found", 404, "No such resource"),
        (Self::MethodNotAllowed, "method_not_allowed", 405, "Not a method of this resource"),
        (Self::Overloaded, "overloaded", 503, "Too many requests are waiting"),
        (Self::DatabaseUnavailable, "database_unavailable", 503, "The database does not answer"),
        (Self::SchemaBehind, "schema_behind", 503, "The database must be migrated"),
        (Self::OutcomeUnknown, "outcome_unknown", 503, "It is not known whether it was recorded"),
        (Self::ShuttingDown, "shutting_down", 503, "The service is stopping"),
        (Self::Internal, "internal", 500, "Something went wrong here"),
    ];

    fn row(self) -> (&'static str, u16, &'static str) {
        let row = Self::TABLE.iter().find(|row| row.0 == self);
        row.map_or(("internal", 500, "Something went wrong here"), |row| (row.1, row.2, row.3))
    }

    /// The name in the answer.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Its HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// What it means, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().2
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// An error as the caller sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Details>);

/// An error: what went wrong, and what to change.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details {
    /// `urn:plg:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// The stable name of the error.
    code: Code,
    /// What to change.
    detail: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// Which quota is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Counter, required = false)]
    quota: Option<&'static str>,
    /// Units used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    used: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Limit, required = false)]
    limit: Option<Limit>,
    /// When the month ends at the hotel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resets_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
    #[serde(skip)]
    allow: Option<&'static str>,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (name, status, title) = code.row();
        Self(Box::new(Details {
            kind: format!("urn:plg:problem:{name}"),
            title,
            status,
            code,
            detail: detail.into(),
            field: None,
            quota: None,
            used: None,
            limit: None,
            resets_at: None,
            retry_after_seconds: None,
            allow: None,
        }))
    }

    /// A field is not valid; `detail` goes on behind its name.
    #[must_use]
    pub fn field(field: impl Into<String>, detail: impl fmt::Display) -> Self {
        let field = field.into();
        let mut problem = Self::new(Code::InvalidField, format!("{field} {detail}"));
        problem.0.field = Some(field);
        problem
    }

    /// The credential does not permit this.
    #[must_use]
    pub fn forbidden(field: Option<&str>, detail: impl fmt::Display) -> Self {
        let mut problem = Self::new(Code::Forbidden, detail.to_string());
        problem.0.field = field.map(str::to_owned);
        problem
    }

    /// The event type is not in the catalogue.
    #[must_use]
    pub fn unknown_event_type(name: &str) -> Self {
        let detail = format!("event_type {name:?} {UnknownEventType}");
        let mut problem = Self::new(Code::UnknownEventType, detail);
        problem.0.field = Some("event_type".to_owned());
        problem
    }

    /// The monthly quota has no unit left.
    #[must_use]
    pub fn quota_exceeded(status: &QuotaStatus) -> Self {
        let (name, quota) = (status.counter.name(), status.quota);
        let remedy = if status.counter.carries_over() {
            "give up a seat or upgrade the plan".to_owned()
        } else {
            let resets_at = status.resets_at.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("it resets at {resets_at}; upgrade the plan to go on now")
        };
        let detail = format!("the {name} quota is used up ({}): {remedy}", quota.used());
        let mut problem = Self::new(Code::QuotaExceeded, detail);
        problem.0.quota = Some(name);
        problem.0.used = Some(quota.used());
        problem.0.limit = Some(quota.limit());
        problem.0.resets_at = Some(status.resets_at);
        problem
    }

    /// How one of this kind may look.
    #[must_use]
    pub fn example(code: Code) -> Self {
        let new = |detail: &str| Self::new(code, detail);
        let later = |detail: &str, seconds| Self::unavailable(code, detail, seconds);
        match code {
            Code::MalformedJson => {
                new("the body is not valid JSON: expected `,` or `}` at line 1 column 14")
            }
            Code::InvalidField => Self::field("job_id", "must not be empty (1 to 128 characters)"),
            Code::UnknownEventType => Self::unknown_event_type("page_view"),
            Code::IdempotencyKeyReused => new(
                "another event was recorded under this Idempotency-Key: take a new key for each event",
            ),
            Code::TooManyItems => new("send at most 1000 items, got 1001"),
            Code::BodyTooLarge => new("send at most 1048576 bytes"),
            Code::BodyIncomplete => new("send the body faster"),
            Code::UnsupportedMediaType => {
                new("send Content-Type: application/json, not \"text/plain\"")
            }
            Code::Unauthenticated => {
                new("send Authorization: Bearer, with a service key or a session token")
            }
            Code::Forbidden => {
                Self::forbidden(Some("hotel_id"), "is not a hotel of this credential")
            }
            Code::RateLimited => {
                later("this credential has sent more requests than it may: wait", 2)
            }
            Code::QuotaExceeded => Self::quota_exceeded(&QuotaStatus {
                counter: Counter::Exports,
                quota: Quota::new(30, Limit::AtMost(30)),
                resets_at: DateTime::from_timestamp(1_796_083_200, 0).unwrap_or_default(),
            }),
            Code::NotFound => new("there is no such run"),
            Code::MethodNotAllowed => Self::method_not_allowed("GET, POST"),
            Code::Overloaded => WriteError::Overloaded.into(),
            Code::DatabaseUnavailable => WriteError::Unavailable.into(),
            Code::SchemaBehind => {
                later("run `migrate up`: m20261124_000003_rollup_overview is pending", 5)
            }
            Code::OutcomeUnknown => WriteError::OutcomeUnknown.into(),
            Code::ShuttingDown => WriteError::ShuttingDown.into(),
            Code::Internal => new("nothing was recorded; the cause is in the service's log"),
        }
    }

    /// Try again in a while.
    #[must_use]
    pub fn unavailable(code: Code, detail: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut problem = Self::new(code, detail);
        problem.0.retry_after_seconds = Some(retry_after_seconds);
        problem
    }

    /// More reads wait than may.
    #[must_use]
    pub fn read_queue_full() -> Self {
        Self::unavailable(Code::Overloaded, "try again later", RETRY_QUEUE_SECONDS)
    }

    /// The resource knows only these methods.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this resource knows {allow}");
        let mut problem = Self::new(Code::MethodNotAllowed, detail);
        problem.0.allow = Some(allow);
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.0.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(allow) = self.0.allow {
            response.insert_header((ALLOW, allow));
        }
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        response.extensions_mut().insert(self.0.code);
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}

/// Waiting for a database to come back, in seconds.
const RETRY_DATABASE_SECONDS: u32 = 2;
/// Waiting for a queue to become shorter, in seconds.
const RETRY_QUEUE_SECONDS: u32 = 1;

impl From<StoreError> for Problem {
    /// The cause is logged here, once; the caller learns what to do.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_)
            | StoreError::Conflict(_)
            | StoreError::MonthNotOpened { .. } => {
                tracing::warn!(%error, "database unavailable");
                let detail = "nothing was recorded; try again";
                Self::unavailable(Code::DatabaseUnavailable, detail, RETRY_DATABASE_SECONDS)
            }
            StoreError::Data(_) => {
                tracing::warn!(%error, "the database refused what passed our checks");
                Self::new(Code::InvalidField, "the database refuses a value; nothing was recorded")
            }
            StoreError::Corrupt { .. } | StoreError::NotLocked(_) | StoreError::Database(_) => {
                tracing::error!(%error, "request failed");
                Self::new(Code::Internal, "nothing was recorded; the cause is in the service's log")
            }
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::Unavailable => {
                let detail = "nothing was recorded; try again";
                Self::unavailable(Code::DatabaseUnavailable, detail, RETRY_DATABASE_SECONDS)
            }
            WriteError::Overloaded => {
                let detail = "nothing was recorded; try again later";
                Self::unavailable(Code::Overloaded, detail, RETRY_QUEUE_SECONDS)
            }
            WriteError::OutcomeUnknown => {
                let detail = "the database did not say in time: send the same request again \
                              (with the same id, job, export or seat it counts once)";
                Self::unavailable(Code::OutcomeUnknown, detail, RETRY_DATABASE_SECONDS)
            }
            WriteError::ShuttingDown => {
                let detail = "nothing was recorded; try again";
                Self::unavailable(Code::ShuttingDown, detail, RETRY_QUEUE_SECONDS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row() {
        for (index, (code, name, status, _)) in Code::TABLE.iter().enumerate() {
            assert_eq!(*code as usize, index, "rows stand in the order of the codes");
            assert_eq!(code.name(), *name);
            assert!((400..600).contains(status));
            assert_eq!(Problem::example(*code).0.code, *code);
        }
    }
}
