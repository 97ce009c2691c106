//! `/v1/session-tokens`: what a backend gives to its pages.

use crate::access::permit::TokenMinter;
use crate::app::State;
use crate::input::{Body, NoQuery};
use crate::openapi::ChangeProblems;
use crate::problem::{Code, Problem};
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, SecondsFormat, Utc};
use plg_core::ids::{HotelId, UserId};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Whom a token is for.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewSessionToken)]
#[serde(deny_unknown_fields)]
struct TokenIn {
    hotel_id: HotelId,
    user_id: UserId,
}

/// A token for a browser.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionToken)]
struct TokenBody {
    token: String,
    hotel_id: HotelId,
    user_id: UserId,
    #[serde(serialize_with = "to_the_second")]
    expires_at: DateTime<Utc>,
}

fn to_the_second<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Mint a session token
///
/// With it a browser may act as one user at one hotel.
#[utoipa::path(
    post,
    path = "/v1/session-tokens",
    operation_id = "create_session_token",
    tag = "access",
    request_body(content = TokenIn),
    responses((status = 201, description = "A token", body = TokenBody), ChangeProblems)
)]
pub(super) async fn mint(
    minter: TokenMinter,
    _: NoQuery,
    state: web::Data<State>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let TokenIn { hotel_id, user_id } = body.parse().await?;
    minter.permit(hotel_id)?;
    let minted = state.access.tokens().mint(hotel_id, user_id);
    let (token, expires_at) = minted.map_err(|error| {
        tracing::error!(%error, "cannot sign a session token");
        Problem::new(Code::Internal, "the cause is in the service's log")
    })?;
    let body = TokenBody { token, hotel_id, user_id, expires_at };
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(body))
}
