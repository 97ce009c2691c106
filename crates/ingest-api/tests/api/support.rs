//! What the tests share: a service on a database of its own, with a clock to set.

use chrono::TimeDelta;
use plg_service::Settings;
use plg_testkit::app::{Answer, TestApp, hotel};
use plg_testkit::{Backend, TestClock, TestDatabase, app::Api, ledger};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The hotel of a test that needs but one.
pub(crate) const HOTEL: Uuid = hotel(1);
/// Another one.
pub(crate) const OTHER_HOTEL: Uuid = hotel(2);
/// When a test begins that does not care.
pub(crate) const NOON: &str = "2026-11-15T12:00:00Z";

/// The service under test. It answers as an [`Api`].
pub(crate) struct Service {
    app: TestApp,
    pub(crate) clock: TestClock,
    pub(crate) database: TestDatabase,
    settings: Settings,
}

impl Deref for Service {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.app.api
    }
}

impl Service {
    /// On an empty database.
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::start_at(backend, NOON).await
    }

    /// On an empty database, at an instant.
    pub(crate) async fn start_at(backend: Backend, instant: &str) -> Self {
        Self::start_with(backend, instant, |_| {}).await
    }

    /// On an empty database, at an instant, with some settings of its own.
    pub(crate) async fn start_with(
        backend: Backend,
        instant: &str,
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let database = TestDatabase::new(backend).await;
        let mut settings = database.settings();
        set(&mut settings);
        let clock = TestClock::at(instant);
        let app = TestApp::start_with(&settings, &clock).await;
        Self { app, clock, database, settings }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.app.stop().await;
    }

    /// Another replica on the same database.
    pub(crate) async fn replica(&self) -> Api {
        TestApp::start_with(&self.settings, &self.clock).await.api
    }

    /// What it counts about itself: the value of one series, 0 where there is none.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let text = self.app.metrics.text("/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Everything that it counts about itself.
    pub(crate) async fn metrics(&self) -> String {
        self.app.metrics.text("/metrics").await
    }

    /// A way into the database behind the service's back.
    pub(crate) async fn books(&self) -> DatabaseConnection {
        self.database.connect().await
    }

    /// Checks every counter against the events.
    pub(crate) async fn assert_balanced(&self) {
        ledger::assert_balanced(&self.books().await).await;
    }

    /// How many rows each table has.
    pub(crate) async fn census(&self) -> Vec<(&'static str, i64)> {
        const TABLES: [&str; 6] =
            ["product_event", "event_gate", "event_window", "usage_monthly", "seat", "hotel"];
        let books = self.books().await;
        let mut census = Vec::new();
        for table in TABLES {
            let rows = ledger::number(&books, &format!("select count(*) as n from {table}")).await;
            census.push((table, rows));
        }
        census
    }

    /// Moves the clock on.
    pub(crate) fn wait(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Gives a hotel limits of its own, on the standard plan.
    pub(crate) async fn limit(&self, hotel: Uuid, limits: Value) {
        let body = json!({ "plan": "standard", "time_zone": "UTC", "limits": limits });
        let answer = self.put(&format!("/v1/hotels/{hotel}"), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Registers a hotel on the unlimited plan.
    pub(crate) async fn unlimit(&self, hotel: Uuid) {
        let answer = self.register(hotel, "suite", "UTC").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The units used of imports, exports and seats now.
    pub(crate) async fn all_used(&self, hotel: Uuid) -> [i64; 3] {
        let usage = self.get(&format!("/v1/hotels/{hotel}/usage")).await.body;
        used(&usage["quotas"])
    }

    /// A hotel's events, oldest first.
    pub(crate) async fn events(&self, hotel: Uuid) -> Vec<Value> {
        let answer = self.get(&format!("/v1/hotels/{hotel}/events?limit=1000")).await;
        let mut events = list(&answer.body["events"]);
        events.reverse();
        events
    }

    /// How many events of a type a hotel has.
    pub(crate) async fn count(&self, hotel: Uuid, event_type: &str) -> usize {
        self.event_types(hotel).await.iter().filter(|name| *name == event_type).count()
    }
}

/// The units used of imports, exports and seats, from a `quotas` object.
pub(crate) fn used(quotas: &Value) -> [i64; 3] {
    ["imports", "exports", "active_users"]
        .map(|quota| quotas[quota]["used"].as_i64().expect("a number"))
}

/// The items of a JSON array.
pub(crate) fn list(value: &Value) -> Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).clone()
}

/// A user to give a seat to.
pub(crate) const fn seat(number: u128) -> Uuid {
    Uuid::from_u128(0x5ea7_0000_0000_0000_0000_0000_0000_0000 + number)
}

/// 200, with this outcome.
#[track_caller]
pub(crate) fn assert_outcome(answer: &Answer, outcome: &str) {
    assert_eq!((answer.status, answer.outcome()), (200, outcome), "{answer:?}");
}

/// 201 recorded: how an action answers that was done.
#[track_caller]
pub(crate) fn assert_created(answer: &Answer) {
    assert_eq!((answer.status, answer.outcome()), (201, "recorded"), "{answer:?}");
}

/// What a problem says about itself: status, code, and the field where there is one.
#[track_caller]
pub(crate) fn assert_problem(answer: &Answer, (status, code): (u16, &str), field: Option<&str>) {
    let body = &answer.body;
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["type"], format!("urn:plg:problem:{code}"), "{body}");
    assert_eq!(body["field"].as_str(), field, "{body}");
    for said in ["title", "detail"] {
        assert!(!body[said].as_str().unwrap_or_default().is_empty(), "no {said}: {body}");
    }
}

/// 422 about a field.
#[track_caller]
pub(crate) fn assert_invalid(answer: &Answer, field: &str) {
    assert_problem(answer, (422, "invalid_field"), Some(field));
}

/// 402 about a quota that is used up.
#[track_caller]
pub(crate) fn assert_exceeded(answer: &Answer, quota: &str) {
    assert_problem(answer, (402, "quota_exceeded"), None);
    assert_eq!(answer.body["quota"], quota, "{answer:?}");
}

/// Waits for something that another task will do, for as long as a slow machine may need.
pub(crate) async fn until(mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done().await {
        assert!(Instant::now() < deadline, "it does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
