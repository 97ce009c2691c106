//! Bodies: read whole within their bounds, then understood.

use super::memory::BodyRoom;
use crate::access::limits::Credential;
use crate::app::State;
use crate::door;
use crate::json::{Object, parse_json};
use crate::problem::{Code, Problem};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use actix_web::web::{self, BytesMut};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// Largest body, in bytes.
pub(crate) const BODY_MAX_BYTES: usize = 1024 * 1024;
/// How long a body may take to arrive.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";

/// A JSON body that is not read yet.
pub(crate) struct Body(Unread);

impl FromRequest for Body {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let declared = declared(request.headers(), &[JSON]);
        std::future::ready(declared.map(|_| Self(Unread::of(request, payload))))
    }
}

impl Body {
    /// Reads the body, and understands it as one JSON object.
    ///
    /// # Errors
    /// When it does not arrive in its bounds; names the field that is wrong.
    pub(crate) async fn parse<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let Object(value) = parse_json(&self.0.read().await?.bytes)?;
        Ok(value)
    }
}

/// Which of the accepted media types the body is declared as: the first where none is declared. It has to be as it is,
/// not compressed.
pub(super) fn declared(
    headers: &HeaderMap,
    accepted: &'static [&'static str],
) -> Result<&'static str, Problem> {
    let encoded = headers.get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap_or_default());
    if let Some(coding) = encoded.filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::encoded(coding));
    }
    let Some(declared) = headers.get(CONTENT_TYPE) else { return Ok(accepted[0]) };
    let declared = declared.to_str().unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    let found = accepted.iter().find(|accepted| kind.eq_ignore_ascii_case(accepted));
    found.copied().ok_or_else(|| Problem::unsupported_media_type(accepted, declared))
}

/// A body that is not read before it is known who sends it.
pub(super) struct Unread {
    request: HttpRequest,
    payload: dev::Payload,
}

/// When a request's body had arrived, or was waited for no longer. Until then its sender takes the time.
pub(crate) struct BodyEnded(pub(crate) Instant);

/// A body that has arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) bytes: BytesMut,
    room: BodyRoom,
}

impl Unread {
    pub(super) fn of(request: &HttpRequest, payload: &mut dev::Payload) -> Self {
        Self { request: request.clone(), payload: payload.take() }
    }

    /// The whole body, if there is room for it, it is not too large and arrives in time, and the request is let in
    /// then.
    pub(super) async fn read(mut self) -> Result<Arrived, Problem> {
        let caller = self.request.extensions().get::<Credential>().copied();
        let state = self.request.app_data::<web::Data<State>>();
        let (Some(caller), Some(state)) = (caller, state) else {
            return Err(Problem::new(Code::Internal, "nobody knows who sends this body"));
        };
        let mut arrived = Arrived { bytes: BytesMut::new(), room: state.bodies.of(caller) };
        let filled = tokio::time::timeout(BODY_DEADLINE, arrived.fill(&mut self.payload)).await;
        self.request.extensions_mut().insert(BodyEnded(Instant::now()));
        filled.map_err(|_| incomplete("send the body faster"))??;
        door::let_in(&self.request)?;
        Ok(arrived)
    }
}

impl Arrived {
    async fn fill(&mut self, payload: &mut dev::Payload) -> Result<(), Problem> {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| incomplete("the body broke off"))?;
            if self.bytes.len() + chunk.len() > BODY_MAX_BYTES {
                return Err(Problem::body_too_large(BODY_MAX_BYTES));
            }
            self.room.grow(chunk.len())?;
            self.bytes.extend_from_slice(&chunk);
        }
        Ok(())
    }
}

fn incomplete(detail: &str) -> Problem {
    Problem::new(Code::BodyIncomplete, detail)
}
