//! Storage: one implementation for PostgreSQL and SQLite.
//!
//! A *row function* takes any connection or transaction; whoever owns the operation begins and
//! commits. The rules are not here but in [`plg_core`]: this crate reads the state, asks, and
//! writes the answer.
//!
//! | module | does |
//! |---|---|
//! | [`connect`] | opens pools and single connections, as each database wants them |
//! | `url`, `primary` | where the database is, and which of several servers takes writes |
//! | [`backup`] | copies SQLite's file beside who writes |
//! | [`clock`] | compares this machine's clock with the database's |
//! | [`checkpoint`] | keeps SQLite's log short beside who writes |
//! | [`commit`] | records a batch of commands: lock, gate, decide, write, commit |
//! | [`Recorder`] | records one batch after the other on a connection |
//! | `session` | that connection, in a transaction or not |
//! | `optimistic` | the same by hotels that are remembered, where nobody else writes them |
//! | `months` | the hotel-months while something is recorded: locking, opening and writing them |
//! | [`usage`] | the hotel-months as they are read |
//! | [`gates`], [`events`], [`seats`], [`hotels`] | the other tables of the write path |
//! | [`partitions`], [`retention`] | months of the log: made ahead, and dropped when they are old |
//! | [`rollup`] | facts and corrections of the reconciliation, and its runs |
//! | [`retry`] | tries again what others stood in the way of |
//! | [`traffic`] | whether others are at work |
//! | [`transfer`] | from an embedded database to PostgreSQL |
//! | [`api_keys`] | service keys |
//! | [`schema`] | the tables as SeaORM entities |
//! | [`error`] | what can go wrong, and what that means for the caller |

pub mod api_keys;
pub mod backup;
pub mod checkpoint;
pub mod clock;
pub mod commit;
pub mod connect;
mod dialect;
pub mod error;
pub mod events;
pub mod gates;
pub mod hotels;
mod in_order;
mod months;
mod optimistic;
mod paging;
pub mod partitions;
mod primary;
mod recorder;
pub mod retention;
pub mod retry;
pub mod rollup;
#[expect(missing_docs, reason = "columns are documented with their tables, in migrations")]
pub mod schema;
pub mod seats;
mod session;
pub mod traffic;
pub mod transfer;
mod url;
pub mod usage;

pub use commit::{CommitError, record, record_batch};
pub use connect::DatabaseUrl;
pub use error::StoreError;
pub use optimistic::{HotelMemory, Supposition};
pub use recorder::Recorder;
