//! What the image would run is run: the programs with only the environment that the manifests set, as
//! the user that they name, in a folder that nobody can write to, on a real PostgreSQL.
//!
//! It differs from a cluster in this: the ports are free ones, as those of the manifests may be taken.
//! `PLG_PROGRAMS` names the folder of the release build, as scripts/test.sh does; without it the programs
//! are those that were built for the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod manifests;

use futures_util::future::join_all;
use manifests::{Container, container};
use plg_testkit::access::{ROOT_KEY, SESSION_SECRET};
use plg_testkit::app::{Api, USER, hotel};
use plg_testkit::process::program;
use plg_testkit::{Backend, TestDatabase, ledger};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{block_in_place, spawn_blocking};

const NAMES: [&str; 3] = ["ingest-api", "migrate", "rollup-worker"];
const CLIENTS: usize = 16;
const HOTELS: usize = 8;
/// Between two questions of whoever balances the load.
const PROBE_PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 600;

/// A folder that nobody may write to, as the image's root is, with the programs in it: another user may not
/// be let in where they were built.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("plg-deployed-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        for name in NAMES {
            std::fs::copy(program(name), path.join(name)).unwrap();
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o555)).unwrap();
        Self(path)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o755));
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// As the container's user where that can be had, which takes root; else as whoever runs the test, who is
/// not root then.
fn command(container: &Container, folder: &Path) -> Command {
    let mut command = Command::new(folder.join(&container.program));
    command.args(&container.arguments).env_clear().envs(&container.environment);
    command.current_dir(folder).stdin(Stdio::null());
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(container.user).gid(container.user);
    }
    command
}

/// Runs to its end, which has to be a good one.
fn run(container: &Container, folder: &Path) -> String {
    let output = command(container, folder).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}: {out}{err}", container.program);
    out
}

/// The service, until it ends.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(container: &Container, folder: &Path) -> Self {
        let mut command = command(container, folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let complaints = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(|| complaints.for_each(|line| show_complaint(&line.unwrap())));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            line.split_once("listening on http://").and_then(|(_, address)| {
                address.trim().parse::<SocketAddr>().ok().map(|address| address.port())
            })
        });
        std::thread::spawn(move || lines.for_each(drop));
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("it says where it listens")));
        Self { child, address }
    }

    /// Who runs it.
    fn user(&self) -> u32 {
        std::fs::metadata(format!("/proc/{}", self.child.id())).unwrap().uid()
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }
}

/// What the service logs, but for its access log.
fn show_complaint(line: &str) {
    if !line.contains(r#""level":"INFO""#) {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_shipped_is_each_program_by_its_name() {
    let say_version = |mut command: Command| {
        let output = command.arg("--version").env_clear().output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let shipped = || Command::new(program("plg"));
    for name in NAMES {
        let said = (true, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
        let mut by_argument = shipped();
        by_argument.arg(name);
        assert_eq!(say_version(by_argument), said);
        let mut by_link = shipped();
        by_link.arg0(format!("/usr/local/bin/{name}"));
        assert_eq!(say_version(by_link), said);
    }
    for arguments in [&[][..], &["ingest"]] {
        let output = shipped().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let explained = String::from_utf8(output.stderr).unwrap();
        assert!(NAMES.iter().all(|name| explained.contains(name)), "{explained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_serve_probe_stop_and_reconcile() {
    let folder = ReadOnly::new();
    let database = TestDatabase::empty(Backend::Postgres).await;
    let secret = BTreeMap::from([
        ("database-url", database.url().to_owned()),
        ("session-secret", SESSION_SECRET.to_owned()),
        ("root-key", ROOT_KEY.to_owned()),
    ]);
    let migrate = container("components/postgres/migrate.yaml", &secret);
    let mut api = container("base/deployment.yaml", &secret);
    let worker = container("base/rollup-worker/cronjob.yaml", &secret);
    for port in ["PLG__SERVER__PORT", "PLG__METRICS__PORT"] {
        assert!(api.environment.insert(port.to_owned(), "0".to_owned()).is_some());
    }

    // Before the migration it refuses to start, as the rollout counts on.
    let early = block_in_place(|| command(&api, &folder.0).output()).unwrap();
    assert!(!early.status.success());
    assert!(String::from_utf8_lossy(&early.stderr).contains("migrate up"), "{early:?}");
    block_in_place(|| run(&migrate, &folder.0));
    let mut server = block_in_place(|| Server::start(&api, &folder.0));
    assert_ne!(server.user(), 0);
    let client = Api::new(server.address);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(client.get(api.probe(probe)).await.status, 200, "{probe}");
    }
    for number in 0..HOTELS {
        assert_eq!(client.register(hotel(number as u128), "suite", "UTC").await.status, 200);
    }

    let stop = async {
        server.terminate();
        until_not_ready(&client, api.probe("readinessProbe")).await;
    };
    let balanced = balanced_load(&client, stop).await;
    let stubborn = stubborn_load(&client).await;
    let status = spawn_blocking(move || server.child.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");

    let db = database.connect().await;
    ledger::assert_balanced(&db).await;
    let imports = "select count(*) as n from product_event where event_type = 'import_success'";
    let acknowledged = i64::try_from(balanced + stubborn).unwrap();
    assert_eq!(ledger::number(&db, imports).await, acknowledged);

    let report = block_in_place(|| run(&worker, &folder.0));
    let report: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(
        (report["drifted"].as_i64(), report["events"].as_i64()),
        (Some(0), Some(acknowledged))
    );
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 3, "the programs, and nothing else");
}

/// What whoever balances the load asks before it sends nothing here any more.
async fn until_not_ready(client: &Api, probe: &str) {
    for _ in 0..ATTEMPTS {
        let answer = client.get(probe).await;
        if answer.status == 503 {
            assert_eq!(answer.code(), "shutting_down", "{answer:?}");
            return;
        }
        tokio::time::sleep(PROBE_PAUSE).await;
    }
    panic!("told to stop, it is still ready");
}

/// Clients behind a load balancer: they send here until the service is not ready, and no request of theirs
/// fails. `stop` begins when they are at work. Answers how many imports were acknowledged.
async fn balanced_load(client: &Api, stop: impl Future<Output = ()>) -> usize {
    const JOBS_BEFORE: usize = 200;

    let (is_over, acknowledged) = (watch::Sender::new(false), watch::Sender::new(0));
    let clients = (0..CLIENTS).map(|number| {
        let (is_over, acknowledged) = (is_over.subscribe(), &acknowledged);
        async move {
            let mut job = 0;
            while !*is_over.borrow() {
                let job_id = format!("{number} {job}");
                let answer = client.import(hotel((number % HOTELS) as u128), &job_id).await;
                assert_eq!(answer.status, 201, "{answer:?}");
                acknowledged.send_modify(|count| *count += 1);
                job += 1;
            }
        }
    });
    let mut progress = acknowledged.subscribe();
    let end = async {
        progress.wait_for(|count| *count >= JOBS_BEFORE).await.unwrap();
        stop.await;
        is_over.send(true).unwrap();
    };
    tokio::join!(join_all(clients), end);
    *acknowledged.borrow()
}

/// A client that goes on until nobody listens. Until then it is served. Answers how many imports were
/// acknowledged.
async fn stubborn_load(client: &Api) -> usize {
    for job in 0.. {
        let path = format!("/v1/hotels/{}/imports", hotel(1));
        let body = json!({ "job_id": format!("stubborn {job}"), "user_id": USER });
        match Api::try_send(client.request(Method::POST, &path).json(&body)).await {
            Some(answer) => assert_eq!(answer.status, 201, "{answer:?}"),
            None => return job,
        }
    }
    unreachable!()
}
