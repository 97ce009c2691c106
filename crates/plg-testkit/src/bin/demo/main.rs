//! `just demo`: a month of a hotel group, replayed over HTTP against the real application; some
//! counters damaged behind its back; and the real `rollup-worker`, which repairs them.
//!
//! What should come out is computed by a naive model that shares no code with the service. The exit
//! code is 1 if anything is not as the model says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod damage;
mod show;

use clap::Parser;
use damage::Damage;
use indicatif::{ProgressBar, ProgressStyle};
use plg_testkit::scenario::replay::Report;
use plg_testkit::scenario::{Books, GROUP, Model, Scenario, books, replay, start};
use plg_testkit::{Backend, TestApp, TestClock, TestDatabase, ledger, process};
use sea_orm::DatabaseConnection;
use show::Table;
use std::path::Path;
use std::process::{ExitCode, Output};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Replays a month of a hotel group, damages counters, and lets rollup-worker repair them.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// On a throw-away PostgreSQL instead of a throw-away SQLite
    #[arg(long)]
    postgres: bool,
    /// Another month than the usual one
    #[arg(long, default_value_t = 2026)]
    seed: u64,
}

/// What is not as it should be.
#[derive(Default)]
struct Checks {
    failed: Vec<String>,
}

impl Checks {
    fn check(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.failed.push(otherwise.to_owned());
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut checks = Checks::default();
    run(&arguments, &mut checks).await;
    if checks.failed.is_empty() {
        println!("{}", show::good("Everything is as the model says."));
        return ExitCode::SUCCESS;
    }
    for failure in &checks.failed {
        println!("{} {failure}", show::bad("WRONG"));
    }
    ExitCode::FAILURE
}

async fn run(arguments: &Arguments, checks: &mut Checks) {
    let backend = if arguments.postgres { Backend::Postgres } else { Backend::Sqlite };
    let worker = process::program("rollup-worker");
    let scenario = Scenario::generate(arguments.seed, GROUP.len());
    show::opening(&scenario, arguments.seed, backend);
    let database = TestDatabase::new(backend).await;
    let clock = TestClock::at(&start().to_rfc3339());
    let mut model = Model::default();

    let app = TestApp::start(&database, &clock).await;
    let began = Instant::now();
    let report = replay_with_progress(&app, &clock, &mut model, &scenario).await;
    show::replayed(&report, began.elapsed());
    checks.check(report.wrong == 0, &format!("{} answers", report.wrong));
    let expected = model.books();
    check_answers(&app, &expected, checks, "usage over HTTP before the damage").await;
    app.stop().await;
    let db = database.connect().await;
    let found = books::read(&db).await;
    checks.check(found == expected, "the database before the damage");
    checks.check(ledger::errors(&db).await.is_empty(), "the ledger before the damage");

    let damages = damage::inflict(&db, backend).await;
    let found = books::read(&db).await;
    let table = Table { model: &model, expected: &expected, found: &found, damages: &damages };
    table.before();

    let output = run_worker(&worker, &database, &[]).await;
    show::program("rollup-worker", &output);
    checks.check(output.status.success(), "the exit code of rollup-worker");

    check_repair(&db, &expected, &damages, checks).await;
    Table { found: &books::read(&db).await, ..table }.after();
    let second = run_worker(&worker, &database, &["--dry-run"]).await;
    checks.check(second.status.success(), "a second look: something has drifted still");
    let app = TestApp::start(&database, &clock).await;
    check_answers(&app, &expected, checks, "usage over HTTP after the repair").await;
    app.stop().await;
    db.close().await.expect("closes");
}

async fn run_worker(program: &Path, database: &TestDatabase, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env("DATABASE_URL", database.url());
    // What the caller's environment says of another database must not win.
    command.env_remove("PLG__DATABASE__URL").env_remove("PLG_CONFIG");
    command.output().await.expect("rollup-worker starts")
}

async fn replay_with_progress(
    app: &TestApp,
    clock: &TestClock,
    model: &mut Model,
    scenario: &Scenario,
) -> Report {
    let requests = u64::try_from(scenario.requests.len()).expect("a number");
    let bar = ProgressBar::new(requests);
    let style = ProgressStyle::with_template("  {bar:40} {human_pos}/{human_len} requests, {eta}");
    bar.set_style(style.expect("a template"));
    bar.enable_steady_tick(Duration::from_millis(200));
    let tell = |done| bar.set_position(done);
    let report = replay(&app.api, clock, model, &scenario.requests, tell).await;
    bar.finish_and_clear();
    report
}

/// The counters are what the model says, each correction has its audit row, and the lost rows are
/// all that is missing.
async fn check_repair(
    db: &DatabaseConnection,
    expected: &Books,
    damages: &[Damage],
    checks: &mut Checks,
) {
    let mut remaining = expected.clone();
    for damage in damages {
        damage.forget_lost_event(&mut remaining);
    }
    checks.check(books::read(db).await == remaining, "the database after the repair");
    let counters: usize = damages.iter().map(|damage| damage.counters.len()).sum();
    let audited = ledger::number(db, "select count(*) as n from usage_adjustment").await;
    checks.check(usize::try_from(audited) == Ok(counters), "the number of audited corrections");
    let missing = ledger::number(db, "select coalesce(max(missing), 0) as n from rollup_run").await;
    let lost = damages.iter().filter(|damage| damage.lost_event.is_some()).count();
    checks.check(usize::try_from(missing) == Ok(lost), "the number of missing events");
}

async fn check_answers(app: &TestApp, expected: &Books, checks: &mut Checks, what: &str) {
    let hotels = GROUP.iter().map(|hotel| hotel.id());
    checks.check(books::ask(&app.api, hotels).await == books::used(expected), what);
}
