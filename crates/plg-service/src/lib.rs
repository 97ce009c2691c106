//! What both services need besides their work: configuration, logging, a clock, and signals.

pub mod clock;
pub mod logging;
pub mod open_files;
pub mod settings;
mod signals;

pub use clock::{Clock, SharedClock, SystemClock};
pub use settings::Settings;
pub use signals::Signals;
