//! Errors as RFC 9457 problem details.

mod code;

pub use code::Code;

use crate::writer::WriteError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chrono::{DateTime, SecondsFormat, Utc};
use plg_core::catalogue::{Counter, UnknownEventType};
use plg_core::decide::QuotaStatus;
use plg_core::plan::Limit;
use plg_store::StoreError;
use plg_store::clock::ClockAhead;
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

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
    /// When the month ends at the hotel. Seats are held beyond it: theirs become fewer when one is given up.
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
        Self(Box::new(Details {
            kind: format!("urn:plg:problem:{}", code.name()),
            title: code.title(),
            status: code.status(),
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

    /// The same of a field that the sender knows by another name; `names` has ours and theirs.
    #[must_use]
    pub fn renamed(mut self, names: &[(&str, &str)]) -> Self {
        let names = names.iter().find(|(ours, _)| self.0.field.as_deref() == Some(ours));
        if let Some((ours, theirs)) = names {
            if let Some(rest) = self.0.detail.strip_prefix(ours) {
                self.0.detail = format!("{theirs}{rest}");
            }
            self.0.field = Some((*theirs).to_owned());
        }
        self
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
        let of = match quota.limit() {
            Limit::AtMost(limit) => format!("{} of {limit}", quota.used()),
            Limit::Unlimited => quota.used().to_string(),
        };
        let detail = format!("the {name} quota is used up ({of}): {remedy}");
        let mut problem = Self::new(Code::QuotaExceeded, detail);
        problem.0.quota = Some(name);
        problem.0.used = Some(quota.used());
        problem.0.limit = Some(quota.limit());
        problem.0.resets_at = Some(status.resets_at);
        problem
    }

    /// The key of an earlier event, with another content.
    #[must_use]
    pub fn idempotency_key_reused() -> Self {
        let detail =
            "another event was recorded under this Idempotency-Key: take a new key for each event";
        Self::new(Code::IdempotencyKeyReused, detail)
    }

    /// It is not as the caller has read it.
    #[must_use]
    pub fn changed_meanwhile() -> Self {
        let detail = "somebody has changed it since you read it: read it again";
        Self::new(Code::PreconditionFailed, detail)
    }

    /// The credential has to wait.
    #[must_use]
    pub fn rate_limited(retry_after_seconds: u32) -> Self {
        let seconds = retry_after_seconds;
        let detail =
            format!("this credential has sent more requests than it may: wait {seconds} s");
        Self::unavailable(Code::RateLimited, detail, retry_after_seconds)
    }

    /// The schema is older than this program.
    #[must_use]
    pub fn schema_behind(pending: &[String], retry_after_seconds: u32) -> Self {
        let detail = format!("run `migrate up`: {} is pending", pending.join(", "));
        Self::unavailable(Code::SchemaBehind, detail, retry_after_seconds)
    }

    /// Months would be opened before their time.
    #[must_use]
    pub fn clock_ahead(clocks: ClockAhead, retry_after_seconds: u32) -> Self {
        Self::unavailable(Code::ClockAhead, clocks.to_string(), retry_after_seconds)
    }

    /// More bytes than a body may have.
    #[must_use]
    pub fn body_too_large(max_bytes: usize) -> Self {
        Self::new(Code::BodyTooLarge, format!("send at most {max_bytes} bytes"))
    }

    /// More items than an array may have.
    #[must_use]
    pub fn too_many_items(max: usize, got: usize) -> Self {
        Self::new(Code::TooManyItems, format!("send at most {max} items, got {got}"))
    }

    /// The body is declared as something else than it may be.
    #[must_use]
    pub fn unsupported_media_type(accepted: &[&str], declared: &str) -> Self {
        let accepted = accepted.join(" or ");
        let detail = format!("send Content-Type: {accepted}, not {declared:?}");
        Self::new(Code::UnsupportedMediaType, detail)
    }

    /// The body is compressed.
    #[must_use]
    pub fn encoded(coding: &str) -> Self {
        let detail = format!("send the body as it is, without Content-Encoding: {coding}");
        Self::new(Code::UnsupportedMediaType, detail)
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
            | StoreError::Locked(_)
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
            WriteError::HotelLocked => {
                let detail =
                    "nothing was recorded: another transaction keeps this hotel locked; try again";
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
