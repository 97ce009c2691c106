//! Who may import whom: the map of docs/ARCHITECTURE.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

/// A crate, and what it may import of this workspace.
const MAP: [(&str, &[&str]); 8] = [
    ("crates/plg-core", &[]),
    ("crates/plg-hosts", &[]),
    ("crates/plg-store", &["plg-core", "plg-hosts"]),
    ("crates/plg-service", &["plg-core", "plg-store"]),
    ("crates/ingest-api", &["migrations", "plg-core", "plg-service", "plg-store"]),
    ("crates/rollup-worker", &["migrations", "plg-core", "plg-service", "plg-store"]),
    ("migrations", &["plg-hosts"]),
    ("crates/plg", &["ingest-api", "migrations", "rollup-worker"]),
];

/// What decides everything does nothing: no I/O, no async, no randomness.
const PURE: &[&str] =
    &["chrono", "chrono-tz", "fnv", "serde", "serde_json", "sha1", "thiserror", "utoipa", "uuid"];

/// The names of a crate's dependencies.
fn dependencies(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let manifest = std::fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned();
    let names: Vec<String> =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(name).collect();
    assert!(!names.is_empty() || folder == "crates/plg-hosts", "{folder} imports nothing?");
    names
}

#[test]
fn nobody_imports_what_the_map_does_not_say() {
    let ours: Vec<&str> = MAP.iter().filter_map(|(folder, _)| folder.rsplit('/').next()).collect();
    for (folder, allowed) in MAP {
        for name in dependencies(folder) {
            let is_ours = ours.contains(&&*name) || name == "plg-testkit";
            assert!(!is_ours || allowed.contains(&&*name), "{folder} imports {name}");
        }
    }
}

#[test]
fn the_core_is_pure() {
    for name in dependencies("crates/plg-core") {
        assert!(PURE.contains(&&*name), "plg-core imports {name}");
    }
}
