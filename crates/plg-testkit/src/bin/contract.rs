//! Questions the real service with Schemathesis, from its own OpenAPI document, on both databases:
//! whatever is sent, each answer is one that the document describes, and none is a 500.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use plg_testkit::access::ROOT_KEY;
use plg_testkit::process::{Process, program};
use plg_testkit::{Backend, TestDatabase, ledger};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Questions the service with Schemathesis on SQLite and on PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "contract")]
struct Arguments {
    /// Schemathesis' program
    #[arg(long, default_value = "st")]
    schemathesis: PathBuf,
    /// Its configuration
    #[arg(long, default_value = "scripts/schemathesis.toml")]
    config: PathBuf,
    /// Most generated cases of an operation, besides the systematic ones
    #[arg(short = 'n', long, default_value_t = 30)]
    cases: u32,
    /// Which cases
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut all_well = true;
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("== {backend:?}");
        all_well &= question(&arguments, backend).await;
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn question(arguments: &Arguments, backend: Backend) -> bool {
    let database = TestDatabase::new(backend).await;
    let service = Process::serve(&program("ingest-api"), database.url(), &[]);
    let status = Command::new(&arguments.schemathesis)
        .arg("--config-file")
        .arg(&arguments.config)
        .args(["run", &format!("http://{}/openapi.json", service.address)])
        .args(["-H", &format!("Authorization: Bearer {ROOT_KEY}")])
        .args(["--checks", "all", "--workers", "1", "--generation-database", "none"])
        .args(["-n", &arguments.cases.to_string(), "--seed", &arguments.seed.to_string()])
        .env("PLG_RUN_ID", a_run(&program("rollup-worker"), &database))
        .status();
    let status = status.unwrap_or_else(|error| {
        panic!(
            "cannot run {}: {error} (scripts/test.sh installs it)",
            arguments.schemathesis.display()
        )
    });
    let stopped = service.terminate();
    let errors = ledger::errors(&database.connect().await).await;
    for error in &errors {
        println!("counters and events differ: {error}");
    }
    status.success() && stopped.success() && errors.is_empty()
}

/// Reconciles, so that there is a run to ask for.
fn a_run(worker: &Path, database: &TestDatabase) -> String {
    let output = Command::new(worker)
        .arg("--json")
        .env("DATABASE_URL", database.url())
        .output()
        .expect("rollup-worker starts");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
    summary["run_id"].as_str().expect("a run's id").to_owned()
}
