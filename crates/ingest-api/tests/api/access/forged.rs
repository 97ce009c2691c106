//! Tokens that nobody should accept.

use super::{assert_refused_what, mint};
use crate::support::{HOTEL, OTHER_HOTEL, Service};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use plg_testkit::Backend;
use plg_testkit::access::{ROOT_KEY, SESSION_SECRET};
use plg_testkit::app::{Api, USER};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

/// Claims of a good token at this second, with some of them changed (null: left out).
fn claims(now: i64, change: &Value) -> Value {
    let mut claims = json!({
        "iss": "plg", "aud": "plg", "sub": USER, "hotel_id": HOTEL, "iat": now, "exp": now + 900,
    });
    let map = claims.as_object_mut().expect("an object");
    map.extend(change.as_object().expect("an object").clone());
    map.retain(|_, value| !value.is_null());
    claims
}

fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).expect("signed")
}

fn forgeries(now: i64, good: &str, others: &str) -> Vec<(String, String)> {
    let mut forged: Vec<(String, String)> = Vec::new();
    let mut add = |what: String, token: String| forged.push((what, token));
    let hs256 = |change| sign(Algorithm::HS256, SESSION_SECRET, &claims(now, &change));
    let parts: Vec<&str> = good.split('.').collect();
    let base64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());

    for length in 0..good.len() {
        add(format!("truncated to {length}"), good[..length].to_owned());
    }
    for place in 0..parts[2].len() {
        let mut signature = parts[2].as_bytes().to_vec();
        signature[place] = if signature[place] == b'A' { b'Q' } else { b'A' };
        let signature = String::from_utf8(signature).expect("ASCII");
        add(
            format!("signature changed at {place}"),
            format!("{}.{}.{signature}", parts[0], parts[1]),
        );
    }
    for number in 0..40 {
        let secret = format!("{SESSION_SECRET}{number}");
        add(
            format!("wrong key {number}"),
            sign(Algorithm::HS256, &secret, &claims(now, &json!({}))),
        );
    }
    add("no key".to_owned(), sign(Algorithm::HS256, "", &claims(now, &json!({}))));
    for alg in ["none", "None", "NONE", "nOnE", "", "HS1", "RS256", "ES256", "EdDSA", "PS256"] {
        let header = base64(&json!({ "alg": alg, "typ": "JWT" }));
        for signature in ["", parts[2]] {
            add(format!("alg {alg:?}"), format!("{header}.{}.{signature}", parts[1]));
        }
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        add(format!("{algorithm:?}"), sign(algorithm, SESSION_SECRET, &claims(now, &json!({}))));
    }
    for late in [31, 60, 900, 86_400, 31_536_000] {
        let change = json!({ "iat": now - late - 900, "exp": now - late });
        add(format!("expired for {late} s"), hs256(change));
    }
    for early in [31, 60, 900, 86_400, 31_536_000] {
        add(
            format!("from {early} s ahead"),
            hs256(json!({ "iat": now + early, "exp": now + early + 900 })),
        );
        add(format!("not before {early} s"), hs256(json!({ "nbf": now + early })));
    }
    for life in [86_401, 31_536_000, -1] {
        add(format!("lives {life} s"), hs256(json!({ "exp": now + life })));
    }
    for claim in ["iss", "aud", "sub", "hotel_id", "iat", "exp"] {
        add(format!("without {claim}"), hs256(json!({ claim: null })));
        for wrong in [json!(""), json!("other"), json!(true), json!([]), json!({})] {
            add(format!("{claim} is {wrong}"), hs256(json!({ claim: wrong })));
        }
    }
    // Another's claims under our signature, and the other way round.
    let swapped = base64(&claims(now, &json!({ "hotel_id": OTHER_HOTEL })));
    add("swapped claims".to_owned(), format!("{}.{swapped}.{}", parts[0], parts[2]));
    let theirs: Vec<&str> = others.split('.').collect();
    add("another's claims".to_owned(), format!("{}.{}.{}", parts[0], theirs[1], parts[2]));
    add("another's signature".to_owned(), format!("{}.{}.{}", parts[0], parts[1], theirs[2]));
    add("four parts".to_owned(), format!("{good}.{}", parts[2]));
    add("long".to_owned(), format!("{}.{}{}.{}", parts[0], parts[1], "A".repeat(7_000), parts[2]));
    forged
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn forged_and_stale_tokens_open_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let path = format!("/v1/hotels/{HOTEL}/usage");
    let now = t.clock.shared().now().timestamp();
    let (good, others) = (mint(&t, HOTEL).await, mint(&t, OTHER_HOTEL).await);
    let ours = sign(Algorithm::HS256, SESSION_SECRET, &claims(now, &json!({})));
    for valid in [&good, &ours] {
        assert_eq!(
            t.with(Some(valid)).get(&path).await.status,
            200,
            "the forger starts from these"
        );
    }
    let forged = forgeries(now, &good, &others);
    assert!(forged.len() >= 200, "{}", forged.len());
    for (what, token) in forged {
        assert_refused_what(
            &format!("{what}: {token}"),
            &t.with(Some(&token)).get(&path).await,
            401,
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_says_once_who_he_is_and_as_is_asked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let path = format!("/v1/hotels/{HOTEL}/usage");
    let good = format!("bearer {ROOT_KEY}");
    let basic = format!("Basic {ROOT_KEY}");
    for (values, complaint) in [
        (&[][..], "send Authorization: Bearer"),
        (&[&*good, &*good], "send Authorization once"),
        (&[&*good, "Bearer other"], "send Authorization once"),
        (&["Bearer other", &*good], "send Authorization once"),
        (&[ROOT_KEY], "Authorization must be Bearer"),
        (&[&*basic], "Authorization must be Bearer"),
        (&["Bearer schl\u{fc}ssel"], "Authorization must be ASCII"),
    ] {
        let mut request = t.with(None).request(Method::GET, &path);
        for value in values {
            request = request.header("Authorization", *value);
        }
        let answer = Api::send(request).await;
        assert_refused_what(complaint, &answer, 401);
        let detail = answer.body["detail"].as_str().expect("what to do");
        assert!(detail.starts_with(complaint), "{values:?}: {detail}");
    }
    let request = t.with(None).request(Method::GET, &path).header("Authorization", good);
    assert_eq!(Api::send(request).await.status, 200);
}
