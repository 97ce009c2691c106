//! The HTTP routes. A handler extracts, makes one call, answers.

mod actions;
mod client;
mod conditional;
mod cursor;
mod document;
mod events;
mod health;
mod hotels;
mod rollups;
mod seats;
mod session_tokens;
mod usage;

pub use document::DOCUMENT;

use crate::access::guard;
use crate::json;
use crate::problem::{Code, Problem};
use actix_web::middleware::Compress;
use actix_web::{HttpResponse, Resource, web};

/// Adds every route.
pub(crate) fn configure(app: &mut web::ServiceConfig) {
    let queries =
        web::QueryConfig::default().error_handler(|error, _| json::invalid_query(&error).into());
    app.app_data(queries);
    app.service(resource("/v1/events", "POST").route(guard::post(events::record)))
        .service(
            web::scope("/v1/hotels/{hotel_id}")
                .service(resource("/imports", "POST").route(guard::post(actions::import)))
                .service(resource("/exports", "POST").route(guard::post(actions::export)))
                .service(
                    resource("/seats", "GET, HEAD, POST")
                        .route(guard::get(seats::list).wrap(Compress::default()))
                        .route(guard::post(actions::add_seat)),
                )
                .service(
                    resource("/seats/{seat_user_id}", "DELETE")
                        .route(guard::delete(actions::remove_seat)),
                )
                .service(resource("/usage", "GET, HEAD").route(guard::get(usage::month)))
                .service(
                    resource("/usage/history", "GET, HEAD")
                        .route(guard::get(usage::history).wrap(Compress::default())),
                )
                .service(resource("/quotas/{quota}", "GET, HEAD").route(guard::get(usage::quota)))
                .service(
                    resource("/events", "GET, HEAD")
                        .route(guard::get(events::list).wrap(Compress::default())),
                )
                .service(
                    resource("", "GET, HEAD, PUT")
                        .route(guard::get(hotels::get))
                        .route(guard::put(hotels::put)),
                ),
        )
        .service(
            resource("/v1/rollups", "GET, HEAD")
                .route(guard::get(rollups::list).wrap(Compress::default())),
        )
        .service(
            resource("/v1/rollups/{run_id}", "GET, HEAD")
                .route(guard::get(rollups::get).wrap(Compress::default())),
        )
        .service(resource("/v1/session-tokens", "POST").route(guard::post(session_tokens::mint)))
        .service(
            resource("/openapi.json", "GET, HEAD")
                .route(guard::get(document::openapi).wrap(Compress::default())),
        )
        .service(resource("/client.js", "GET, HEAD").route(guard::get(client::module)))
        .service(resource("/docs", "GET, HEAD").route(guard::get(document::docs)))
        .service(resource("/docs/{file:.*}", "GET, HEAD").route(guard::get(document::page)))
        .service(resource("/livez", "GET, HEAD").route(guard::get(health::live)))
        .service(resource("/readyz", "GET, HEAD").route(guard::get(health::ready)));
}

/// A resource that answers other methods with a problem which names its own.
fn resource(path: &str, methods: &'static str) -> Resource {
    let refuse =
        move || async move { Err::<HttpResponse, _>(Problem::method_not_allowed(methods)) };
    web::resource(path).default_service(web::to(refuse))
}

/// Nothing is known by this name.
fn not_found(what: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no such {what}"))
}
