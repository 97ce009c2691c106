//! Session tokens: ours, and those of a deployment's own login.

use super::{assert_refused, mint};
use crate::support::{HOTEL, NOON, Service};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use plg_service::access::JwtAlgorithm;
use plg_testkit::Backend;
use plg_testkit::app::USER;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::json;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_valid_for_its_time_and_the_clocks_skew(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let body = json!({ "hotel_id": HOTEL, "user_id": USER });
    let minted = t.post("/v1/session-tokens", &body).await;
    assert_eq!(minted.body["expires_at"], "2026-11-15T12:15:00Z");
    let browser = t.with(minted.body["token"].as_str());
    let path = format!("/v1/hotels/{HOTEL}/usage");
    t.wait(TimeDelta::seconds(900 + 29));
    assert_eq!(browser.get(&path).await.status, 200);
    t.wait(TimeDelta::seconds(1));
    let stale = browser.get(&path).await;
    assert_refused(&stale, 401);
    assert!(stale.body["detail"].as_str().expect("text").contains("expired"), "{stale:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_changed_without_downtime(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let old = "the-secret-that-was-used-until-yesterday";
    let t = Service::start_with(backend, NOON, |settings| {
        settings.access.session_secret = SecretString::from(old);
    })
    .await;
    let token = mint(&t, HOTEL).await;
    let mut settings = t.database.settings();
    let path = format!("/v1/hotels/{HOTEL}/usage");
    for (previous, status) in [("", 401), (old, 200)] {
        settings.access.previous_session_secret = SecretString::from(previous);
        let app = plg_testkit::TestApp::start_with(&settings, &t.clock).await;
        assert_eq!(app.api.with(Some(&token)).get(&path).await.status, status);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_ones_own_may_sign(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(JwtAlgorithm::HS256, JwtAlgorithm::EdDsa)] algorithm: JwtAlgorithm,
) {
    // An Ed25519 key in PKCS #8 is this header and 32 bytes.
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend([7u8; 32]);
    let ed = EncodingKey::from_ed_der(&der);
    let secret = "the-secret-of-the-login-of-the-application";
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&ed, Algorithm::EdDSA).expect("a key");
    jwk.common.key_id = Some("of-2026".to_owned());
    let folder = std::env::temp_dir()
        .join(format!("plg-jwks-{}-{backend:?}-{algorithm:?}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("jwks.json");
    std::fs::write(&file, json!({ "keys": [jwk] }).to_string()).expect("written");

    let t = Service::start_with(backend, NOON, |settings| {
        let jwt = &mut settings.access.jwt;
        jwt.algorithm = algorithm;
        jwt.secret = SecretString::from(secret);
        jwt.jwks_file = file.display().to_string();
        jwt.issuer = "https://login.example".to_owned();
        jwt.audience = "usage".to_owned();
        jwt.user_claim = "uid".to_owned();
        jwt.hotel_claim = "property".to_owned();
    })
    .await;
    let now = t.clock.shared().now().timestamp();
    let good = json!({
        "iss": "https://login.example", "aud": ["app", "usage"], "exp": now + 36_000,
        "uid": USER, "property": HOTEL, "sub": "anna@example",
    });
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
