//! Configuration: documented defaults, then a file, then the environment.

pub mod access;
mod bounds;
mod load;
#[cfg(test)]
mod tests;

use access::{AccessSettings, masked_url};
use chrono::TimeDelta;
use load::Sources;
use plg_core::plan::Plans;
use plg_store::DatabaseUrl;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::num::NonZero;
use std::thread;

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../default.toml");
/// Read from the working directory when it is there.
pub const DEFAULT_FILE: &str = "plg.toml";
/// Names another file.
pub const FILE_VARIABLE: &str = "PLG_CONFIG";

/// All settings, of both services.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the data is.
    pub database: DatabaseSettings,
    /// How HTTP is served.
    pub server: ServerSettings,
    /// Where metrics are read.
    pub metrics: MetricsSettings,
    /// Who may call.
    pub access: AccessSettings,
    /// How often.
    pub rate_limit: RateLimitSettings,
    /// How events are recorded.
    pub writer: WriterSettings,
    /// The plans on sale.
    pub plans: Plans,
    /// How the reconciliation works.
    pub rollup: RollupSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Where traces are sent.
    pub traces: TracesSettings,
}

/// Where the data is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`.
    pub url: DatabaseUrl,
    /// Connections for reading.
    pub read_connections: u32,
    /// How far this machine's clock may be ahead of PostgreSQL's, in seconds; 0 refuses nothing.
    pub clock_tolerance_seconds: u32,
}

/// How HTTP is served.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Threads that serve HTTP; 0 is two for each core up to eight, and one for each where there are more.
    pub threads: usize,
    /// Connections open at once on each of them; more wait to be accepted.
    pub connections: usize,
    /// How long a connection is kept for its next request, in seconds.
    pub keep_alive_seconds: u64,
    /// How long a request may wait for its answer before others are refused, in milliseconds.
    pub max_wait_ms: u64,
    /// How long it goes on, not ready any more, when it is asked to stop, in seconds.
    pub ready_grace_seconds: u64,
    /// How long requests under way may take then, in seconds.
    pub drain_seconds: u64,
    /// Origins whose pages may call.
    #[serde(deserialize_with = "list")]
    pub cors_origins: Vec<String>,
}

/// Where metrics are read.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
}

/// How many requests a credential may send.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    /// A service key.
    pub keys: RateLimit,
    /// A user's session tokens.
    pub tokens: RateLimit,
}

/// So many requests in a window.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many; 0 is no limit.
    pub requests: u32,
    /// The window, in seconds.
    pub seconds: u32,
}

/// How events are recorded.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WriterSettings {
    /// Connections that write, and batches at once.
    pub lanes: usize,
    /// Events waiting for each lane at the most.
    pub queue: usize,
    /// How long an event waits for a lane, by their pace so far, before further ones are refused; in
    /// milliseconds.
    pub max_wait_ms: u64,
    /// Events recorded in one transaction.
    pub batch: usize,
    /// Hotels in one transaction; 0 is no limit.
    pub hotels_per_transaction: usize,
    /// Hotels that are remembered as they were written, to record without locking and reading them first; 0 is none.
    pub remembered_hotels: usize,
}

/// How the reconciliation works.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RollupSettings {
    /// Hotel-months counted by one statement.
    pub read_chunk: usize,
    /// Hotel-months written in one transaction.
    pub write_chunk: usize,
    /// Pause between transactions, in milliseconds.
    pub pause_ms: u64,
    /// Hotel-months counted, and written, at once while the services are at work.
    pub busy_chunk: usize,
    /// Pause after each of those, in milliseconds.
    pub busy_pause_ms: u64,
}

/// What is logged, and how.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// Levels by module.
    pub filter: String,
}

/// Where traces are sent.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TracesSettings {
    /// The URL of a receiver of OTLP over HTTP; empty sends none.
    #[serde(serialize_with = "masked_url")]
    pub endpoint: String,
    /// How many of the traces that begin here are sent, from 0 to 1.
    pub sample_ratio: f64,
}

/// A list, or in the environment its items separated by commas.
fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        Text(String),
        Items(Vec<String>),
    }

    Ok(match List::deserialize(deserializer)? {
        List::Items(items) => items,
        List::Text(text) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(str::to_owned).collect()
        }
    })
}

/// For people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines of text.
    Human,
    /// One JSON object a line.
    Json,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value is missing, unknown, or of the wrong kind.
    #[error("configuration: {}", without_excerpt(.0))]
    Invalid(#[from] config::ConfigError),
    /// There is no such setting.
    #[error("configuration: there is no setting {key} ({variable}){}", suggestion(nearest.as_ref()))]
    Unknown {
        /// What was set.
        key: String,
        /// The environment variable of that name.
        variable: String,
        /// The setting that may have been meant, and its variable.
        nearest: Option<(String, String)>,
    },
    /// A plan is not whole.
    #[error(
        "configuration: {key} ({variable}) is missing: a plan has imports, exports and active_users"
    )]
    Missing {
        /// What is not set.
        key: String,
        /// The environment variable of that name.
        variable: String,
    },
    /// A value is out of its bounds, or none of those that there are.
    #[error("configuration: {key} must be {expected}, got {got}")]
    OutOfBounds {
        /// Which setting.
        key: String,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
}

/// What is said about a file that cannot be read has an excerpt behind its first line, which may be a password.
fn without_excerpt(error: &config::ConfigError) -> String {
    let text = error.to_string();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let rest: String = rest.lines().filter(|line| !line.contains('|')).collect();
    if rest.is_empty() { first.to_owned() } else { format!("{first}: {rest}") }
}

fn suggestion(nearest: Option<&(String, String)>) -> String {
    match nearest {
        Some((key, variable)) => format!(": did you mean {key} ({variable})?"),
        None => ": the program's `config` command shows all".to_owned(),
    }
}

impl DatabaseSettings {
    /// How far this machine's clock may be ahead, if that matters.
    #[must_use]
    pub fn clock_tolerance(&self) -> Option<TimeDelta> {
        let seconds = self.clock_tolerance_seconds;
        (seconds > 0).then(|| TimeDelta::seconds(seconds.into()))
    }
}

impl ServerSettings {
    /// Threads that serve HTTP.
    pub fn all_threads(&self) -> usize {
        match self.threads {
            0 => threads_for(thread::available_parallelism().map_or(1, NonZero::get)),
            threads => threads,
        }
    }

    /// Connections that may be open at once on all threads.
    pub fn all_connections(&self) -> usize {
        self.all_threads().saturating_mul(self.connections)
    }
}

/// Threads of HTTP where none are set. The kernel leaves a thread that waits for its core there for a while, though
/// another core may have nothing to do: with two for each of few cores, more often another can run.
fn threads_for(cores: usize) -> usize {
    const DOUBLED_UP_TO: usize = 8;
    cores.max(DOUBLED_UP_TO.min(cores.saturating_mul(2)))
}

impl Settings {
    /// Reads the settings of this process.
    ///
    /// # Errors
    /// Says which setting cannot be used, and why.
    pub fn load() -> Result<Self, SettingsError> {
        Sources::of_process()?.settings()
    }

    /// The settings of this process as text: each with where it comes from, secrets masked.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn describe() -> Result<String, SettingsError> {
        Sources::of_process()?.describe()
    }

    /// The documented defaults, whatever the environment says.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn defaults() -> Result<Self, SettingsError> {
        Sources::of_text("")?.settings()
    }
}
