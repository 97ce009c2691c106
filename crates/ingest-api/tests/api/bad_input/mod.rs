//! Whatever is wrong with a request: the answer names the place and the cure, and nothing is
//! written.

mod bodies;
mod event_fields;
mod fields;
mod requests;

use crate::support::{HOTEL, Service, assert_created, assert_outcome, assert_problem, seat};
use plg_testkit::app::{Answer, Api};
use plg_testkit::{Backend, TestDatabase, ledger};
use reqwest::Method;
use serde_json::{Value, json};

/// A service whose hotel has something of everything, and what its database holds then.
struct Untouched {
    service: Service,
    before: Vec<(&'static str, i64)>,
    counters: Vec<i64>,
}

impl std::ops::Deref for Untouched {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Untouched {
    async fn start(backend: Backend) -> Self {
        let service = Service::start(backend).await;
        service.unlimit(HOTEL).await;
        assert_created(&service.import(HOTEL, "job-0").await);
        assert_created(&service.export(HOTEL, "export-0").await);
        assert_created(&service.add_seat(HOTEL, seat(0)).await);
        assert_outcome(&service.event(HOTEL, "pricing_quote_run", json!({})).await, "recorded");
        let before = service.census().await;
        let counters = counters(&service.database).await;
        Self { service, before, counters }
    }

    /// Nothing was written since the start.
    async fn assert_untouched(&self) {
        assert_eq!(self.service.census().await, self.before);
        assert_eq!(counters(&self.service.database).await, self.counters);
        self.service.assert_balanced().await;
    }

    /// Sends a body as it is, declared as JSON.
    async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(Method::POST, path).header("Content-Type", "application/json");
        Api::send(request.body(body)).await
    }
}

/// What a lost or doubled write would move without changing the number of rows.
async fn counters(database: &TestDatabase) -> Vec<i64> {
    const SUMS: [&str; 3] = [
        "select cast(sum(imports + exports + active_users + last_seq) as bigint) as n \
         from usage_monthly",
        "select cast(coalesce(sum(passed), 0) as bigint) as n from event_window",
        "select count(*) as n from hotel where plan = 'suite' and time_zone = 'UTC'",
    ];
    let books = database.connect().await;
    let mut counters = Vec::new();
    for sum in SUMS {
        counters.push(ledger::number(&books, sum).await);
    }
    counters
}

/// One field of a body that is wrong, and what the answer says about it.
struct Wrong {
    change: Value,
    field: &'static str,
    cure: &'static str,
}

const fn wrong(change: Value, field: &'static str, cure: &'static str) -> Wrong {
    Wrong { change, field, cure }
}

/// A body with another's fields instead of, or besides, its own.
fn changed(body: &Value, change: &Value) -> Value {
    let mut body = body.clone();
    let fields = body.as_object_mut().expect("an object");
    fields.extend(change.as_object().expect("an object").clone());
    body
}

/// A body without one of its fields.
fn without(body: &Value, field: &str) -> Value {
    let mut body = body.clone();
    body.as_object_mut().expect("an object").remove(field).expect("the field");
    body
}

/// Refused with this problem, in a sentence that contains the cure.
#[track_caller]
fn assert_refused(answer: &Answer, problem: (u16, &str), field: Option<&str>, cure: &str) {
    assert_problem(answer, problem, field);
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(cure), "{detail:?} does not say {cure:?}");
    if let Some(field) = field {
        assert!(detail.starts_with(field), "{detail:?} does not begin with {field:?}");
    }
}

#[track_caller]
fn assert_field_refused(answer: &Answer, field: &str, cure: &str) {
    assert_refused(answer, (422, "invalid_field"), Some(field), cure);
}
