//! What both services need besides their work: configuration, logging and a clock.

pub mod clock;
pub mod logging;
pub mod open_files;
pub mod settings;

pub use clock::{Clock, SharedClock, SystemClock};
pub use settings::Settings;
