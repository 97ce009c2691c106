//! The real application over real HTTP, in the process of the test.

use crate::{TestClock, TestDatabase};
use ingest_api::Application;
use ingest_api::app::Stopper;
use plg_service::{Settings, SharedClock};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// An answer: its status, and its body where that is JSON.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Answer {
    /// The `outcome` of the body.
    pub fn outcome(&self) -> &str {
        self.body["outcome"].as_str().unwrap_or_default()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// The `code` of a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// Talks to a service, wherever it runs.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
    credential: Option<String>,
}

impl Api {
    /// To a service that listens here.
    pub fn new(address: SocketAddr) -> Self {
        // Reading the system's certificates takes a while, and nothing here speaks TLS.
        let client =
            Client::builder().no_proxy().tls_built_in_root_certs(false).build().expect("a client");
        let credential = Some(crate::access::ROOT_KEY.to_owned());
        Self { client, base: format!("http://{address}"), credential }
    }

    /// The same with another credential, or without one.
    pub fn with(&self, credential: Option<&str>) -> Self {
        Self { credential: credential.map(str::to_owned), ..self.clone() }
    }

    /// A request to be completed.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        }
    }

    /// Sends, and reads the answer; `None` when there is none.
    pub async fn try_send(request: RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Some(Answer { status, body, headers })
    }

    /// Sends, and reads the answer.
    pub async fn send(request: RequestBuilder) -> Answer {
        Self::try_send(request).await.expect("an answer")
    }

    /// A page.
    pub async fn text(&self, path: &str) -> String {
        let response = self.request(Method::GET, path).send().await.expect("an answer");
        assert!(response.status().is_success(), "{path}: {response:?}");
        response.text().await.expect("text")
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::send(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Self::send(self.request(Method::PUT, path).json(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        Self::send(self.request(Method::DELETE, path)).await
    }

    /// One event, with whatever else it says.
    pub async fn event(&self, hotel: Uuid, event_type: &str, more: Value) -> Answer {
        self.post("/v1/events", &event(hotel, event_type, more)).await
    }

    /// An import.
    pub async fn import(&self, hotel: Uuid, job_id: &str) -> Answer {
        let body = json!({ "job_id": job_id, "user_id": USER });
        self.post(&format!("/v1/hotels/{hotel}/imports"), &body).await
    }

    /// An export.
    pub async fn export(&self, hotel: Uuid, export_id: &str) -> Answer {
        let body = json!({ "export_id": export_id, "user_id": USER });
        self.post(&format!("/v1/hotels/{hotel}/exports"), &body).await
    }

    /// A seat granted.
    pub async fn add_seat(&self, hotel: Uuid, seat: Uuid) -> Answer {
        let body = json!({ "seat_user_id": seat, "user_id": USER });
        self.post(&format!("/v1/hotels/{hotel}/seats"), &body).await
    }

    /// A seat given up.
    pub async fn remove_seat(&self, hotel: Uuid, seat: Uuid) -> Answer {
        self.delete(&format!("/v1/hotels/{hotel}/seats/{seat}?user_id={USER}")).await
    }

    /// A hotel's plan and zone.
    pub async fn register(&self, hotel: Uuid, plan: &str, time_zone: &str) -> Answer {
        let body = json!({ "plan": plan, "time_zone": time_zone });
        self.put(&format!("/v1/hotels/{hotel}"), &body).await
    }

    /// What is used of a quota now.
    pub async fn used(&self, hotel: Uuid, quota: &str) -> i64 {
        let answer = self.get(&format!("/v1/hotels/{hotel}/quotas/{quota}")).await;
        answer.body["used"].as_i64().expect("a number")
    }

    /// The types of a hotel's events, oldest first.
    pub async fn event_types(&self, hotel: Uuid) -> Vec<String> {
        let answer = self.get(&format!("/v1/hotels/{hotel}/events?limit=1000")).await;
        let events = answer.body["events"].as_array().expect("a list");
        let name = |event: &Value| event["event_type"].as_str().expect("a name").to_owned();
        events.iter().rev().map(name).collect()
    }
}

/// Who does everything in tests.
pub const USER: Uuid = Uuid::from_u128(0x7);

/// The body of one event.
pub fn event(hotel: Uuid, event_type: &str, more: Value) -> Value {
    let mut event = json!({ "event_type": event_type, "hotel_id": hotel, "user_id": USER });
    if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
        event.extend(more);
    }
    event
}

/// A hotel of a test.
pub const fn hotel(number: u128) -> Uuid {
    Uuid::from_u128(0x4f7e_1000_0000_0000_0000_0000_0000_0000 + number)
}

/// The application under test.
pub struct TestApp {
    /// Talks to it.
    pub api: Api,
    /// Where it listens.
    pub address: SocketAddr,
    /// Talks to where its metrics are.
    pub metrics: Api,
    stopper: Stopper,
    running: JoinHandle<std::io::Result<usize>>,
}

impl TestApp {
    /// Starts it on a database, with the default settings.
    pub async fn start(database: &TestDatabase, clock: &TestClock) -> Self {
        Self::start_with(&database.settings(), clock).await
    }

    /// Starts it.
    pub async fn start_with(settings: &Settings, clock: &TestClock) -> Self {
        Self::start_by(settings, clock.shared()).await
    }

    /// Starts it with any clock.
    pub async fn start_by(settings: &Settings, clock: SharedClock) -> Self {
        let application = Application::build(settings, clock).await.expect("starts");
        let address = application.address();
        let metrics = Api::new(application.metrics_address());
        let stopper = application.stopper();
        let running = tokio::spawn(application.run());
        Self { api: Api::new(address), address, metrics, stopper, running }
    }

    /// Asks it to stop, and waits until it has drained.
    pub async fn stop(self) {
        self.stopper.stop().await;
        self.running.await.expect("runs").expect("stops");
    }
}
