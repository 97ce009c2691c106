//! Tokens that a deployment's own login signs.

use super::mint;
use crate::support::{HOTEL, NOON, Service};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use plg_service::settings::access::{JwtAlgorithm, JwtSettings};
use plg_testkit::Backend;
use plg_testkit::app::USER;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

/// A key of a login.
fn ed25519(seed: u8) -> EncodingKey {
    // An Ed25519 key in PKCS #8 is this header and 32 bytes.
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend([seed; 32]);
    EncodingKey::from_ed_der(&der)
}

/// What a login says of its keys.
fn key_set(keys: &[(&EncodingKey, &str)]) -> String {
    let jwk = |(key, kid): &(&EncodingKey, &str)| {
        let mut jwk = Jwk::from_encoding_key(key, Algorithm::EdDSA).expect("a key");
        jwk.common.key_id = Some((*kid).to_owned());
        jwk
    };
    json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()
}

fn trust_login(jwt: &mut JwtSettings, algorithm: JwtAlgorithm) {
    jwt.algorithm = algorithm;
    jwt.issuer = "https://login.example".to_owned();
    jwt.audience = "usage".to_owned();
    jwt.user_claim = "uid".to_owned();
    jwt.hotel_claim = "property".to_owned();
}

/// What a good token of the login says.
fn claims(now: i64) -> Value {
    json!({
        "iss": "https://login.example", "aud": ["app", "usage"], "exp": now + 36_000,
        "uid": USER, "property": HOTEL, "sub": "anna@example",
    })
}

/// A login that answers every request so, for as long as the test runs. Says its URL.
fn login(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4_096]);
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
            let _ = write!(stream, "{head}Connection: close\r\n\r\n{body}");
        }
    });
    url
}

async fn with_login_at(url: &str) -> Service {
    Service::start_with(Backend::Sqlite, NOON, |settings| {
        trust_login(&mut settings.access.jwt, JwtAlgorithm::EdDsa);
        settings.access.jwt.jwks_url = url.to_owned();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_may_publish_its_keys() {
    let (old, new, other) = (ed25519(1), ed25519(2), ed25519(3));
    let t = with_login_at(&login("200 OK", key_set(&[(&old, "old"), (&new, "new")]))).await;
    let claims = claims(t.clock.shared().now().timestamp());
    for (key, kid, expected) in [(&old, "old", 200), (&new, "new", 200), (&other, "new", 401)] {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, key).expect("signed");
        let answer = t.with(Some(&token)).get(&format!("/v1/hotels/{HOTEL}/usage")).await;
        assert_eq!(answer.status, expected, "{kid}: {answer:?}");
    }
}

/// Whoever has a service key is served though the login is away, or says nonsense.
#[rstest]
#[case::broken("500 Internal Server Error", "{}".to_owned())]
#[case::elsewhere("302 Found", "{}".to_owned())]
#[case::nonsense("200 OK", "<html>".to_owned())]
#[case::without_keys("200 OK", json!({ "keys": [] }).to_string())]
#[case::endless("200 OK", "x".repeat(300_000))]
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_away_keeps_out_only_its_own(
    #[case] status: &'static str,
    #[case] body: String,
) {
    let t = with_login_at(&login(status, body)).await;
    let path = format!("/v1/hotels/{HOTEL}/usage");
    let claims = claims(t.clock.shared().now().timestamp());
    let token = encode(&Header::new(Algorithm::EdDSA), &claims, &ed25519(1)).expect("signed");
    assert_eq!(t.with(Some(&token)).get(&path).await.status, 401);
    assert_eq!(t.get(&path).await.status, 200);
    assert_eq!(t.with(Some(&mint(&t, HOTEL).await)).get(&path).await.status, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_ones_own_may_sign(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(JwtAlgorithm::HS256, JwtAlgorithm::EdDsa)] algorithm: JwtAlgorithm,
) {
    let ed = ed25519(7);
    let secret = "the-secret-of-the-login-of-the-application";
    let folder = std::env::temp_dir()
        .join(format!("plg-jwks-{}-{backend:?}-{algorithm:?}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("jwks.json");
    std::fs::write(&file, key_set(&[(&ed, "of-2026")])).expect("written");

    let t = Service::start_with(backend, NOON, |settings| {
        trust_login(&mut settings.access.jwt, algorithm);
        settings.access.jwt.secret = SecretString::from(secret);
        settings.access.jwt.jwks_file = file.display().to_string();
    })
    .await;
    let now = t.clock.shared().now().timestamp();
    let good = claims(now);
    let sign = |with: JwtAlgorithm, kid: &str, claims: &serde_json::Value| {
        let (algorithm, key) = match with {
            JwtAlgorithm::EdDsa => (Algorithm::EdDSA, &ed),
            _ => (Algorithm::HS256, &EncodingKey::from_secret(secret.as_bytes())),
        };
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
        encode(&header, claims, key).expect("signed")
    };
    let path = format!("/v1/hotels/{HOTEL}/usage");
    let status = async |token: String| t.with(Some(&token)).get(&path).await.status;
    assert_eq!(status(sign(algorithm, "of-2026", &good)).await, 200);
    assert_eq!(status(mint(&t, HOTEL).await).await, 200, "ours are valid beside them");

    let other = match algorithm {
        JwtAlgorithm::EdDsa => JwtAlgorithm::HS256,
        _ => JwtAlgorithm::EdDsa,
    };
    assert_eq!(status(sign(other, "of-2026", &good)).await, 401, "the algorithm is pinned");
    if algorithm == JwtAlgorithm::EdDsa {
        assert_eq!(status(sign(algorithm, "of-2025", &good)).await, 401, "an unknown key");
        // The public key is no secret: it must not do as one.
        let public = URL_SAFE_NO_PAD.encode([7u8; 32]);
        let key = EncodingKey::from_secret(public.as_bytes());
        let forged = encode(&Header::new(Algorithm::HS256), &good, &key).expect("signed");
        assert_eq!(status(forged).await, 401);
    }
    for (claim, wrong) in [
        ("iss", json!("https://login.other")),
        ("aud", json!("app")),
        ("exp", json!(now - 31)),
        ("nbf", json!(now + 31)),
        ("uid", json!("anna")),
        ("property", json!(null)),
    ] {
        let mut claims = good.clone();
        claims[claim] = wrong;
        assert_eq!(status(sign(algorithm, "of-2026", &claims)).await, 401, "{claim}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}
