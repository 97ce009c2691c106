//! What tests, the demo and benchmarks need: throw-away databases of both kinds, a clock to set, the
//! real application in the same process, and the programs as processes to be killed.
//!
//! Nothing here is shipped, so it may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod access;
pub mod app;
pub mod citus;
pub mod clock;
pub mod collector;
pub mod commands;
pub mod database;
pub mod ledger;
pub mod postgres;
pub mod process;
pub mod replica;
pub mod replication;
pub mod scenario;

pub use app::TestApp;
pub use clock::TestClock;
pub use collector::Collector;
pub use database::{Backend, TestDatabase};
pub use process::Process;
pub use replica::Replica;
