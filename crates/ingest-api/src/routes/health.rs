//! Whether the service lives, and whether it can work.

use crate::access::permit::Public;
use crate::app::State;
use crate::problem::{Code, Problem};
use actix_web::{HttpResponse, web};
use migrations::SchemaState;
use serde_json::json;

/// `GET /livez`: the process answers.
pub(super) async fn live(_: Public) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /readyz`: the database answers, and its schema is current.
pub(super) async fn ready(_: Public, state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let schema =
        state.reader.read(|db| async move { Ok(migrations::schema_state(&db).await?) }).await?;
    match schema {
        SchemaState::Current => Ok(HttpResponse::Ok().json(json!({ "status": "ok" }))),
        SchemaState::Behind(pending) => {
            let detail = format!("run `migrate up`: {} is pending", pending.join(", "));
            Err(Problem::unavailable(Code::SchemaBehind, detail, 5))
        }
    }
}
