//! What a request's headers say about the events in it.

use super::{optional, required};
use crate::problem::Problem;
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest, dev};
use plg_core::ids::{EventId, SessionId, TextIdError};
use utoipa::IntoParams;

/// Names the session of everything in the request that names none itself.
const SESSION_HEADER: &str = "X-Session-Id";
/// Names the sending of a single event that names none itself.
pub(crate) const IDEMPOTENCY_HEADER: &str = "Idempotency-Key";
/// Says of an answer that an earlier request under the same key was given it.
pub(crate) const REPLAYED_HEADER: &str = "Idempotent-Replayed";

/// As they are looked for in each request: ready to be compared.
static SESSION: HeaderName = HeaderName::from_static("x-session-id");
static IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the headers say about a sending.
#[derive(Debug)]
pub(crate) struct Sending {
    session: Option<SessionId>,
    key: Option<EventId>,
}

impl FromRequest for Sending {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let read = || {
            Ok(Self {
                session: header(request, (&SESSION, SESSION_HEADER), SessionId::parse)?,
                key: header(request, (&IDEMPOTENCY, IDEMPOTENCY_HEADER), EventId::parse)?,
            })
        };
        std::future::ready(read())
    }
}

fn header<T>(
    request: &HttpRequest,
    (key, name): (&HeaderName, &'static str),
    parse: impl FnOnce(String) -> Result<T, TextIdError>,
) -> Result<Option<T>, Problem> {
    let mut values = request.headers().get_all(key);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field(name, "is there twice: send one"));
    }
    // Clients do not agree on how to write anything else.
    let text = value.to_str().map_err(|_| {
        Problem::field(name, "must be printable ASCII; other characters may stand in the body")
    })?;
    required(name, text.to_owned(), parse).map(Some)
}

impl Sending {
    /// The session of a body that may name one itself.
    ///
    /// # Errors
    /// When the body's is not valid.
    pub(crate) fn session(&self, own: Option<String>) -> Result<Option<SessionId>, Problem> {
        let own = optional("session_id", own, SessionId::parse)?;
        Ok(own.or_else(|| self.session.clone()))
    }

    /// The id of a body that may name one itself.
    ///
    /// # Errors
    /// When the body's is not valid, or another one than the header's.
    pub(crate) fn id(&self, own: Option<String>) -> Result<Option<EventId>, Problem> {
        let own = optional("id", own, EventId::parse)?;
        match (&self.key, &own) {
            (Some(key), Some(own)) if key != own => {
                let detail = format!("must be the body's id, {own}, or absent");
                Err(Problem::field(IDEMPOTENCY_HEADER, detail))
            }
            (Some(key), _) => Ok(Some(key.clone())),
            (None, _) => Ok(own),
        }
    }

    /// Whether a repetition of this sending is answered as it was the first time.
    #[must_use]
    pub(crate) const fn is_keyed(&self) -> bool {
        self.key.is_some()
    }

    /// The same for a request of several events.
    ///
    /// # Errors
    /// When one id would have to name all of them.
    pub(crate) fn of_many(&self) -> Result<&Self, Problem> {
        match self.key {
            Some(_) => {
                let detail = "names one event: give each item of an array an id of its own";
                Err(Problem::field(IDEMPOTENCY_HEADER, detail))
            }
            None => Ok(self),
        }
    }
}

/// The headers of [`Sending`].
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is there to be documented")]
pub(crate) struct SendingParams {
    /// The session of every event that names none itself.
    #[param(rename = "X-Session-Id", value_type = String, required = false, min_length = 1, max_length = 128, pattern = "^[ -~]*$")]
    session: Option<SessionId>,
    /// A synonym of `id`, for a single event. The same key with the same content is answered as the
    /// first time (`Idempotent-Replayed: true`), with another content 422.
    #[param(rename = "Idempotency-Key", value_type = String, required = false, min_length = 1, max_length = 128, pattern = "^[ -~]*$")]
    key: Option<EventId>,
}
