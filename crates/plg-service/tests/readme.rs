//! The README tells of every setting, and of its default.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

const README: &str = include_str!("../../../README.md");
const DEFAULTS: &str = include_str!("../src/default.toml");
/// Of these the README tells the most important ones only.
const TOLD_IN_PART: [&str; 2] = ["PLG__ACCESS__", "PLG__PLANS__"];

/// The settings' names in the environment, with their defaults; what is empty is off.
fn defaults() -> BTreeMap<String, String> {
    let mut section = "";
    let mut defaults = BTreeMap::new();
    for line in DEFAULTS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once(" = ") {
            let name = format!("plg.{section}.{key}").replace('.', "__").to_uppercase();
            let value = value.trim_matches('"');
            let value = value.strip_suffix(".0").unwrap_or(value);
            defaults.insert(name, if value == "[]" { "" } else { value }.to_owned());
        }
    }
    defaults
}

/// The names in a row of the README: `PLG__A__B`, and `…__C`, which is `PLG__A__C`.
fn names(cell: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in cell.split('`').skip(1).step_by(2) {
        match (name.strip_prefix("…__"), names.last()) {
            (Some(last), Some(before)) => {
                let (section, _) = before.rsplit_once("__").expect("a section");
                names.push(format!("{section}__{last}"));
            }
            _ => names.push(name.to_owned()),
        }
    }
    names.retain(|name| name.starts_with("PLG__") && !name.contains(['…', '<']));
    names
}

/// What the README tells of the settings.
fn told() -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for row in README.lines().filter(|row| row.starts_with("| `") && row.contains("PLG__")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let values: Vec<String> =
            cells[2].split(", ").map(|value| value.replace('`', "")).collect();
        let names = names(cells[1]);
        if names.is_empty() {
            continue;
        }
        assert!(values.len() == names.len(), "as many defaults as names: {row}");
        let off = |value: String| if value == "off" { String::new() } else { value };
        told.extend(names.into_iter().zip(values.into_iter().map(off)));
    }
    told
}

#[test]
fn what_the_readme_says_of_a_setting_is_its_default() {
    let defaults = defaults();
    for (name, value) in told() {
        assert_eq!(defaults.get(&name), Some(&value), "{name}");
    }
}

#[test]
fn the_readme_says_something_of_every_setting() {
    let told = told();
    let is_left_out = |name: &&String| {
        !TOLD_IN_PART.iter().any(|part| name.starts_with(part)) && !told.contains_key(*name)
    };
    let defaults = defaults();
    assert_eq!(defaults.keys().filter(is_left_out).collect::<Vec<_>>(), [""; 0]);
}
