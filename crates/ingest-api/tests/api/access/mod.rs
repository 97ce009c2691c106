//! Who may call what, with which credential.

mod forged;
mod keys;
mod login;
mod start;
mod table;
mod tokens;

use crate::support::Service;
use ingest_api::access::key;
use plg_core::access::{Grant, Scope};
use plg_core::ids::HotelId;
use plg_store::api_keys::{self, ApiKey};
use plg_testkit::app::{Answer, USER};
use serde_json::json;
use uuid::Uuid;

/// Stores a new key, as `ingest-api keys create` does.
pub(crate) async fn store_key(
    t: &Service,
    scopes: &[Scope],
    hotels: Option<&[Uuid]>,
) -> (Uuid, String) {
    let (key_id, key) = key::generate().expect("random numbers");
    let hotels = hotels.map(|hotels| hotels.iter().copied().map(HotelId).collect());
    let stored = ApiKey {
        key_id,
        name: "backend".to_owned(),
        secret_hash: key::hash(&key),
        grant: Grant { scopes: scopes.iter().copied().collect(), hotels },
        created_at: t.clock.shared().now(),
        revoked_at: None,
        last_used_at: None,
    };
    api_keys::insert(&t.books().await, &stored).await.expect("stored");
    (key_id, key)
}

/// A session token of the tests' user.
pub(crate) async fn mint(t: &Service, hotel: Uuid) -> String {
    let body = json!({ "hotel_id": hotel, "user_id": USER });
    let answer = t.post("/v1/session-tokens", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["token"].as_str().expect("a token").to_owned()
}

fn assert_refused(answer: &Answer, status: u16) {
    assert_refused_what("", answer, status);
}

fn assert_refused_what(what: &str, answer: &Answer, status: u16) {
    let code = if status == 401 { "unauthenticated" } else { "forbidden" };
    assert_eq!((answer.status, answer.code()), (status, code), "{what} {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
}
