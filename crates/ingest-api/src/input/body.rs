//! Bodies: read whole within their bounds, then understood.

use crate::door;
use crate::json::{Object, parse_json};
use crate::problem::{Code, Problem};
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, Payload};
use actix_web::{FromRequest, HttpRequest, dev};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Largest body, in bytes.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;
/// How long a body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";

/// A JSON body, not yet understood.
#[derive(Debug)]
pub struct Body(Bytes);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let declared = declared(request.headers(), &[JSON]);
        let bytes = read(request, payload);
        Box::pin(async move {
            declared?;
            Ok(Self(bytes.await?))
        })
    }
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
}

/// Which of the accepted media types the body is declared as: the first where none is declared.
pub(super) fn declared(
    headers: &HeaderMap,
    accepted: &'static [&'static str],
) -> Result<&'static str, Problem> {
    let Some(declared) = headers.get(CONTENT_TYPE) else { return Ok(accepted[0]) };
    let declared = declared.to_str().unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    let found = accepted.iter().find(|accepted| kind.eq_ignore_ascii_case(accepted));
    found.copied().ok_or_else(|| Problem::unsupported_media_type(accepted, declared))
}

/// The whole body, if it is not too large and arrives in time, and the request is let in then.
pub(super) fn read(
    request: &HttpRequest,
    payload: &mut dev::Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let payload = Payload::from_request(request, payload);
    let request = request.clone();
    async move {
        let incomplete = |detail: &str| Problem::new(Code::BodyIncomplete, detail);
        let payload = payload.await.map_err(|_| incomplete("the body could not be read"))?;
        let bytes = payload.to_bytes_limited(BODY_MAX_BYTES);
        match tokio::time::timeout(BODY_DEADLINE, bytes).await {
            Ok(Ok(Ok(bytes))) => door::let_in(&request).map(|()| bytes),
            Ok(Ok(Err(_))) => Err(incomplete("the body broke off")),
            Ok(Err(_)) => Err(Problem::body_too_large(BODY_MAX_BYTES)),
            Err(_) => Err(incomplete("send the body faster")),
        }
    }
}
