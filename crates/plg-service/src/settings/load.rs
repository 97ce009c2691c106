//! Where settings come from: the documented defaults, a file, the environment; and what of them is used.

use super::access::JwtAlgorithm;
use super::{DEFAULT_FILE, DEFAULTS, FILE_VARIABLE, LogFormat, Settings, SettingsError};
use config::{Config, Environment, File, FileFormat, Map, Source as _, Value, ValueKind};
use plg_core::plan::Limit;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// Names the database, as everywhere else.
const DATABASE_VARIABLE: &str = "DATABASE_URL";
const DATABASE_KEY: &str = "database.url";
/// Below this, operators choose names of their own.
const PLANS: &str = "plans.";
const DOCUMENTED_PLAN: &str = "standard";
/// How much of a name may be wrong for it to be taken for another, from 0 to 1.
const LIKENESS_MIN: f64 = 0.6;

/// What was said about settings, by whom, before it is understood.
pub(super) struct Sources(Config);

impl Sources {
    /// Of this process.
    pub(super) fn of_process() -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        match std::env::var(FILE_VARIABLE) {
            Ok(file) => builder = builder.add_source(File::new(&file, FileFormat::Toml)),
            Err(_) if Path::new(DEFAULT_FILE).exists() => {
                builder = builder.add_source(File::new(DEFAULT_FILE, FileFormat::Toml));
            }
            Err(_) => {}
        }
        if let Ok(url) = std::env::var(DATABASE_VARIABLE) {
            let value = Value::new(Some(&DATABASE_VARIABLE.to_owned()), url);
            builder =
                builder.add_source(Config::builder().set_override(DATABASE_KEY, value)?.build()?);
        }
        let environment = Environment::with_prefix("PLG").prefix_separator("__").separator("__");
        Ok(Self(builder.add_source(environment).build()?))
    }

    /// The defaults, and what `text` says instead.
    pub(super) fn of_text(text: &str) -> Result<Self, SettingsError> {
        let builder = Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(File::from_str(text, FileFormat::Toml));
        Ok(Self(builder.build()?))
    }

    /// Understands them.
    pub(super) fn settings(&self) -> Result<Settings, SettingsError> {
        let known = leaves(&Self::of_text("")?.0.collect()?);
        let given = leaves(&self.0.collect()?);
        if let Some(unknown) = given.keys().find(|key| !is_known(&known, key)) {
            return Err(SettingsError::Unknown {
                key: unknown.clone(),
                variable: variable(unknown),
                nearest: nearest(&known, unknown).map(|key| (key.clone(), variable(&key))),
            });
        }
        check_plans(&known, &given)?;
        given.iter().try_for_each(|(key, value)| check_kind(key, value))?;
        self.0.clone().try_deserialize::<Settings>()?.checked()
    }

    /// What is used, one line for each setting, and where it comes from.
    pub(super) fn describe(&self) -> Result<String, SettingsError> {
        let used = serde_json::to_value(self.settings()?).unwrap_or_default();
        let mut lines = BTreeMap::new();
        flatten(&used, String::new(), &mut lines);
        let given = leaves(&self.0.collect()?);
        let mut text = String::new();
        let mut section = "";
        let mut lines: Vec<(&str, &str, &String, &String)> = lines
            .iter()
            .map(|(key, value)| {
                let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
                (section, name, key, value)
            })
            .collect();
        lines.sort_unstable();
        for (of, name, key, value) in lines {
            if of != section {
                text += &format!("{}[{of}]\n", if text.is_empty() { "" } else { "\n" });
                section = of;
            }
            let origin = given.get(key).and_then(|value| value.origin());
            let origin = match origin {
                None => "default".to_owned(),
                Some("the environment") => variable(key),
                Some(other) => other.to_owned(),
            };
            text += &format!("{:<40} # {origin}\n", format!("{name} = {value}"));
        }
        Ok(text)
    }
}

/// Every setting that is no section, by its whole name.
fn leaves(tree: &Map<String, Value>) -> BTreeMap<String, Value> {
    fn add(tree: &Map<String, Value>, prefix: &str, leaves: &mut BTreeMap<String, Value>) {
        for (key, value) in tree {
            let key = format!("{prefix}{key}");
            match &value.kind {
                ValueKind::Table(table) => add(table, &format!("{key}."), leaves),
                _ => {
                    leaves.insert(key, value.clone());
                }
            }
        }
    }

    let mut all = BTreeMap::new();
    add(tree, "", &mut all);
    all
}

/// Plans have names of the operator's own, and the fields of any plan.
fn as_documented(key: &str) -> (String, Option<&str>) {
    let plan = key.strip_prefix(PLANS).and_then(|plan| plan.split_once('.'));
    match plan {
        Some((plan, field)) => (format!("{PLANS}{DOCUMENTED_PLAN}.{field}"), Some(plan)),
        None => (key.to_owned(), None),
    }
}

/// Every plan has all the fields of the documented one.
fn check_plans(
    known: &BTreeMap<String, Value>,
    given: &BTreeMap<String, Value>,
) -> Result<(), SettingsError> {
    let documented = format!("{PLANS}{DOCUMENTED_PLAN}.");
    for plan in given.keys().filter_map(|key| as_documented(key).1) {
        for field in known.keys().filter_map(|key| key.strip_prefix(&documented)) {
            let key = format!("{PLANS}{plan}.{field}");
            if !given.contains_key(&key) {
                return Err(SettingsError::Missing { variable: variable(&key), key });
            }
        }
    }
    Ok(())
}

/// Where the message of whoever reads the value would name no setting, or not what it may be.
fn check_kind(key: &str, value: &Value) -> Result<(), SettingsError> {
    fn is<T: DeserializeOwned>(value: &Value) -> bool {
        T::deserialize(value.clone()).is_ok()
    }

    let (is_right, expected) = match key {
        "server.host" | "metrics.host" => {
            (is::<IpAddr>(value), "an IP address such as 127.0.0.1 or 0.0.0.0")
        }
        "log.format" => (is::<LogFormat>(value), "human or json"),
        "access.jwt.algorithm" => (is::<JwtAlgorithm>(value), "HS256, RS256 or EdDSA, or empty"),
        key if as_documented(key).1.is_some() => {
            (is::<Limit>(value), "a whole number from 0 to 9007199254740991, or unlimited")
        }
        _ => return Ok(()),
    };
    if is_right {
        return Ok(());
    }
    Err(SettingsError::OutOfBounds { key: key.to_owned(), expected, got: value.to_string() })
}

fn is_known(known: &BTreeMap<String, Value>, key: &str) -> bool {
    known.contains_key(&as_documented(key).0)
}

fn nearest(known: &BTreeMap<String, Value>, key: &str) -> Option<String> {
    let (key, plan) = as_documented(key);
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, &key);
    let all = known.keys().map(|known| (likeness(known), known.as_str()));
    let (likeness, nearest) = all.max_by(|one, other| one.0.total_cmp(&other.0))?;
    let named = |plan| nearest.replacen(DOCUMENTED_PLAN, plan, 1);
    (likeness >= LIKENESS_MIN).then(|| plan.map_or_else(|| nearest.to_owned(), named))
}

/// The environment variable of a setting.
fn variable(key: &str) -> String {
    format!("PLG__{}", key.to_uppercase().replace('.', "__"))
}

/// Values as they may be written in a file.
fn flatten(value: &Json, key: String, lines: &mut BTreeMap<String, String>) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(value, key, lines);
            }
        }
        Json::Null => {
            lines.insert(key, "\"unlimited\"".to_owned());
        }
        value => {
            lines.insert(key, value.to_string());
        }
    }
}
