//! The HTTP service: product events, billable actions, usage.
//!
//! A request's way: a route parses it into [`plg_core`] types (`input`), hands it to a lane of the
//! `writer` or asks the `reader`, and answers (`output`, `problem`). No rule lives here.

pub mod access;
mod admission;
pub mod app;
mod backup;
mod copy_from;
mod cors;
mod desk;
mod door;
mod health;
mod healthcheck;
mod input;
mod json;
mod keys;
mod listen;
mod metrics;
mod observe;
mod openapi;
mod output;
mod problem;
pub mod program;
mod reader;
mod routes;
mod spans;
mod stop;
mod trace;
mod unknown_plans;
mod writer;

pub use app::Application;
pub use problem::Code;
pub use routes::DOCUMENT;
