//! A throw-away PostgreSQL, made from the installed programs: data in memory, a unix socket only, and
//! gone with the process that started it, however that ends.

use crate::citus;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The shell that keeps the server: at the end of its input it stops it and removes its folder.
/// Lines on its input are commands, each answered by one line.
const KEEPER: &str = r#"
dir=$1 bin=$2 port=$3 primary=$4; shift 4
owner=(); [ "$(id -u)" != 0 ] || owner=(setpriv --reuid=postgres --regid=postgres --init-groups)
start() {
    # As a simple command, so that $! is the server and not a shell around it.
    "${owner[@]}" "$bin/postgres" -D "$dir/data" -k "$dir" -p "$port" -c listen_addresses=127.0.0.1 \
        -c dynamic_shared_memory_type=mmap \
        "$@" >>"$dir/log" 2>&1 &
    server=$!
    for _ in $(seq 400); do
        "$bin/pg_isready" -q -h "$dir" -p "$port" && { echo ready; return; }
        kill -0 $server 2>/dev/null || break
        sleep 0.05
    done
    echo "not ready: $(tail -3 "$dir/log")"
}
# Stopped first, it forks no process that would be missed.
freeze() { kill -STOP $server; all="$server $(pgrep -P $server)"; kill -STOP $all 2>/dev/null; }
crash() {
    freeze
    kill -KILL $all 2>/dev/null
    wait $server 2>/dev/null
    # Processes that outlive their server would go on writing, and forbid it to start again.
    while ps -o stat= -p "$all" | grep -qv '^Z'; do sleep 0.01; done
}
trap 'kill -CONT $all $server; kill -QUIT $server; wait $server; rm -rf "$dir"' EXIT
trap '' INT TERM HUP
exec 2>/dev/null
mkdir -p "$dir/data" && chmod 700 "$dir/data" && { [ "$(id -u)" != 0 ] || chown -R postgres "$dir"; }
if [ -z "$primary" ]; then
    "${owner[@]}" "$bin/initdb" -D "$dir/data" -A trust -U plg -E UTF8 --locale=C --no-sync
else
    # With standby.signal and primary_conninfo.
    "${owner[@]}" "$bin/pg_basebackup" -D "$dir/data" -R -c fast --no-sync -h 127.0.0.1 -p "$primary" -U plg
fi >"$dir/log" 2>&1 || { echo "no data: $(tail -3 "$dir/log")"; exit 1; }
start "$@"
while read -r command; do
    case $command in
        kill) crash; echo killed ;;
        start) start "$@" ;;
        freeze) freeze; echo frozen ;;
        thaw) kill -CONT $all; echo thawed ;;
        promote) "${owner[@]}" "$bin/pg_ctl" promote -s -w -D "$dir/data" && echo promoted ;;
    esac
done
"#;

/// A running server.
pub struct Cluster {
    keeper: Child,
    output: BufReader<std::process::ChildStdout>,
    folder: PathBuf,
    port: Port,
    arguments: Vec<String>,
}

/// A port that no other server of the tests is given as long as this is kept, in whatever process: one that is free is
/// not taken before the server has its data.
struct Port {
    number: u16,
    claim: UnixListener,
}

impl Cluster {
    /// Starts a server. `settings` are further `-c name=value` arguments.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn start(settings: &[&str]) -> Self {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self::start_in(&root, settings)
    }

    /// Starts a server with its data below a folder, for example on a disk that can be synced.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn start_in(root: &Path, settings: &[&str]) -> Self {
        let mut arguments = vec!["-c".to_owned(), "max_connections=400".to_owned()];
        for setting in settings {
            arguments.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        Self::start_from(root, Port::free(), None, arguments)
    }

    /// Starts a standby with a copy of this server's data, and with its settings, also those of
    /// `alter system`. It follows this server until it is promoted.
    ///
    /// # Panics
    /// When the data cannot be copied.
    pub fn standby(&self) -> Self {
        self.standby_at(Port::free())
    }

    /// The same at the address of another server, which is removed.
    ///
    /// # Panics
    /// When the data cannot be copied.
    pub fn standby_instead_of(&self, other: Self) -> Self {
        let (number, claim) = (other.port.number, other.port.claim.try_clone());
        drop(other);
        self.standby_at(Port { number, claim: claim.expect("a socket") })
    }

    fn standby_at(&self, port: Port) -> Self {
        let root = self.folder.parent().expect("it is in a folder");
        Self::start_from(root, port, Some(self.port()), self.arguments.clone())
    }

    fn start_from(root: &Path, port: Port, primary: Option<u16>, arguments: Vec<String>) -> Self {
        let folder = root.join(format!("plg-postgres-{}-{}", std::process::id(), port.number));
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER, "keeper"])
            .arg(&folder)
            .arg(programs())
            .arg(port.number.to_string())
            .arg(primary.map(|port| port.to_string()).unwrap_or_default())
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash starts");
        let output = BufReader::new(keeper.stdout.take().expect("piped"));
        let mut cluster = Self { keeper, output, folder, port, arguments };
        cluster.expect_line("ready");
        cluster
    }

    /// Makes a primary of a standby, and waits until it takes writes.
    pub fn promote(&mut self) {
        self.command("promote");
        self.expect_line("promoted");
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.command("kill");
        self.expect_line("killed");
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        self.command("start");
        self.expect_line("ready");
    }

    /// Stops all its processes where they stand: it accepts connections, and answers nothing, as
    /// if the network were gone.
    pub fn freeze(&mut self) {
        self.command("freeze");
        self.expect_line("frozen");
    }

    /// Lets them go on.
    pub fn thaw(&mut self) {
        self.command("thaw");
        self.expect_line("thawed");
    }

    fn command(&mut self, command: &str) {
        let input = self.keeper.stdin.as_mut().expect("piped");
        writeln!(input, "{command}").expect("the keeper lives");
    }

    fn expect_line(&mut self, expected: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the keeper answers");
        assert_eq!(line.trim(), expected, "PostgreSQL: {line}");
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://plg@127.0.0.1:{}/{database}", self.port())
    }

    /// The folder of its unix socket.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port.number
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The server that the tests of a process share.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    // In memory there is nothing to sync, and no test pulls the plug.
    SHARED.get_or_init(|| {
        let mut settings = vec!["fsync=off"];
        if citus::is_wanted() {
            settings.extend(citus::SETTINGS);
        }
        Cluster::start(&settings)
    })
}

impl Port {
    /// Below the ports that the system gives to clients, so that nobody takes it while the server is
    /// down.
    fn free() -> Self {
        const ATTEMPTS: u32 = 100;
        let random = |_| {
            let [high, low, ..] = uuid::Uuid::new_v4().into_bytes();
            20_000 + u16::from_be_bytes([high, low]) % 10_000
        };
        let is_free = |port: &Self| TcpListener::bind(("127.0.0.1", port.number)).is_ok();
        (0..ATTEMPTS).map(random).filter_map(Self::claim).find(is_free).expect("a free port")
    }

    /// By a name in the system, which is gone with the process.
    fn claim(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("plg-test-port-{number}")).ok()?;
        Some(Self { number, claim: UnixListener::bind_addr(&name).ok()? })
    }
}

/// Debian keeps the server's programs out of the PATH.
pub fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|folders| folders.flatten().map(|folder| folder.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").exists())
        .expect("PostgreSQL is not installed: scripts/test.sh installs it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_to_one_server_at_a_time() {
        let port = Port::free();
        let number = port.number;
        assert!(Port::claim(number).is_none());
        drop(port);
        assert!(Port::claim(number).is_some());
    }
}
