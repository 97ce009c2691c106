//! Upgrades from an earlier build to a later one under load: both serve the same PostgreSQL database while
//! the migrations are applied, no request fails, and the books are right. `just rolling-upgrade REVISION`
//! builds both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use futures_util::future::join_all;
use plg_testkit::app::{Api, USER, hotel};
use plg_testkit::{Backend, Process, TestDatabase, access, ledger};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::sync::watch;

const CLIENTS: usize = 16;
const HOTELS: usize = 8;
/// Imports between one step and the next.
const JOBS_BETWEEN: usize = 500;
/// For those imports.
const PATIENCE: Duration = Duration::from_secs(30);

/// Upgrades from one build to another under load.
#[derive(Debug, Parser)]
#[command(name = "rolling-upgrade")]
struct Arguments {
    /// Folder of the earlier programs
    #[arg(long)]
    from: PathBuf,
    /// Folder of the later ones
    #[arg(long)]
    to: PathBuf,
}

/// What the clients met.
#[derive(Debug, Default)]
struct Told {
    acknowledged: BTreeSet<String>,
    /// Answers that are no success, by status and code.
    failures: BTreeMap<String, usize>,
    /// Connections refused or closed without an answer: sent again to the other one, as whoever
    /// balances the load does.
    sent_again: usize,
}

/// Whoever balances the load: to which services it sends now.
type Rotation = watch::Receiver<Vec<Api>>;

#[tokio::main]
async fn main() {
    let Arguments { from, to } = Arguments::parse();
    let database = TestDatabase::empty(Backend::Postgres).await;
    migrate(&from, &database);
    println!("the earlier `migrate up`: {} migrations", migrations_of(&database).await);
    let old = serve(&from, &database);
    let old_api = Api::new(old.address);
    for number in 0..HOTELS {
        assert_eq!(old_api.register(hotel(number as u128), "suite", "UTC").await.status, 200);
    }

    let rotation = watch::Sender::new(vec![old_api.clone()]);
    let (acknowledged, is_over) = (watch::Sender::new(0), watch::Sender::new(false));
    let clients = (0..CLIENTS)
        .map(|number| {
            tokio::spawn(client(
                number,
                rotation.subscribe(),
                acknowledged.clone(),
                is_over.subscribe(),
            ))
        })
        .collect::<Vec<_>>();
    let mut progress = acknowledged.subscribe();

    step("the earlier one serves alone", &mut progress).await;
    tokio::task::block_in_place(|| migrate(&to, &database));
    println!("the later `migrate up`: {} migrations", migrations_of(&database).await);
    step("the earlier one serves on the later schema", &mut progress).await;
    let new = tokio::task::block_in_place(|| serve(&to, &database));
    let new_api = Api::new(new.address);
    assert_eq!(new_api.get("/readyz").await.status, 200);
    rotation.send(vec![old_api, new_api.clone()]).expect("clients");
    step("both serve", &mut progress).await;
    rotation.send(vec![new_api]).expect("clients");
    let status = tokio::task::block_in_place(|| old.terminate());
    assert!(status.success(), "the earlier one stopped with {status}");
    step("the later one serves alone", &mut progress).await;
    is_over.send(true).expect("clients");

    let mut told = Told::default();
    for one in join_all(clients).await {
        let one = one.expect("a client");
        told.acknowledged.extend(one.acknowledged);
        told.sent_again += one.sent_again;
        for (failure, count) in one.failures {
            *told.failures.entry(failure).or_default() += count;
        }
    }
    verify(&told, &to, &database).await;
}

async fn step(what: &str, progress: &mut watch::Receiver<usize>) {
    let wanted = *progress.borrow() + JOBS_BETWEEN;
    let done = tokio::time::timeout(PATIENCE, progress.wait_for(|count| *count >= wanted));
    done.await.unwrap_or_else(|_| panic!("{what}: no {JOBS_BETWEEN} imports")).expect("clients");
    println!("{what}: {JOBS_BETWEEN} imports acknowledged");
}

async fn client(
    number: usize,
    mut rotation: Rotation,
    acknowledged: watch::Sender<usize>,
    is_over: watch::Receiver<bool>,
) -> Told {
    let mut told = Told::default();
    let (mut job, mut turn) = (0, number);
    while !*is_over.borrow() {
        let services = rotation.borrow_and_update().clone();
        turn += 1;
        let api = &services[turn % services.len()];
        let job_id = format!("client {number} job {job}");
        let path = format!("/v1/hotels/{}/imports", hotel((number % HOTELS) as u128));
        let body = json!({ "job_id": job_id, "user_id": USER });
        match Api::try_send(api.request(Method::POST, &path).json(&body)).await {
            Some(answer) if matches!(answer.status, 200 | 201) => {
                told.acknowledged.insert(job_id);
                acknowledged.send_modify(|count| *count += 1);
                job += 1;
            }
            Some(answer) => {
                let failure = format!("{} {}", answer.status, answer.code());
                *told.failures.entry(failure).or_default() += 1;
            }
            None => told.sent_again += 1,
        }
    }
    told
}

/// Every import once, no failure, the books right, and nothing to correct.
async fn verify(told: &Told, to: &Path, database: &TestDatabase) {
    let db = database.connect().await;
    let stored = stored_imports(&db).await;
    let distinct: BTreeSet<String> = stored.iter().cloned().collect();
    println!(
        "{} imports acknowledged, {} sent again after a closed connection, failures: {:?}",
        told.acknowledged.len(),
        told.sent_again,
        told.failures
    );
    assert_eq!(distinct.len(), stored.len(), "an import counts twice");
    let lost: Vec<_> = told.acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "acknowledged, but not stored: {lost:?}");
    assert!(told.failures.is_empty(), "requests failed");
    ledger::assert_balanced(&db).await;
    let worker = Command::new(to.join("rollup-worker"))
        .arg("--json")
        .env("DATABASE_URL", database.url())
        .output()
        .expect("rollup-worker starts");
    let report: Value = serde_json::from_slice(&worker.stdout).expect("a summary");
    assert_eq!(report["drifted"], 0, "{report}");
    println!("the books are right");
}

fn migrate(programs: &Path, database: &TestDatabase) {
    let mut up = Command::new(programs.join("migrate"));
    let up = up.arg("up").env("DATABASE_URL", database.url()).output().expect("migrate starts");
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
}

/// An earlier program refuses settings that it does not know: it is started with fewer then.
fn serve(programs: &Path, database: &TestDatabase) -> Process {
    let program = programs.join("ingest-api");
    let knows = |settings: &[(&str, &str)]| {
        let check = Command::new(&program).arg("config").envs(settings.iter().copied()).output();
        check.expect("ingest-api starts").status.success()
    };
    if knows(&access::ENVIRONMENT) {
        return Process::serve(&program, database.url(), &[]);
    }
    Process::serve_with(&program, database.url(), &[("PLG__SERVER__PORT", "0")])
}

async fn migrations_of(database: &TestDatabase) -> i64 {
    let db = database.connect().await;
    ledger::number(&db, "select count(*) as n from seaql_migrations").await
}

async fn stored_imports(db: &impl ConnectionTrait) -> Vec<String> {
    let sql = "select dedup_key from product_event where event_type = 'import_success'";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.expect("reads");
    rows.iter().map(|row| row.try_get("", "dedup_key").expect("a job")).collect()
}
