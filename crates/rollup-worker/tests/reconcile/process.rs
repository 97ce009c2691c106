//! The program as a process.

use crate::support::Books;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A worker to be started.
pub(crate) struct Worker(Command);

/// A worker that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The summary of `--json`: the last line on standard output.
    pub(crate) fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The only line on standard error.
    pub(crate) fn complaint(&self) -> &str {
        let mut lines = self.stderr.lines();
        let line = lines.next().unwrap_or_default();
        assert_eq!(lines.next(), None, "more than a line: {self:?}");
        line
    }
}

impl Worker {
    /// On the database of some books.
    pub(crate) fn of(books: &Books) -> Self {
        Self::at(books.database.url())
    }

    /// On a database.
    pub(crate) fn at(url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollup-worker"));
        // Where no plg.toml lies.
        command.current_dir(std::env::temp_dir()).env("DATABASE_URL", url).stdin(Stdio::null());
        Self(command)
    }

    /// With a setting.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// In a folder, without what the environment says of its database.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder).env_remove("DATABASE_URL");
        self
    }

    /// Runs it to its end.
    pub(crate) async fn run(mut self, arguments: &[&str]) -> Finished {
        self.0.args(arguments);
        let output = tokio::task::spawn_blocking(move || self.0.output()).await.unwrap().unwrap();
        Finished {
            code: output.status.code().expect("it was not killed"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it, to be watched.
    pub(crate) fn start(mut self, arguments: &[&str]) -> Running {
        self.0.env("PLG__LOG__FILTER", "info").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.0.args(arguments).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Running { child, log }
    }
}

/// A worker at work.
pub(crate) struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Running {
    /// Waits until it has logged so many corrections, each after its commit. `false` when it ended
    /// before that.
    pub(crate) fn has_corrected(&mut self, corrections: usize) -> bool {
        let mut seen = 0;
        let mut line = String::new();
        while seen < corrections {
            line.clear();
            if self.log.read_line(&mut line).unwrap() == 0 {
                return false;
            }
            seen += usize::from(line.contains("counter had drifted"));
        }
        true
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `kill -TERM`, and waits for the end.
    pub(crate) fn terminate(self) -> Finished {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.wait()
    }

    /// Waits for the end. Of standard error, only what was not read yet.
    pub(crate) fn wait(mut self) -> Finished {
        let mut stderr = String::new();
        while self.log.read_line(&mut stderr).unwrap() > 0 {}
        let output = self.child.wait_with_output().unwrap();
        let code = output.status.code().expect("it was not killed");
        Finished { code, stdout: String::from_utf8(output.stdout).unwrap(), stderr }
    }
}
