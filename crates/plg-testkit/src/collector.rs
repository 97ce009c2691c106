//! A receiver of traces, as a collector is: OpenTelemetry's protocol over HTTP, in the process of the test.

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message as _;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A span, as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace's id, in hexadecimal digits as the others.
    pub trace: String,
    /// Its own.
    pub id: String,
    /// That of its parent; empty where it has none.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// Whether somebody was served.
    pub is_server: bool,
    /// Whether it failed.
    pub is_error: bool,
    /// When it began and ended, in nanoseconds since 1970.
    pub times: (u64, u64),
    /// Numbers as text.
    pub attributes: BTreeMap<String, String>,
    /// Of whoever has sent it.
    pub service: BTreeMap<String, String>,
}

impl Span {
    fn new(span: proto::Span, service: BTreeMap<String, String>) -> Self {
        let code = span.status.map_or(0, |status| status.code);
        Self {
            trace: hex::encode(span.trace_id),
            id: hex::encode(span.span_id),
            parent: hex::encode(span.parent_span_id),
            name: span.name,
            is_server: span.kind == proto::span::SpanKind::Server as i32,
            is_error: code == proto::status::StatusCode::Error as i32,
            times: (span.start_time_unix_nano, span.end_time_unix_nano),
            attributes: texts(span.attributes),
            service,
        }
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let text = match attribute.value.and_then(|value| value.value) {
            Some(any_value::Value::StringValue(text)) => text,
            Some(any_value::Value::IntValue(number)) => number.to_string(),
            other => panic!("{}: {other:?}", attribute.key),
        };
        (attribute.key, text)
    };
    attributes.into_iter().map(text).collect()
}

struct Post {
    authorization: String,
    body: Bytes,
}

/// Takes whatever it is sent.
pub struct Collector {
    url: String,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Collector {
    /// On a free port, until the test ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let posts = Arc::new(Mutex::new(Vec::new()));
        let shared = web::Data::from(Arc::clone(&posts));
        let app = move || {
            App::new().app_data(shared.clone()).route("/v1/traces", web::post().to(receive))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener);
        tokio::spawn(server.expect("listens").run());
        Self { url, posts }
    }

    /// What `traces.endpoint` is to be.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every span that has arrived, in its order.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for post in self.posts.lock().expect("not poisoned").iter() {
            let sent = ExportTraceServiceRequest::decode(post.body.as_ref()).expect("protobuf");
            for of_service in sent.resource_spans {
                let service = texts(of_service.resource.expect("a service").attributes);
                let of_scopes = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(of_scopes.map(|span| Span::new(span, service.clone())));
            }
        }
        spans
    }

    /// Everything that has arrived, to look for what must not be in it.
    pub fn text(&self) -> String {
        let posts = self.posts.lock().expect("not poisoned");
        posts.iter().map(|post| String::from_utf8_lossy(&post.body).into_owned()).collect()
    }

    /// The credentials that it was shown, one for each batch.
    pub fn authorizations(&self) -> Vec<String> {
        let posts = self.posts.lock().expect("not poisoned");
        posts.iter().map(|post| post.authorization.clone()).collect()
    }
}

async fn receive(
    request: HttpRequest,
    body: Bytes,
    posts: web::Data<Mutex<Vec<Post>>>,
) -> HttpResponse {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    assert_eq!(header("content-type"), "application/x-protobuf");
    let authorization = header("authorization");
    posts.lock().expect("not poisoned").push(Post { authorization, body });
    HttpResponse::Ok().finish()
}
