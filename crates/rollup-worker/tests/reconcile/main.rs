//! The reconciliation on both databases: what it finds, what it corrects, what it leaves alone, and
//! that it may run at any time (promises 4 and 5, design §8).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod again;
mod beside_traffic;
mod bounds;
mod command_line;
mod drift;
mod failures;
mod killed;
mod locked;
mod missing;
mod months;
mod process;
mod retention;
mod scope;
mod support;
mod told;
mod two_workers;
mod windows;
