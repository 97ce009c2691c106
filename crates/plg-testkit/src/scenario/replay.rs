//! Sends a scenario to the real application, and holds every answer against the model's.
//!
//! What happens at the same instant at different hotels is sent at the same time: hotels know
//! nothing of each other, so the outcome is the same in whichever order it arrives. A hotel's own
//! requests are sent one after the other.

use super::model::Model;
use super::reply::Reply;
use super::request::{Call, Request, Sending};
use crate::TestClock;
use crate::app::{Answer, Api};
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Differences that are kept; all are counted.
const DIFFERENCES_KEPT: usize = 20;

/// What came of a replay.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests answered.
    pub requests: u64,
    /// How often each outcome was answered.
    pub outcomes: BTreeMap<String, u64>,
    /// Answers that are not the model's.
    pub wrong: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// An answer that is not the model's.
#[derive(Debug)]
pub struct Difference {
    /// To what.
    pub request: Request,
    /// What should have been answered.
    pub expected: Reply,
    /// What was.
    pub got: Reply,
}

/// Sends the requests in order of time, with the clock at each one's instant. `progress` is told
/// how many are done.
pub async fn replay(
    api: &Api,
    clock: &TestClock,
    model: &mut Model,
    requests: &[Request],
    progress: impl Fn(u64),
) -> Report {
    let mut report = Report::default();
    for instant in requests.chunk_by(|one, next| one.at == next.at) {
        clock.set(instant[0].at);
        for (request, answer) in send_all(api, instant).await {
            report.note(request, model.answer(request), Reply::read(&answer));
        }
        progress(report.requests);
    }
    report
}

/// Sends what happens at one instant. Answers come by hotel, each hotel's in order.
async fn send_all<'a>(api: &Api, requests: &'a [Request]) -> Vec<(&'a Request, Answer)> {
    let mut by_hotel: BTreeMap<_, Vec<&Request>> = BTreeMap::new();
    let apart = requests.iter().all(|request| request.hotel().is_some());
    for request in requests {
        // Where several hotels share a request, none can be told apart.
        by_hotel.entry(request.hotel().filter(|_| apart)).or_default().push(request);
    }
    let in_order = |requests: Vec<&'a Request>| async move {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push((request, Api::send(build(api, request)).await));
        }
        answers
    };
    join_all(by_hotel.into_values().map(in_order)).await.into_iter().flatten().collect()
}

impl Report {
    fn note(&mut self, request: &Request, expected: Reply, got: Reply) {
        self.requests += 1;
        let is_about_events = !matches!(request.call, Call::Register { .. } | Call::Usage(_));
        for part in got.parts.iter().filter(|_| is_about_events) {
            *self.outcomes.entry(part.said.clone()).or_default() += 1;
        }
        if expected != got {
            self.wrong += 1;
            if self.differences.len() < DIFFERENCES_KEPT {
                self.differences.push(Difference { request: request.clone(), expected, got });
            }
        }
    }
}

fn build(api: &Api, request: &Request) -> RequestBuilder {
    let built = match &request.call {
        Call::Register { hotel, plan, zone, limits } => {
            let limits: Map<String, Value> =
                limits.iter().map(|(name, limit)| ((*name).to_owned(), json!(limit))).collect();
            let body = json!({ "plan": plan, "time_zone": zone, "limits": limits });
            api.request(Method::PUT, &format!("/v1/hotels/{hotel}")).json(&body)
        }
        Call::Usage(hotel) => api.request(Method::GET, &format!("/v1/hotels/{hotel}/usage")),
        Call::Action(sending) => action(api, sending),
        Call::Event(sending) => api.request(Method::POST, "/v1/events").json(&event(sending)),
        Call::Events(sendings) => {
            let items: Vec<Value> = sendings.iter().map(event).collect();
            api.request(Method::POST, "/v1/events").json(&items)
        }
        Call::BrokenEvent(sending) => {
            let mut text = event(sending).to_string();
            text.pop();
            let post = api.request(Method::POST, "/v1/events");
            post.header("content-type", "application/json").body(text)
        }
    };
    match &request.session_header {
        Some(session) => built.header("X-Session-Id", session),
        None => built,
    }
}

/// The body of `POST /v1/events`.
fn event(sending: &Sending) -> Value {
    let Sending { event_type, hotel, user, session, id, key } = sending;
    let mut body = json!({ "event_type": event_type, "hotel_id": hotel, "user_id": user });
    for (name, value) in [("session_id", session), ("id", id), ("dedup_key", key)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    body
}

/// The action's own route.
fn action(api: &Api, sending: &Sending) -> RequestBuilder {
    let Sending { event_type, hotel, user, session, id, key } = sending;
    let key = key.as_deref().expect("an action has a key");
    let (route, key_name) = match *event_type {
        "import_success" => ("imports", "job_id"),
        "export_success" => ("exports", "export_id"),
        "seat_added" => ("seats", "seat_user_id"),
        "seat_removed" => {
            let path = format!("/v1/hotels/{hotel}/seats/{key}?user_id={user}");
            return api.request(Method::DELETE, &path);
        }
        other => panic!("{other} has no route of its own"),
    };
    let mut body = json!({ key_name: key, "user_id": user, "event_data": { "from": "scenario" } });
    for (name, value) in [("session_id", session), ("id", id)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    api.request(Method::POST, &format!("/v1/hotels/{hotel}/{route}")).json(&body)
}
