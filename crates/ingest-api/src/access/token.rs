//! Session tokens: JSON Web Tokens that name one user and one hotel, for browsers.
//!
//! Ours are signed with HS256. A deployment's own login may sign others, with one algorithm that is
//! pinned by configuration. Issuer, audience, expiry and clock skew are checked here for all.

use super::AccessError;
use super::keyset::KeySet;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use plg_core::ids::{HotelId, UserId};
use plg_service::SharedClock;
use plg_service::settings::access::{
    AccessSettings, JwtAlgorithm, JwtSettings, SESSION_SECONDS_MAX, is_set,
};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// `iss` and `aud` of our own tokens.
const OWN_NAME: &str = "plg";
/// Longest token that is looked at, in bytes.
const TOKEN_MAX_BYTES: usize = 8_192;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It was valid once.
    Expired,
    /// It is not, for whatever reason.
    Invalid,
}

/// What our tokens say.
#[derive(Serialize)]
struct Claims {
    iss: &'static str,
    aud: &'static str,
    sub: UserId,
    hotel_id: HotelId,
    iat: i64,
    exp: i64,
}

/// Signs and understands tokens.
pub(crate) struct Tokens {
    signer: EncodingKey,
    verifiers: Vec<Verifier>,
    lifetime: TimeDelta,
    skew_seconds: i64,
    clock: SharedClock,
}

struct Verifier {
    keys: Arc<KeySet>,
    validation: Validation,
    algorithm: Algorithm,
    user_claim: String,
    hotel_claim: String,
    /// Longest life of a token, in seconds.
    life_max: Option<i64>,
}

impl Tokens {
    pub(super) async fn new(
        access: &AccessSettings,
        clock: SharedClock,
    ) -> Result<Self, AccessError> {
        let secret = access.session_secret.expose_secret();
        let signer = EncodingKey::from_secret(secret.as_bytes());
        let own = [&access.session_secret, &access.previous_session_secret];
        let own = own.into_iter().filter(|secret| is_set(secret)).map(|secret| Verifier {
            keys: KeySet::of_secret(secret),
            validation: validation(Algorithm::HS256, OWN_NAME, OWN_NAME),
            algorithm: Algorithm::HS256,
            user_claim: "sub".to_owned(),
            hotel_claim: "hotel_id".to_owned(),
            // Not of this replica's setting: another's may be a longer one, while it is changed.
            life_max: Some(SESSION_SECONDS_MAX.into()),
        });
        let mut verifiers: Vec<Verifier> = own.collect();
        verifiers.extend(of_login(&access.jwt).await?);
        Ok(Self {
            signer,
            verifiers,
            lifetime: TimeDelta::seconds(access.session_seconds.into()),
            skew_seconds: access.clock_skew_seconds.into(),
            clock,
        })
    }

    /// Signs a token for a browser, and says until when it is valid.
    ///
    /// # Errors
    /// None in practice: HS256 signs with any secret.
    pub(crate) fn mint(
        &self,
        hotel_id: HotelId,
        user_id: UserId,
    ) -> Result<(String, DateTime<Utc>), jsonwebtoken::errors::Error> {
        let now = self.clock.now();
        let expires_at = now + self.lifetime;
        let claims = Claims {
            iss: OWN_NAME,
            aud: OWN_NAME,
            sub: user_id,
            hotel_id,
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signer)?;
        let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or(expires_at);
        Ok((token, expires_at))
    }

    /// Whom a token names.
    ///
    /// # Errors
    /// When it is not valid now.
    pub(crate) fn names(&self, token: &str) -> Result<(HotelId, UserId), TokenError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let now = self.clock.now().timestamp();
        let mut refusal = TokenError::Invalid;
        for verifier in self.verifiers.iter().filter(|v| v.algorithm == header.alg) {
            match verifier.names(token, header.kid.as_deref(), now, self.skew_seconds) {
                Ok(names) => return Ok(names),
                Err(TokenError::Expired) => refusal = TokenError::Expired,
                Err(TokenError::Invalid) => {}
            }
        }
        Err(refusal)
    }
}

fn validation(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    // Time is checked by our clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

/// The verifier of tokens that the deployment's own login signs, if there is one.
async fn of_login(jwt: &JwtSettings) -> Result<Option<Verifier>, AccessError> {
    let (algorithm, keys) = match jwt.algorithm {
        JwtAlgorithm::None => return Ok(None),
        JwtAlgorithm::HS256 => (Algorithm::HS256, KeySet::of_secret(&jwt.secret)),
        JwtAlgorithm::RS256 => (Algorithm::RS256, KeySet::of_login(jwt).await?),
        JwtAlgorithm::EdDsa => (Algorithm::EdDSA, KeySet::of_login(jwt).await?),
    };
    Ok(Some(Verifier {
        keys,
        validation: validation(algorithm, &jwt.issuer, &jwt.audience),
        algorithm,
        user_claim: jwt.user_claim.clone(),
        hotel_claim: jwt.hotel_claim.clone(),
        life_max: None,
    }))
}

impl Verifier {
    fn names(
        &self,
        token: &str,
        kid: Option<&str>,
        now: i64,
        skew: i64,
    ) -> Result<(HotelId, UserId), TokenError> {
        let claims = self.claims(token, kid)?;
        let instant = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(()));
        let instant = |name: &str| instant(name).transpose().map_err(|()| TokenError::Invalid);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
        let (now, skew) = (now as f64, skew as f64);
        let expires_at = instant("exp")?.ok_or(TokenError::Invalid)?;
        let issued_at = instant("iat")?;
        let starts_at = [instant("nbf")?, issued_at].into_iter().flatten().fold(now, f64::max);
        if starts_at > now + skew {
            return Err(TokenError::Invalid);
        }
        if let Some(life_max) = self.life_max {
            // Nobody signs ours for longer: one that says so was signed by a thief of the secret.
            let life = expires_at - issued_at.ok_or(TokenError::Invalid)?;
            #[expect(clippy::cast_precision_loss, reason = "a day")]
            let life_max = life_max as f64;
            if !(0.0..=life_max).contains(&life) {
                return Err(TokenError::Invalid);
            }
        }
        if now >= expires_at + skew {
            return Err(TokenError::Expired);
        }
        let uuid = |claim: &str| {
            let text = claims.get(claim).and_then(Value::as_str).ok_or(TokenError::Invalid)?;
            text.parse().map_err(|_| TokenError::Invalid)
        };
        Ok((HotelId(uuid(&self.hotel_claim)?), UserId(uuid(&self.user_claim)?)))
    }

    /// What the token says, once its signature, issuer and audience are right.
    fn claims(&self, token: &str, kid: Option<&str>) -> Result<Map<String, Value>, TokenError> {
        let keys = self.keys.keys();
        let mut candidates = keys.iter().filter(|key| key.may_have_signed(kid)).peekable();
        if let (None, Some(kid)) = (candidates.peek(), kid) {
            self.keys.look_for(kid);
        }
        let verified = candidates.find_map(|key| {
            jsonwebtoken::decode(token, &key.key, &self.validation).ok().map(|token| token.claims)
        });
        verified.ok_or(TokenError::Invalid)
    }
}
