//! The store on both databases: the promises about transactions, gates, months and concurrency, as
//! a Rust application meets them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod checkpoint;
mod citus;
mod concurrency;
mod distribute;
mod gates;
mod log;
mod months;
mod one_hotel_per_transaction;
mod optimistic;
mod own_transaction;
mod plans;
mod recorder;
mod retry;
mod schema;
mod servers;
mod sessions;
mod support;
mod traffic;
