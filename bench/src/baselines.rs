//! What one would use instead, measured with its own tools.

use crate::server::Place;
use plg_testkit::postgres;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What `pgbench` says.
pub(crate) struct Pgbench {
    /// Transactions a second.
    pub(crate) rate: f64,
    /// Average latency.
    pub(crate) latency_ms: f64,
}

/// Runs a script of `bench/sql` with `pgbench`, prepared, over the unix socket.
pub(crate) fn pgbench(
    place: &Place,
    url: &str,
    script: &str,
    clients: u32,
    duration: Duration,
    variables: &[(&str, i64)],
) -> Pgbench {
    let database = url.rsplit('/').next().expect("a database");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql").join(script);
    let mut command = Command::new(postgres::programs().join("pgbench"));
    command
        .args(["-n", "-M", "prepared", "-U", "plg", "-h"])
        .arg(place.cluster.socket_folder())
        .args(["-p", &place.cluster.port().to_string()])
        .args(["-c", &clients.to_string(), "-j", "2"])
        .args(["-T", &duration.as_secs().to_string(), "-f"])
        .arg(file);
    for (name, value) in variables {
        command.arg("-D").arg(format!("{name}={value}"));
    }
    let output = command.arg(database).output().expect("pgbench runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    let figure = |start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start)).expect("a figure");
        line.split_whitespace().next().expect("a number").parse().expect("a number")
    };
    Pgbench { rate: figure("tps = "), latency_ms: figure("latency average = ") }
}

/// How Redis is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Transport {
    /// As the service is, and as whoever is not on the same machine has to.
    Tcp,
    /// A socket of the file system.
    Unix,
}

/// Actions a second of Redis with every write synced, through its own benchmark. `None` when Redis is
/// not installed.
pub(crate) fn redis(
    place: &Place,
    transport: Transport,
    connections: u32,
    requests: u32,
) -> Option<f64> {
    let folder = place.folder().join("redis");
    std::fs::create_dir_all(&folder).expect("a folder");
    let socket = folder.join("socket");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.expect("a free port").port().to_string();
    let mut server = Command::new("redis-server")
        .args(["--port", &port, "--appendonly", "yes", "--appendfsync", "always", "--save", ""])
        .arg("--dir")
        .arg(&folder)
        .arg("--unixsocket")
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    for _ in 0..100 {
        // It listens on its port before.
        if socket.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let script = include_str!("../sql/action.lua");
    let mut command = Command::new("redis-benchmark");
    match transport {
        Transport::Tcp => command.args(["-p", &port]),
        Transport::Unix => command.arg("-s").arg(&socket),
    };
    let output = command
        .args(["-c", &connections.to_string(), "-n", &requests.to_string()])
        .args(["-r", "1000000000", "--csv", "eval", script, "3"])
        .args(["gate:__rand_int__", "used:__rand_int__", "events:1", "1000000000", "7"])
        .output();
    let _ = server.kill();
    let _ = server.wait();
    let _ = std::fs::remove_dir_all(&folder);
    let text = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
    let last = text.lines().last()?;
    // The name of the test is the script itself; the rate is the first number behind it.
    last.split("\",\"").nth(1)?.trim_matches('"').parse().ok()
}
