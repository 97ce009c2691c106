//! The HTTP contract (design §2 to §4) over real HTTP, with the clock in the test's hand, on both
//! databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod catalogue;
mod support;
