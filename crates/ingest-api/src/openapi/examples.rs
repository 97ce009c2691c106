//! A problem of each kind, as callers may meet it.

use crate::input::{BODY_MAX_BYTES, ITEMS_MAX};
use crate::problem::{Code, Problem};
use crate::writer::WriteError;
use chrono::DateTime;
use plg_core::catalogue::Counter;
use plg_core::decide::QuotaStatus;
use plg_core::plan::Limit;
use plg_core::quota::Quota;
use plg_store::clock::ClockAhead;

/// How a problem of this kind may look.
pub(super) fn example(code: Code) -> Problem {
    let new = |detail: &str| Problem::new(code, detail);
    match code {
        Code::MalformedJson => {
            new("the body is not valid JSON: expected `,` or `}` at line 1 column 14")
        }
        Code::InvalidField => Problem::field("job_id", "must not be empty (1 to 128 characters)"),
        Code::UnknownEventType => Problem::unknown_event_type("page_view"),
        Code::IdempotencyKeyReused => Problem::idempotency_key_reused(),
        Code::TooManyItems => Problem::too_many_items(ITEMS_MAX, ITEMS_MAX + 1),
        Code::BodyTooLarge => Problem::body_too_large(BODY_MAX_BYTES),
        Code::BodyIncomplete => new("send the body faster"),
        Code::UnsupportedMediaType => {
            Problem::unsupported_media_type(&["application/json"], "text/plain")
        }
        Code::Unauthenticated => {
            new("send Authorization: Bearer, with a service key or a session token")
        }
        Code::Forbidden => {
            Problem::forbidden(Some("hotel_id"), "is not a hotel of this credential")
        }
        Code::RateLimited => Problem::rate_limited(2),
        Code::QuotaExceeded => Problem::quota_exceeded(&QuotaStatus {
            counter: Counter::Exports,
            quota: Quota::new(30, Limit::AtMost(30)),
            resets_at: DateTime::from_timestamp(1_796_083_200, 0).unwrap_or_default(),
        }),
        Code::NotFound => new("there is no such run"),
        Code::MethodNotAllowed => Problem::method_not_allowed("GET, POST"),
        Code::PreconditionFailed => Problem::changed_meanwhile(),
        Code::Overloaded => WriteError::Overloaded.into(),
        Code::DatabaseUnavailable => WriteError::Unavailable.into(),
        Code::SchemaBehind => {
            Problem::schema_behind(&["m20261124_000003_rollup_overview".to_owned()], 5)
        }
        Code::ClockAhead => {
            let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            let (here, there) = (at(1_796_083_200), at(1_793_491_200));
            Problem::clock_ahead(ClockAhead { here, there }, 5)
        }
        Code::OutcomeUnknown => WriteError::OutcomeUnknown.into(),
        Code::ShuttingDown => WriteError::ShuttingDown.into(),
        Code::Internal => new("nothing was recorded; the cause is in the service's log"),
    }
}
