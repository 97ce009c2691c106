//! The parts of the OpenAPI document that every operation shares: which problems it may answer with.

mod examples;

use crate::input::{IDEMPOTENCY_HEADER, REPLAYED_HEADER};
use crate::problem::{Code, Details};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
};
use utoipa::{IntoResponses, Modify, ToSchema as _};

/// Of every operation that asks who calls.
const CALLED: &[Code] = &[
    Code::Unauthenticated,
    Code::Forbidden,
    Code::InvalidField,
    Code::NotFound,
    Code::RateLimited,
    Code::Internal,
    Code::Overloaded,
    Code::DatabaseUnavailable,
];
/// Of those that take a body.
const TOLD: &[Code] =
    &[Code::MalformedJson, Code::BodyIncomplete, Code::BodyTooLarge, Code::UnsupportedMediaType];
/// Of those that record.
const WRITTEN: &[Code] = &[Code::OutcomeUnknown, Code::ShuttingDown];
/// Of those that record what they are told.
const RECORDED: &[Code] =
    &[Code::QuotaExceeded, Code::UnknownEventType, Code::TooManyItems, Code::IdempotencyKeyReused];

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $($codes:expr),+;)*) => {$(
        $(#[$doc])*
        pub(crate) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses(&[$(&$codes[..]),+].concat())
            }
        }
    )*};
}

problems! {
    /// How reads fail.
    ReadProblems = CALLED;
    /// How listings of events fail.
    ListProblems = CALLED, &[Code::UnknownEventType];
    /// How changes fail.
    ChangeProblems = CALLED, TOLD, &[Code::PreconditionFailed];
    /// How actions without a body fail.
    RemoveProblems = CALLED, WRITTEN, &[Code::IdempotencyKeyReused];
    /// How actions and events fail.
    ActionProblems = CALLED, TOLD, WRITTEN, RECORDED;
    /// How the question fails whether the service is alive.
    LivenessProblems = &[Code::Internal];
    /// How the question fails whether it can work.
    ReadinessProblems =
        &[Code::SchemaBehind, Code::ClockAhead, Code::ShuttingDown, Code::Overloaded, Code::DatabaseUnavailable, Code::Internal];
}

fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status()).collect();
    let of_status = |status: u16| codes.iter().copied().filter(move |c| c.status() == status);
    statuses.into_iter().map(|status| (status.to_string(), response(of_status(status)))).collect()
}

/// One response for all codes of a status.
fn response(codes: impl Iterator<Item = Code> + Clone) -> RefOr<Response> {
    let description = codes.clone().map(|code| format!("`{}`: {}", code.name(), code.title()));
    let example = |code: Code| {
        let path = format!("#/components/examples/{}", code.name());
        (code.name(), RefOr::Ref(Ref::new(path)))
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Details::name())))
        .examples_from_iter::<_, _, RefOr<Example>>(codes.clone().map(example))
        .build();
    let mut response = ResponseBuilder::new()
        .description(description.collect::<Vec<_>>().join("; "))
        .content("application/problem+json", content);
    for &(name, ref kind, says) in headers(codes) {
        response = response.header(name, header(kind.clone(), says));
    }
    response.build().into()
}

fn header(kind: Type, says: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    HeaderBuilder::new().schema(Some(schema)).description(Some(says)).build()
}

fn headers(mut codes: impl Iterator<Item = Code>) -> &'static [(&'static str, Type, &'static str)] {
    const RETRY_AFTER: (&str, Type, &str) =
        ("Retry-After", Type::Integer, "Seconds to wait before the request is sent again");
    const RATE_LIMIT: (&str, Type, &str) =
        ("RateLimit", Type::String, "Requests left (r), and seconds until all are back (t)");
    const POLICY: (&str, Type, &str) =
        ("RateLimit-Policy", Type::String, "Requests (q) in a window of seconds (w)");
    const AUTHENTICATE: (&str, Type, &str) = ("WWW-Authenticate", Type::String, "Bearer");
    match codes.next().map(Code::status) {
        Some(401) => &[AUTHENTICATE],
        Some(429) => &[RETRY_AFTER, RATE_LIMIT, POLICY],
        Some(503) => &[RETRY_AFTER],
        _ => &[],
    }
}

/// Where an idempotency key is taken, answers say whether they were given before.
fn add_replayed(operation: &mut Operation) {
    const SAYS: &str = "True when an earlier request under the same Idempotency-Key was answered so; its `quota` is that of now";

    let is_key = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == IDEMPOTENCY_HEADER);
    if !operation.parameters.iter().flatten().any(is_key) {
        return;
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            let replayed = header(Type::Boolean, SAYS);
            response.headers.insert(REPLAYED_HEADER.to_owned(), replayed.into());
        }
    }
}

/// Adds an example of every problem, how callers say who they are, and which answers may be given again.
pub(crate) struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut OpenApi) {
        for path in document.paths.paths.values_mut() {
            let operations = path.post.iter_mut().chain(&mut path.delete);
            operations.for_each(add_replayed);
        }
        let components = document.components.get_or_insert_with(Components::new);
        for (code, ..) in Code::TABLE {
            let value = serde_json::to_value(examples::example(code)).ok();
            let example = ExampleBuilder::new().summary(code.title()).value(value).build();
            components.examples.insert(code.name().to_owned(), example.into());
        }
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A service key (backends) or a session token (browsers)."));
        let bearer = SecurityScheme::Http(bearer.build());
        components.security_schemes.insert("bearer".to_owned(), bearer.into());
    }
}
