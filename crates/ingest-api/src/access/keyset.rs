//! Keys that verify tokens: fixed ones, or those that a login publishes at a URL and changes when it wants.

use super::AccessError;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use plg_service::settings::access::{JwtSettings, without_secrets};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long a login may take to say its keys.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// Largest key set, in bytes.
const SET_MAX_BYTES: usize = 256 * 1024;
/// How often the keys are fetched again.
const REFRESH_PAUSE: Duration = Duration::from_secs(300);
/// How often at most: after a failure, and when a token names a key that is not known.
const REFRESH_PAUSE_MIN: Duration = Duration::from_secs(10);

/// A key that signs tokens, and its name in their headers if it has one.
pub(super) struct Key {
    kid: Option<String>,
    pub(super) key: DecodingKey,
}

impl Key {
    pub(super) fn may_have_signed(&self, kid: Option<&str>) -> bool {
        match (kid, self.kid.as_deref()) {
            (Some(kid), Some(own)) => kid == own,
            _ => true,
        }
    }
}

/// The keys that are valid now.
pub(super) struct KeySet {
    keys: RwLock<Arc<[Key]>>,
    unknown: Notify,
}

impl KeySet {
    fn new(keys: Vec<Key>) -> Arc<Self> {
        Arc::new(Self { keys: RwLock::new(keys.into()), unknown: Notify::new() })
    }

    pub(super) fn of_secret(secret: &SecretString) -> Arc<Self> {
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self::new(vec![Key { kid: None, key }])
    }

    /// Of the deployment's own login: of its file, or of its URL, where they are looked up again and
    /// again on the current runtime.
    pub(super) async fn of_login(jwt: &JwtSettings) -> Result<Arc<Self>, AccessError> {
        if !jwt.jwks_file.is_empty() {
            let file = &jwt.jwks_file;
            let error = |cause: String| AccessError::KeySet { place: file.clone(), cause };
            let text = std::fs::read_to_string(file).map_err(|cause| error(cause.to_string()))?;
            return Ok(Self::new(parse(text.as_bytes()).map_err(error)?));
        }
        let place = without_secrets(&jwt.jwks_url);
        let error = |cause: String| AccessError::KeySet { place: place.clone(), cause };
        let url: Url = jwt.jwks_url.parse().map_err(|_| error("is no URL".to_owned()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error("must not hold credentials: a key set is public".to_owned()));
        }
        // Whoever can change the keys on their way could sign tokens.
        let is_local = url.host_str().is_some_and(|host| matches!(host, "127.0.0.1" | "localhost"));
        if url.scheme() != "https" && !is_local {
            return Err(error("must be https".to_owned()));
        }
        let client = Client::builder().redirect(Policy::none()).timeout(FETCH_DEADLINE).build();
        let client = client.map_err(|cause| error(cause.to_string()))?;
        let set = Self::new(Vec::new());
        // A login that is away for the moment must not keep those out who have service keys.
        let pause = set.refresh(&client, &url).await;
        tokio::spawn(keep_fresh(Arc::downgrade(&set), client, url, pause));
        Ok(set)
    }

    pub(super) fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Somebody presents a token of a key that is not known: perhaps it is new.
    pub(super) fn look_for(&self, kid: &str) {
        tracing::debug!(kid, "a token names a key that is not known");
        self.unknown.notify_one();
    }

    /// Fetches the keys, and says when to do it again.
    async fn refresh(&self, client: &Client, url: &Url) -> Duration {
        match fetch(client, url).await {
            Ok(keys) => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
                REFRESH_PAUSE
            }
            Err(cause) => {
                let url = without_secrets(url.as_str());
                tracing::warn!(url, cause, "the login's keys stay as they were");
                REFRESH_PAUSE_MIN
            }
        }
    }
}

/// Until the service ends.
async fn keep_fresh(set: Weak<KeySet>, client: Client, url: Url, mut pause: Duration) {
    loop {
        sleep(REFRESH_PAUSE_MIN).await;
        let Some(set) = set.upgrade() else { return };
        let rest = pause.saturating_sub(REFRESH_PAUSE_MIN);
        // In time, or as soon as somebody asks for more.
        let _ = timeout(rest, set.unknown.notified()).await;
        pause = set.refresh(&client, &url).await;
    }
}

async fn fetch(client: &Client, url: &Url) -> Result<Vec<Key>, String> {
    let failed = |error: reqwest::Error| error.without_url().to_string();
    let response = client.get(url.clone()).send().await.map_err(failed)?;
    let mut response = response.error_for_status().map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > SET_MAX_BYTES {
            return Err(format!("is larger than {SET_MAX_BYTES} bytes"));
        }
    }
    parse(&body)
}

/// Keys that are not understood are left out (RFC 7517, section 5), as long as there are others.
fn parse(text: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }

    let set: Set = serde_json::from_slice(text).map_err(|cause| cause.to_string())?;
    let key = |jwk: serde_json::Value| {
        let jwk: Jwk = serde_json::from_value(jwk).map_err(|cause| cause.to_string())?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|cause| cause.to_string())?;
        Ok(Key { kid: jwk.common.key_id, key })
    };
    let (mut keys, mut causes) = (Vec::new(), Vec::new());
    for jwk in set.keys {
        key(jwk).map_or_else(|cause: String| causes.push(cause), |key| keys.push(key));
    }
    match causes.as_slice() {
        [] if keys.is_empty() => Err("holds no key".to_owned()),
        [cause, ..] if keys.is_empty() => Err(format!("holds no key that can be used: {cause}")),
        causes => {
            for cause in causes {
                tracing::warn!(cause, "one of the login's keys is left out");
            }
            Ok(keys)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Answers one request after another, each with the next body.
    fn login(bodies: Vec<&'static str>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || {
            for body in bodies {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4_096]);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", body.len());
                let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}");
            }
        });
        url
    }

    #[tokio::test]
    async fn keys_change_with_those_of_the_login_and_stay_when_it_is_away() {
        let old = r#"{"keys": [{"kty": "oct", "kid": "old", "k": "AAAA"}]}"#;
        let new = r#"{"keys": [{"kty": "oct", "kid": "new", "k": "AAAA"}]}"#;
        let (url, set) = (login(vec![old, new, "nonsense"]), KeySet::new(Vec::new()));
        let client = Client::new();
        let kids = || set.keys().iter().map(|key| key.kid.clone().unwrap()).collect::<Vec<_>>();
        for (pause, known) in
            [(REFRESH_PAUSE, "old"), (REFRESH_PAUSE, "new"), (REFRESH_PAUSE_MIN, "new")]
        {
            assert_eq!(set.refresh(&client, &url).await, pause);
            assert_eq!(kids(), [known]);
        }
    }

    #[test]
    fn keys_that_are_not_understood_are_left_out() {
        let understood = r#"{"kty": "oct", "kid": "mine", "k": "AAAA"}"#;
        for other in [
            r#"{"kty": "AKP", "kid": "of the future", "alg": "ML-DSA-44", "pub": "AAAA"}"#,
            r#"{"kty": "oct", "kid": "odd", "k": "/"}"#,
            r#"{"kty": "RSA", "kid": "half"}"#,
            r#""text""#,
        ] {
            let keys = parse(format!(r#"{{"keys": [{other}, {understood}]}}"#).as_bytes()).unwrap();
            assert_eq!(
                keys.iter().map(|key| key.kid.as_deref()).collect::<Vec<_>>(),
                [Some("mine")]
            );
            let cause = parse(format!(r#"{{"keys": [{other}]}}"#).as_bytes()).err().unwrap();
            assert!(cause.starts_with("holds no key that can be used: "), "{cause}");
        }
        for nothing in [r#"{"keys": []}"#, r#"{"keys": 1}"#, "[]", ""] {
            assert!(parse(nothing.as_bytes()).is_err(), "{nothing}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_not_known_is_looked_for_though_not_all_the_time() {
        let set = KeySet::new(Vec::new());
        let began = tokio::time::Instant::now();
        set.look_for("a new one");
        set.look_for("and another");
        let asked = |pause| timeout(pause, set.unknown.notified());
        assert!(asked(REFRESH_PAUSE).await.is_ok());
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(asked(REFRESH_PAUSE).await.is_err(), "two were looked for at once");
    }
}
