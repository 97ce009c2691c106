//! The rules, and nothing else.
//!
//! Everything this system promises about events, quotas and reconciliation is decided here, from
//! values that are handed in: no I/O, no clock, no randomness, no async. A caller reads the state,
//! asks this crate what follows from it, and writes the answer down.
//!
//! | module | holds |
//! |---|---|
//! | [`ids`] | identifiers, parsed once at the edge |
//! | [`calendar`] | a hotel's month and day in its own time zone |
//! | [`catalogue`] | the 13 event types with dedup rule, counter and permitted sender, as data |
//! | [`event`] | one event to record ([`event::Command`]) and one recorded |
//! | [`event_data`] | what a sender wants to remember with it |
//! | [`plan`] | limits: plans from configuration, overrides of a hotel |
//! | [`quota`] | used against limit: remaining, near limit, exceeded |
//! | [`gate`] | the remembered state of a dedup rule |
//! | [`decide`] | a batch of commands against a snapshot: outcomes, and what to write |
//! | [`reconcile`] | counters against events: corrections and missing events |
//! | [`usage`] | a month as it is read, with or without a row |
//! | [`as_text`] | instants and days as JSON writes them |
//! | [`access`] | who calls, and what they may do |

pub mod access;
pub mod as_text;
pub mod calendar;
pub mod catalogue;
pub mod decide;
pub mod event;
pub mod event_data;
pub mod gate;
pub mod ids;
#[cfg(feature = "openapi")]
mod openapi;
pub mod plan;
pub mod quota;
pub mod reconcile;
pub mod usage;
