//! The programs as processes: to be stopped, and to be killed.

use crate::access;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A service that runs as a process of its own.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its metrics are read.
    pub metrics_address: SocketAddr,
}

/// The next line ends with an address, or with a path there.
fn address_in(output: &mut impl BufRead) -> SocketAddr {
    let mut line = String::new();
    output.read_line(&mut line).expect("it says where it listens");
    let address = line.trim().rsplit_once("http://").map(|(_, at)| at.trim_end_matches("/metrics"));
    let address = address.and_then(|at| at.parse().ok());
    address.unwrap_or_else(|| panic!("it does not listen: {line:?}"))
}

impl Process {
    /// Starts `ingest-api` on a free port, and waits until it listens.
    ///
    /// # Panics
    /// With what it complains about, when it does not start.
    pub fn serve(program: &Path, database_url: &str, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("PLG__SERVER__PORT", "0"),
            ("PLG__METRICS__PORT", "0"),
            ("PLG__LOG__FILTER", "warn"),
        ];
        all.extend(access::ENVIRONMENT);
        all.extend(settings);
        Self::serve_with(program, database_url, &all)
    }

    /// The same with these settings only.
    ///
    /// # Panics
    /// With what it complains about, when it does not start.
    pub fn serve_with(program: &Path, database_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::serve_logging_to(Stdio::inherit(), program, database_url, settings)
    }

    /// The same, with a log of its own; a pipe is never read.
    ///
    /// # Panics
    /// When it does not start.
    pub fn serve_logging_to(
        log: Stdio,
        program: &Path,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut child = Command::new(program)
            .env("DATABASE_URL", database_url)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let (address, metrics_address) = (address_in(&mut output), address_in(&mut output));
        // It may say more than a pipe holds.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, address, metrics_address }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// `kill -TERM`, and waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().expect("reaped")
    }

    /// `kill` with this signal.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        Command::new("kill").args([signal, &id]).status().expect("kill runs");
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The highest resident memory of a process so far, in MiB; `None` once it has ended.
#[must_use]
pub fn peak_mib(id: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib = line.split_whitespace().next()?.parse::<f64>().ok()?;
    Some(kib / 1024.0)
}

/// A program of this workspace: from the folder that `PLG_PROGRAMS` names, or built beside the one that
/// runs.
///
/// # Panics
/// When it has not been built.
pub fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("PLG_PROGRAMS") {
        let program = Path::new(&folder).join(name);
        assert!(program.is_file(), "PLG_PROGRAMS: there is no {}", program.display());
        return program;
    }
    let own = std::env::current_exe().expect("a path");
    let folder = own.ancestors().skip(1).find(|folder| folder.join(name).is_file());
    let folder = folder.unwrap_or_else(|| panic!("run `cargo build --workspace` first: no {name}"));
    folder.join(name)
}
