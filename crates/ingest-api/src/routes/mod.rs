//! The HTTP routes. A handler extracts, makes one call, answers.

mod actions;
mod cursor;
mod events;
mod health;
mod hotels;
mod rollups;
mod usage;

use crate::json;
use crate::problem::{Code, Problem};
use actix_web::{HttpResponse, Resource, web};

/// Adds every route.
pub fn configure(app: &mut web::ServiceConfig) {
    let queries =
        web::QueryConfig::default().error_handler(|error, _| json::invalid_query(&error).into());
    app.app_data(queries);
    app.service(resource("/v1/events", "POST").route(web::post().to(events::record)))
        .service(
            web::scope("/v1/hotels/{hotel_id}")
                .service(resource("/imports", "POST").route(web::post().to(actions::import)))
                .service(resource("/exports", "POST").route(web::post().to(actions::export)))
                .service(
                    resource("/seats", "GET, POST")
                        .route(web::get().to(actions::list_seats))
                        .route(web::post().to(actions::add_seat)),
                )
                .service(
                    resource("/seats/{seat_user_id}", "DELETE")
                        .route(web::delete().to(actions::remove_seat)),
                )
                .service(resource("/usage", "GET").route(web::get().to(usage::month)))
                .service(resource("/usage/history", "GET").route(web::get().to(usage::history)))
                .service(resource("/quotas/{quota}", "GET").route(web::get().to(usage::quota)))
                .service(resource("/events", "GET").route(web::get().to(events::list)))
                .service(
                    resource("", "GET, PUT")
                        .route(web::get().to(hotels::get))
                        .route(web::put().to(hotels::put)),
                ),
        )
        .service(resource("/v1/rollups", "GET").route(web::get().to(rollups::list)))
        .service(resource("/v1/rollups/{run_id}", "GET").route(web::get().to(rollups::get)))
        .service(resource("/livez", "GET").route(web::get().to(health::live)))
        .service(resource("/readyz", "GET").route(web::get().to(health::ready)));
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
