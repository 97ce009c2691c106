//! What the manifests of `production` start: programs, arguments and environment, nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use yaml_rust2::{Yaml, YamlLoader};

/// A container, as the cluster would start it.
#[derive(Debug)]
pub(crate) struct Container {
    /// The program's name; the image has all of them in one folder.
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) user: u32,
    probes: Yaml,
}

impl Container {
    /// The path that a probe asks.
    pub(crate) fn probe(&self, name: &str) -> &str {
        self.probes[name]["httpGet"]["path"].as_str().expect("a path")
    }
}

/// The folder of all manifests.
fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/k8s")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(manifests().join(file)).expect("a manifest")
}

fn yaml(file: &str) -> Yaml {
    YamlLoader::load_from_str(&read(file)).expect("YAML").swap_remove(0)
}

/// A container, its Secret holding these values. Keys that the manifests ask for must be among them,
/// unless they are optional.
pub(crate) fn container(file: &str, secret: &BTreeMap<&str, String>) -> Container {
    let mut document = yaml(file);
    if document["spec"]["jobTemplate"].as_hash().is_some() {
        document = document["spec"]["jobTemplate"].clone();
    }
    let pod = &document["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut environment = BTreeMap::new();
    for source in container["envFrom"].as_vec().into_iter().flatten() {
        assert_eq!(source["configMapRef"]["name"].as_str(), Some("plg-config"), "{source:?}");
        environment.extend(config_map());
    }
    for entry in container["env"].as_vec().into_iter().flatten() {
        let name = text(&entry["name"]);
        let reference = &entry["valueFrom"]["secretKeyRef"];
        match (entry["value"].as_str(), reference["key"].as_str()) {
            (Some(value), _) => environment.insert(name, value.to_owned()),
            (_, Some(key)) if secret.contains_key(key) => {
                environment.insert(name, secret[key].clone())
            }
            (_, Some(_)) if reference["optional"].as_bool() == Some(true) => None,
            _ => panic!("no value for {entry:?}"),
        };
    }
    let user = pod["securityContext"]["runAsUser"].as_i64().expect("a user");
    Container {
        program: last_part(&text(&container["command"][0])),
        arguments: container["args"].as_vec().into_iter().flatten().map(text).collect(),
        environment,
        user: user.try_into().expect("a user id"),
        probes: container.clone(),
    }
}

fn text(yaml: &Yaml) -> String {
    yaml.as_str().expect("text").to_owned()
}

fn last_part(path: &str) -> String {
    path.strip_prefix("/usr/local/bin/").expect("a program of the image").to_owned()
}

/// The base's, with what the overlay says instead.
fn config_map() -> BTreeMap<String, String> {
    let overlay = yaml("overlays/production/kustomization.yaml");
    let literals = overlay["configMapGenerator"][0]["literals"].as_vec().expect("a list");
    let base = read("base/config.env");
    let base = base.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let all = base.map(str::to_owned).chain(literals.iter().map(text));
    all.map(|line| {
        let (name, value) = line.split_once('=').expect("NAME=VALUE");
        (name.to_owned(), value.to_owned())
    })
    .collect()
}
