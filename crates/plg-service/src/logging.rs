//! Logs go to standard error: standard output is for answers.

use crate::settings::{LogFormat, LogSettings};
use std::io::{BufWriter, IsTerminal as _};
use std::sync::OnceLock;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that wait to be written. When nobody reads them any more, further ones are lost: the service does
/// not wait for its log.
const LINES_WAITING: usize = 4_096;
/// Lines are written together as far as there are several.
const BUFFER_BYTES: usize = 64 * 1024;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// A log that is being written. Dropping it writes what still waits, for a second at most.
#[must_use = "the log ends with it"]
pub struct Log(#[expect(dead_code, reason = "it is there to be dropped")] WorkerGuard);

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// When `log.filter` cannot be understood.
pub fn start(settings: &LogSettings) -> Result<Log, String> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|e| format!("log.filter \"{}\" cannot be understood: {e}", settings.filter))?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING)
        .thread_name("log")
        .finish(BufWriter::with_capacity(BUFFER_BYTES, std::io::stderr()));
    let lost = writer.error_counter();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match settings.format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // An error here means that a subscriber is there already, which is as well.
    if started.is_ok() {
        let _ = LOST.set(lost);
    }
    Ok(Log(guard))
}

/// Lines that were lost because nobody read those before them.
#[must_use]
pub fn lines_lost() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}
