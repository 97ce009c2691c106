//! The reconciliation: proves the counters against the events, and repairs drift.
//!
//! It may run at any time: beside live traffic, twice at once, killed half-way and started again.
//! Nothing is locked while events are counted, every transaction is complete in itself, and a
//! correction is *added* to a counter, never written over it. The rules are in
//! [`plg_core::reconcile`], the statements in [`plg_store::rollup`]; this crate is the loop.
//!
//! | module | does |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`connections`] | opens the database, and says clearly why it cannot |
//! | [`run`] | the loop: find, count, decide, write |
//! | [`program`] | the command |
//! | [`report`] | progress bar, log and summary |
//! | [`retain`] | forgets what is old |
//! | [`stop`] | the request to stop |

mod ahead;
pub mod arguments;
mod chunk;
pub mod connections;
mod figures;
mod pace;
pub mod program;
pub mod report;
pub mod retain;
pub mod run;
pub mod stop;

pub use connections::Connections;
pub use pace::Bites;
pub use run::{Options, Progress, RunError, reconcile};
pub use stop::Stop;
