//! The service does not start when nobody, or anybody, could call.

use super::store_key;
use crate::support::{HOTEL, NOON, Service};
use futures_util::future::join_all;
use ingest_api::Application;
use plg_core::access::Scope;
use plg_service::Settings;
use plg_service::settings::access::JwtAlgorithm;
use plg_testkit::{Backend, TestApp, TestClock, TestDatabase};
use reqwest::Method;
use rstest::rstest;
use secrecy::SecretString;

async fn complaint(settings: &Settings) -> String {
    let built = Application::build(settings, TestClock::at(NOON).shared()).await;
    built.err().expect("it does not start").to_string()
}

fn without_access(database: &TestDatabase) -> Settings {
    let mut settings = database.settings();
    settings.access.root_key = SecretString::default();
    settings.access.session_secret = SecretString::default();
    settings
}

#[rstest]
#[case::embedded_for_everybody(Backend::Sqlite, "0.0.0.0")]
#[case::embedded_for_everybody_on_ipv6(Backend::Sqlite, "::")]
#[case::a_server(Backend::Postgres, "127.0.0.1")]
#[case::a_server_for_everybody(Backend::Postgres, "0.0.0.0")]
#[tokio::test(flavor = "multi_thread")]
async fn it_needs_a_key_and_a_secret(#[case] backend: Backend, #[case] host: &str) {
    let t = Service::start(backend).await;
    let mut settings = without_access(&t.database);
    settings.server.host = host.parse().expect("an address");
    let said = complaint(&settings).await;
    assert!(
        said.contains("ingest-api keys create") && said.contains("PLG__ACCESS__ROOT_KEY"),
        "{said}"
    );
    store_key(&t, &[Scope::UsageRead], None).await;
    let said = complaint(&settings).await;
    assert!(said.contains("PLG__ACCESS__SESSION_SECRET"), "{said}");
    settings.access.session_secret = SecretString::from("0123456789abcdef0123456789abcdef");
    TestApp::start_with(&settings, &t.clock).await;
}

#[rstest]
#[case::on_its_way_anybody_could_change_it("http://login.example/keys", "must be https")]
#[case::no_url("login.example?key=geheim", "is no URL")]
#[case::a_password("https://me:geheim@login.example/keys", "must not hold credentials")]
#[tokio::test(flavor = "multi_thread")]
async fn it_needs_a_key_set_that_it_can_trust(#[case] url: &str, #[case] expected: &str) {
    let t = Service::start(Backend::Sqlite).await;
    let mut settings = t.database.settings();
    let jwt = &mut settings.access.jwt;
    jwt.algorithm = JwtAlgorithm::RS256;
    jwt.issuer = "https://login.example".to_owned();
    jwt.audience = "usage".to_owned();
    jwt.jwks_url = url.to_owned();
    let said = complaint(&settings).await;
    assert!(said.contains(expected) && !said.contains("geheim"), "{said}");
    assert!(said.contains("login.example"), "{said}");
    settings.access.jwt.jwks_file = "/etc/keys.json".to_owned();
    let said = complaint(&settings).await;
    assert!(said.contains("not both"), "{said}");
}

/// SQLite only: the embedded default is what people try first.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_default_makes_a_key_for_loopback() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let settings = without_access(&database);
    let clock = TestClock::at(NOON);
    let file = format!("{}.key", settings.database.url.file().expect("a file").display());
    let app = TestApp::start_with(&settings, &clock).await;
    let key = std::fs::read_to_string(&file).expect("kept");
    let key = key.trim();
    assert!(key.len() >= 43, "{key}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(app.api.with(None).import(HOTEL, "job").await.status, 401);
    assert_eq!(app.api.with(Some(key)).import(HOTEL, "job").await.status, 201);
    app.stop().await;

    let again = TestApp::start_with(&settings, &clock).await;
    assert_eq!(again.api.with(Some(key)).import(HOTEL, "job").await.status, 200, "the same key");
    again.stop().await;

    let mut exposed = settings.clone();
    exposed.server.host = "0.0.0.0".parse().expect("an address");
    exposed.access.root_key = SecretString::from("0123456789abcdef0123456789abcdef");
    exposed.access.session_secret = exposed.access.root_key.clone();
    let exposed = TestApp::start_with(&exposed, &clock).await;
    let reached = plg_testkit::app::Api::new(([127, 0, 0, 1], exposed.address.port()).into());
    assert_eq!(reached.with(Some(key)).import(HOTEL, "job").await.status, 401, "loopback only");
    exposed.stop().await;

    std::fs::write(&file, "").expect("written");
    let said = complaint(&settings).await;
    assert!(said.contains(&file) && said.contains("holds no key"), "{said}");
}

/// SQLite only: on a server somebody migrates first, and the keys are there.
#[tokio::test(flavor = "multi_thread")]
async fn services_that_start_at_once_on_a_new_file_share_it_and_its_key() {
    let database = TestDatabase::empty(Backend::Sqlite).await;
    let settings = without_access(&database);
    let clock = TestClock::at(NOON);
    let starting = (0..4).map(|_| {
        let (settings, clock) = (settings.clone(), clock.clone());
        tokio::spawn(async move { TestApp::start_with(&settings, &clock).await })
    });
    let started = join_all(starting.collect::<Vec<_>>()).await;
    let file = format!("{}.key", settings.database.url.file().expect("a file").display());
    let key = std::fs::read_to_string(&file).expect("kept");
    for (number, app) in started.into_iter().enumerate() {
        let app = app.expect("it starts");
        let answer = app.api.with(Some(key.trim())).import(HOTEL, &format!("job-{number}")).await;
        assert_eq!(answer.status, if number < 3 { 201 } else { 402 });
        app.stop().await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_listed_origins_may_call(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_with(backend, NOON, |settings| {
        settings.server.cors_origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let preflight = async |origin: &str| {
        let request = t
            .with(None)
            .request(Method::OPTIONS, "/v1/events")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "authorization,content-type,x-session-id,idempotency-key,traceparent",
            );
        request.send().await.expect("an answer")
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.status().as_u16(), 200);
    let header = |name: &str| allowed.headers().get(name).and_then(|v| v.to_str().ok());
    assert_eq!(header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(header("access-control-max-age"), Some("7200"));
    assert_eq!(header("access-control-allow-credentials"), None);
    let refused = preflight("https://evil.example").await;
    assert_eq!(refused.headers().get("access-control-allow-origin"), None);

    // A page can read why it was refused, and whether it sent something again.
    let request = t.with(None).request(Method::POST, "/v1/events");
    let answer = request.header("Origin", "https://app.example").send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 401);
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    assert_eq!(header("access-control-allow-origin"), Some("https://app.example"));
    let exposed = header("access-control-expose-headers").expect("exposed").to_lowercase();
    for name in ["ratelimit", "retry-after", "etag", "idempotent-replayed"] {
        assert!(exposed.contains(name), "{exposed}");
    }

    let mut settings = t.database.settings();
    for (wrong, right) in [
        ("*", "such as https://app.example"),
        ("null", "such as https://app.example"),
        ("app.example", "such as https://app.example"),
        ("app:8080", "such as https://app.example"),
        ("https://*.example", "such as https://app.example"),
        ("https://app.example:99999", "such as https://app.example"),
        ("https://app.example:x", "such as https://app.example"),
        ("https://[::1", "such as https://app.example"),
        ("https://app.example/path", "write \"https://app.example\""),
        ("https://app.example/", "write \"https://app.example\""),
        ("https://App.Example", "write \"https://app.example\""),
        ("https://user@app.example", "write \"https://app.example\""),
        ("https://app.example:443", "write \"https://app.example\""),
        ("https://bücher.example", "write \"https://xn--bcher-kva.example\""),
    ] {
        settings.server.cors_origins = vec![wrong.to_owned()];
        let said = complaint(&settings).await;
        assert!(said.contains("cors_origins") && said.contains(wrong), "{said}");
        assert!(said.contains(right), "{said}");
    }
    let right = ["http://localhost:3000", "http://[::1]:3000", "https://xn--bcher-kva.example"];
    settings.server.cors_origins = right.map(str::to_owned).into();
    let app = TestApp::start_with(&settings, &t.clock).await;
    assert_eq!(app.api.get("/livez").await.status, 200);
}
