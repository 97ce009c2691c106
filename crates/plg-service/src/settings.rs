//! Configuration: documented defaults, then a file, then the environment.

use crate::access::AccessSettings;
use config::{Config, Environment, File, FileFormat};
use plg_core::plan::Plans;
use plg_store::DatabaseUrl;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::Path;

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("default.toml");
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
    /// Who may call.
    pub access: AccessSettings,
    /// How events are recorded.
    pub writer: WriterSettings,
    /// The plans on sale.
    pub plans: Plans,
    /// How the reconciliation works.
    pub rollup: RollupSettings,
    /// What is logged, and how.
    pub log: LogSettings,
}

/// Where the data is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite://…`.
    pub url: DatabaseUrl,
    /// Connections for reading.
    pub read_connections: u32,
}

/// How HTTP is served.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Threads that serve HTTP; 0 is one for each core.
    pub threads: usize,
    /// How long requests under way may take when the service is asked to stop, in seconds.
    pub drain_seconds: u64,
    /// Origins whose pages may call.
    #[serde(deserialize_with = "list")]
    pub cors_origins: Vec<String>,
}

/// How events are recorded.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WriterSettings {
    /// Connections that write.
    pub lanes: usize,
    /// Events waiting in a lane.
    pub queue: usize,
    /// Events recorded in one transaction.
    pub batch: usize,
    /// Hotels in one transaction; 0 is no limit.
    pub hotels_per_transaction: usize,
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
    #[error("configuration: {0}")]
    Invalid(#[from] config::ConfigError),
    /// A value is out of its bounds.
    #[error("configuration: {key} must be {expected}, got {got}")]
    OutOfBounds {
        /// Which setting.
        key: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
}

impl Settings {
    /// Reads the settings of this process.
    ///
    /// # Errors
    /// Says which setting cannot be used, and why.
    pub fn load() -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        match std::env::var(FILE_VARIABLE) {
            Ok(file) => builder = builder.add_source(File::new(&file, FileFormat::Toml)),
            Err(_) if Path::new(DEFAULT_FILE).exists() => {
                builder = builder.add_source(File::new(DEFAULT_FILE, FileFormat::Toml));
            }
            Err(_) => {}
        }
        if let Ok(url) = std::env::var("DATABASE_URL") {
            let url = Config::builder().set_override("database.url", url)?.build()?;
            builder = builder.add_source(url);
        }
        let environment = Environment::with_prefix("PLG").prefix_separator("__").separator("__");
        Self::checked(builder.add_source(environment).build()?.try_deserialize()?)
    }

    /// The documented defaults, whatever the environment says.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn defaults() -> Result<Self, SettingsError> {
        let builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        Self::checked(builder.build()?.try_deserialize()?)
    }

    fn checked(settings: Self) -> Result<Self, SettingsError> {
        let check = |key, value: usize, min: usize, max: usize, expected| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(SettingsError::OutOfBounds { key, expected, got: value.to_string() })
            }
        };
        let Self { writer, rollup, .. } = &settings;
        check("writer.lanes", writer.lanes, 1, 64, "1 to 64")?;
        check("writer.queue", writer.queue, 1_000, 1_000_000, "1000 to 1000000")?;
        check("writer.batch", writer.batch, 1, 1_000, "1 to 1000")?;
        check("rollup.read_chunk", rollup.read_chunk, 1, 10_000, "1 to 10000")?;
        check("rollup.write_chunk", rollup.write_chunk, 1, 2_000, "1 to 2000")?;
        let connections = usize::try_from(settings.database.read_connections).unwrap_or(usize::MAX);
        check("database.read_connections", connections, 1, 1_000, "1 to 1000")?;
        let access = &settings.access;
        let seconds = |seconds: u32| usize::try_from(seconds).unwrap_or(usize::MAX);
        check(
            "access.session_seconds",
            seconds(access.session_seconds),
            60,
            86_400,
            "60 to 86400",
        )?;
        check("access.clock_skew_seconds", seconds(access.clock_skew_seconds), 0, 300, "0 to 300")?;
        check("access.refresh_seconds", seconds(access.refresh_seconds), 1, 300, "1 to 300")?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_usable() {
        let settings = Settings::defaults().unwrap();
        assert!(settings.database.url.is_embedded());
        assert_eq!(settings.server.port, 8080);
        assert_eq!(settings.plans.default_plan(), "standard");
    }

    #[test]
    fn secrets_are_read_by_who_needs_them() {
        let builder = Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(File::from_str("[access]\nroot_key_file = \"/nowhere\"", FileFormat::Toml));
        let settings: Settings = builder.build().unwrap().try_deserialize().unwrap();
        let settings = Settings::checked(settings).unwrap();
        let complaint = settings.access.with_secrets().unwrap_err().to_string();
        assert!(complaint.contains("access.root_key") && complaint.contains("/nowhere"));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_errors() {
        let with = |text: &str| {
            let builder = Config::builder()
                .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
                .add_source(File::from_str(text, FileFormat::Toml));
            builder
                .build()
                .and_then(Config::try_deserialize)
                .map_err(SettingsError::from)
                .and_then(Settings::checked)
                .unwrap_err()
                .to_string()
        };
        assert!(with("[server]\nprot = 1").contains("unknown field `prot`"));
        assert!(with("[server]\nport = 99999").contains("server.port"));
        assert!(with("[writer]\nbatch = 0").contains("writer.batch must be 1 to 1000, got 0"));
        assert!(with("[plans.standard]\nimports = -1").contains("-1"));
        assert!(with("[plans]\ndefault = \"gold\"").contains("gold"));
        assert!(with("[database]\nurl = \"mysql://x\"").contains("postgres://"));
    }
}
