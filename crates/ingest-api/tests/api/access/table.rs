//! Every kind of credential against every route.

use super::{assert_refused, assert_refused_what, mint, store_key};
use crate::support::{HOTEL, OTHER_HOTEL, Service};
use plg_core::access::Scope;
use plg_testkit::Backend;
use plg_testkit::access::ROOT_KEY;
use plg_testkit::app::USER;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

/// Kinds of credentials, by a letter.
///
/// | | |
/// |---|---|
/// | `r` | the root key |
/// | `e`, `a`, `u`, `m` | a key with one scope: events:write, actions:write, usage:read, admin |
/// | `b`, `o` | a key with every scope, bound to the hotel; to another one |
/// | `t`, `x` | a session token of the hotel; of another one |
/// | `n`, `g` | none; one that nobody made |
const KINDS: &str = "reaumbotxng";

/// What is called, and by whom it may be.
const TABLE: [(&str, &str, &str); 22] = [
    ("POST", "/v1/events dashboard_view_session", "rebt"),
    ("POST", "/v1/events export_blocked", "reb"),
    ("POST", "/v1/events import_success", "rab"),
    ("POST", "/v1/hotels/{hotel}/imports", "rab"),
    ("POST", "/v1/hotels/{hotel}/exports", "rab"),
    ("POST", "/v1/hotels/{hotel}/seats", "rab"),
    (
        "DELETE",
        "/v1/hotels/{hotel}/seats/00000000-0000-0000-0000-000000000009?user_id={user}",
        "rab",
    ),
    ("GET", "/v1/hotels/{hotel}/seats", "rub"),
    ("GET", "/v1/hotels/{hotel}/usage", "rubt"),
    ("GET", "/v1/hotels/{hotel}/usage/history", "rubt"),
    ("GET", "/v1/hotels/{hotel}/quotas/exports", "rubt"),
    ("GET", "/v1/hotels/{hotel}/events", "rub"),
    ("GET", "/v1/hotels/{hotel}", "rub"),
    ("PUT", "/v1/hotels/{hotel}", "rmb"),
    ("GET", "/v1/rollups", "rm"),
    ("GET", "/v1/rollups/00000000-0000-0000-0000-000000000009", "rm"),
    ("POST", "/v1/session-tokens", "rb"),
    ("GET", "/livez", KINDS),
    ("GET", "/readyz", KINDS),
    ("GET", "/openapi.json", KINDS),
    ("GET", "/docs/", KINDS),
    ("GET", "/client.js", KINDS),
];

fn body(path: &str) -> Option<Value> {
    let (path, event_type) = path.split_once(' ').unwrap_or((path, ""));
    let last = path.rsplit('/').next()?;
    Some(match last {
        "events" if !event_type.is_empty() => json!({
            "event_type": event_type, "hotel_id": HOTEL, "user_id": USER,
            "session_id": "tab", "dedup_key": "job",
        }),
        "imports" => json!({ "job_id": "job", "user_id": USER }),
        "exports" => json!({ "export_id": "export", "user_id": USER }),
        "seats" => json!({ "seat_user_id": USER, "user_id": USER }),
        "{hotel}" => json!({ "plan": "suite", "time_zone": "UTC" }),
        "session-tokens" => json!({ "hotel_id": HOTEL, "user_id": USER }),
        _ => return None,
    })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_opens_what_it_is_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let mut credentials = Vec::new();
    for kind in KINDS.chars() {
        let key = async |scopes: &[Scope], hotels| store_key(&t, scopes, hotels).await.1;
        let credential = match kind {
            'r' => ROOT_KEY.to_owned(),
            'e' => key(&[Scope::EventsWrite], None).await,
            'a' => key(&[Scope::ActionsWrite], None).await,
            'u' => key(&[Scope::UsageRead], None).await,
            'm' => key(&[Scope::Admin], None).await,
            'b' => key(&Scope::ALL, Some(&[HOTEL])).await,
            'o' => key(&Scope::ALL, Some(&[OTHER_HOTEL])).await,
            't' => mint(&t, HOTEL).await,
            'x' => mint(&t, OTHER_HOTEL).await,
            'g' => format!("plg_{}_{}", USER.simple(), "A".repeat(43)),
            _ => String::new(),
        };
        credentials.push((kind, credential));
    }
    for (method, path, allowed) in TABLE {
        let method: Method = method.parse().expect("a method");
        let (target, _) = path.split_once(' ').unwrap_or((path, ""));
        let target =
            target.replace("{hotel}", &HOTEL.to_string()).replace("{user}", &USER.to_string());
        for (kind, credential) in &credentials {
            let api = t.with((*kind != 'n').then_some(credential));
            let mut request = api.request(method.clone(), &target);
            if method != Method::GET
                && let Some(body) = body(path)
            {
                request = request.json(&body);
            }
            let answer = plg_testkit::app::Api::send(request).await;
            if allowed.contains(*kind) {
                assert!(
                    !matches!(answer.status, 401 | 403 | 500..),
                    "{method} {path} with {kind}: {answer:?}"
                );
            } else {
                let what = format!("{method} {path} with {kind}");
                let status = if matches!(kind, 'n' | 'g') { 401 } else { 403 };
                assert_refused_what(&what, &answer, status);
            }
        }
    }
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn items_of_an_array_are_permitted_one_by_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let browser = t.with(Some(&mint(&t, HOTEL).await));
    let item = |event_type: &str, hotel, user| json!({ "event_type": event_type, "hotel_id": hotel, "user_id": user, "dedup_key": "k" });
    let stranger = uuid::Uuid::from_u128(99);
    let items = json!([
        item("upgrade_click", HOTEL, USER),
        item("upgrade_click", OTHER_HOTEL, USER),
        item("upgrade_click", HOTEL, stranger),
        item("import_success", HOTEL, USER),
    ]);
    let answer = browser.post("/v1/events", &items).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().expect("results").clone();
    assert_eq!(results[0]["outcome"], "recorded");
    for (result, field) in results[1..].iter().zip(["hotel_id", "user_id", "event_type"]) {
        let problem = &result["problem"];
        assert_eq!((&problem["code"], &problem["field"]), (&json!("forbidden"), &json!(field)));
    }
    assert_eq!(t.event_types(HOTEL).await, ["upgrade_click"]);
    assert!(t.event_types(OTHER_HOTEL).await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_does_not_tell_whether_the_hotel_exists(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    t.unlimit(OTHER_HOTEL).await;
    t.import(OTHER_HOTEL, "job").await;
    let unknown = uuid::Uuid::from_u128(404);
    let bound = store_key(&t, &Scope::ALL, Some(&[HOTEL])).await.1;
    for credential in [mint(&t, HOTEL).await, bound] {
        let api = t.with(Some(&credential));
        for path in ["/usage", "/usage/history", "/quotas/imports", "/events", "/seats", ""] {
            let there = api.get(&format!("/v1/hotels/{OTHER_HOTEL}{path}")).await;
            let nowhere = api.get(&format!("/v1/hotels/{unknown}{path}")).await;
            assert_refused(&there, 403);
            assert_eq!((there.status, there.body), (nowhere.status, nowhere.body), "{path}");
        }
    }
}
