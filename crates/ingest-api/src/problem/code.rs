//! The one table of errors: name, status and title.

use serde::{Serialize, Serializer};
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
    /// It is not as the caller supposes, by If-Match.
    PreconditionFailed,
    /// More requests wait than may.
    Overloaded,
    /// The database does not answer.
    DatabaseUnavailable,
    /// The database's schema is older than this program.
    SchemaBehind,
    /// This machine's clock is ahead of the database's.
    ClockAhead,
    /// It is not known whether the action was recorded.
    OutcomeUnknown,
    /// The service is stopping.
    ShuttingDown,
    /// A mistake in the service.
    Internal,
}

impl Code {
    /// Every code, its HTTP status and its title.
    pub const TABLE: [(Self, &'static str, u16, &'static str); 22] = [
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
        (Self::PreconditionFailed, "precondition_failed", 412, "It was changed meanwhile"),
        (Self::Overloaded, "overloaded", 503, "Too many requests are waiting"),
        (Self::DatabaseUnavailable, "database_unavailable", 503, "The database does not answer"),
        (Self::SchemaBehind, "schema_behind", 503, "The database must be migrated"),
        (Self::ClockAhead, "clock_ahead", 503, "The clock is ahead"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row() {
        for (index, (code, name, status, _)) in Code::TABLE.iter().enumerate() {
            assert_eq!(*code as usize, index, "rows stand in the order of the codes");
            assert_eq!(code.name(), *name);
            assert!((400..600).contains(status));
        }
    }
}
