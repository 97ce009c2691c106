//! Logs go to standard error: standard output is for answers.

mod format;
mod lines;

use crate::settings::LogSettings;
use format::Line;
use lines::{LastWords, Lines};
use std::io::IsTerminal as _;
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

static LINES: OnceLock<Lines> = OnceLock::new();

/// A log that is being written. Dropping it writes what still waits, for a second at most.
#[must_use = "the log ends with it"]
pub struct Log(#[expect(dead_code, reason = "it is there to be dropped")] LastWords);

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// When `log.filter` cannot be understood.
pub fn start(settings: &LogSettings) -> Result<Log, String> {
    let filter = understand(&settings.filter)?;
    let lines = Lines::default();
    let last_words = lines.write_to(std::io::stderr());
    let last_words = last_words.map_err(|cause| format!("the log cannot be written: {cause}"))?;
    let line = Line(settings.format);
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .fmt_fields(line)
        .event_format(line)
        .try_init();
    // An error here means that a subscriber is there already, which is as well.
    if started.is_ok() {
        let _ = LINES.set(lines);
    }
    Ok(Log(last_words))
}

/// Lines that were lost because nobody read those before them.
#[must_use]
pub fn lines_lost() -> usize {
    LINES.get().map_or(0, Lines::lost)
}

/// Where `EnvFilter` reads a level that is misspelt as a module, there is no log at all.
fn understand(filter: &str) -> Result<EnvFilter, String> {
    let error = |cause: String| format!("log.filter {filter:?} cannot be understood: {cause}");
    let directives: Vec<&str> = filter.split(',').map(str::trim).collect();
    for directive in directives.iter().filter(|directive| !directive.is_empty()) {
        let (target, _) = directive.split_once(['=', '[']).unwrap_or((directive, ""));
        if target == *directive {
            directive.parse::<LevelFilter>().map_err(|_| {
                error(format!(
                    "{directive:?} is no level: write error, warn, info, debug, trace or off, or a \
                     module with its level, such as ingest_api=debug"
                ))
            })?;
        } else if target.contains(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':'))) {
            return Err(error(format!("{target:?} is no module, such as ingest_api")));
        }
    }
    EnvFilter::try_new(directives.join(",")).map_err(|cause| error(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_silence_the_log_by_mistake_is_refused() {
        for filter in ["warning", "inof", "info,ingest_api", "info, ingest_api", "infodebug"] {
            let refused = understand(filter).unwrap_err();
            let wrong = filter.rsplit([',', ' ']).next().unwrap();
            assert!(refused.contains(&format!("{wrong:?} is no level")), "{refused}");
            assert!(refused.contains("error, warn, info, debug, trace or off"), "{refused}");
        }
        for filter in ["ingest-api=debug", "info,plg-store::commit=debug", "info,plg store=debug"] {
            let refused = understand(filter).unwrap_err();
            assert!(refused.contains("is no module, such as ingest_api"), "{refused}");
        }
        assert!(understand("ingest_api=inof").unwrap_err().contains("log.filter"));
    }

    #[test]
    fn filters_that_the_handbook_names_are_understood() {
        for filter in [
            "info",
            "WARN",
            "off",
            "",
            "info,",
            "warn,ingest_api=debug",
            "info, plg_store=debug",
            "info,ingest_api::request=off",
            "info,[request{path=/v1}]=trace",
            "2",
        ] {
            understand(filter).unwrap();
        }
    }
}
