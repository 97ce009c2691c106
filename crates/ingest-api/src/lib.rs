//! The HTTP service: product events, billable actions, usage.
//!
//! A request's way: a route parses it into [`plg_core`] types ([`input`]), hands it to a lane of the
//! [`writer`] or asks the [`reader`], and answers ([`output`], [`problem`]). No rule lives here.

pub mod access;
mod admission;
pub mod app;
mod cors;
mod desk;
mod door;
mod health;
pub mod input;
mod json;
mod listen;
mod metrics;
mod observe;
mod openapi;
pub mod output;
pub mod problem;
pub mod reader;
pub mod routes;
mod spans;
mod stop;
mod trace;
mod unknown_plans;
pub mod writer;

pub use app::Application;
