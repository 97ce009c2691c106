//! The HTTP contract (design §2 to §4) over real HTTP, with the clock in the test's hand, on both
//! databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod access;
mod arrays;
mod bad_input;
mod catalogue;
mod cloud_events;
mod concurrency;
mod conditional;
mod copy_from;
mod daily_cap;
mod document;
mod hotels;
mod idempotency;
mod lanes;
mod listing;
mod metrics;
mod months;
mod operations;
mod plans;
mod quotas;
mod rate_limits;
mod refusals;
mod seats;
mod sending_ids;
mod sessions;
mod spans;
mod support;
mod traces;
mod usage;
