//! The program as real processes: several at once, killed, without a database, told to stop,
//! and asked for more than it can do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod backup;
mod checkpoint;
mod crash;
mod crowd;
mod drain;
mod failover;
mod first_start;
mod http_threads;
mod lanes;
mod load;
mod log;
mod lost_commit;
mod memory;
mod neighbours;
mod open_files;
mod outage;
mod overload;
mod plans;
mod proxy;
mod queue;
mod replicas;
mod standby_away;
mod support;
mod traces;
