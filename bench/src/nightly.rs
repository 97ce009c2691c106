//! The reconciliation beside what the database alone takes for the same rows, and beside traffic.

use crate::Effort;
use crate::compare::load;
use crate::load::{Load, run as run_load};
use crate::report::{Figures, Target, print};
use crate::seed;
use crate::server::{Kind, Place, serve, stop_and_check};
use plg_testkit::{ledger, process};
use sea_orm::DatabaseConnection;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Hotels, and what each has new.
const HOTELS: u64 = 100_000;
const NEW: u64 = 50;
/// Months of as many events that were verified before.
const HISTORY: i64 = 1;
/// Hotel-months with nothing new, by hotels and months.
const QUIET_MONTHS: i64 = 10;

const GROUP_BY: &str = "select count(*) as n from (select hotel_id, month, event_type, count(*) \
     from product_event where month = MONTH group by 1, 2, 3) as counted";
const SCAN: &str = "select count(*) as n from usage_monthly where imports >= 0";

/// How long the worker takes, and the most memory that it had, in MiB.
async fn work(url: &str, arguments: &[&str]) -> (f64, f64) {
    let began = Instant::now();
    let mut worker = Command::new(process::program("rollup-worker"))
        .args(arguments)
        .arg("--json")
        .env("DATABASE_URL", url)
        .env("PLG__LOG__FILTER", "warn")
        .stdout(Stdio::null())
        .spawn()
        .expect("rollup-worker starts");
    let mut memory: f64 = 0.0;
    loop {
        memory = memory.max(process::peak_mib(worker.id()).unwrap_or_default());
        if let Some(status) = worker.try_wait().expect("it can be waited for") {
            assert!(status.success(), "rollup-worker fails");
            return (began.elapsed().as_secs_f64(), memory);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn time(db: &DatabaseConnection, sql: &str) -> f64 {
    let began = Instant::now();
    ledger::number(db, sql).await;
    began.elapsed().as_secs_f64()
}

/// A database with verified months, and new events in the current one.
async fn with_history(place: &Place, months: i64) -> (String, DatabaseConnection) {
    let url = place.database(Kind::Postgres).await;
    let db = seed::connect(&url).await;
    for before in (1..=months).rev() {
        seed::fill_month(&db, seed::month_before(before), (HOTELS, NEW), true, false).await;
    }
    seed::fill_month(&db, seed::month_before(0), (HOTELS, NEW), false, true).await;
    seed::settle(&db).await;
    (url, db)
}

/// Nothing was ever counted.
async fn forget(db: &DatabaseConnection) {
    let month = seed::month_before(0);
    let sql = format!(
        "update usage_monthly set verified_imports = 0, rolled_seq = 0 where month = {month}"
    );
    ledger::damage(db, &sql).await;
    seed::settle(db).await;
}

pub(crate) async fn run(effort: &Effort) {
    let (duration, rounds) = (effort.duration(), effort.rounds);
    let place = Place::new(effort).await;
    println!("storing {} new events, twice, with one and two months before them", HOTELS * NEW);
    let (url, db) = with_history(&place, HISTORY).await;
    let (long_url, long_db) = with_history(&place, 2 * HISTORY + 1).await;
    println!("storing {} hotel-months with nothing new", HOTELS * QUIET_MONTHS as u64);
    let quiet_url = place.database(Kind::Postgres).await;
    let quiet_db = seed::connect(&quiet_url).await;
    for before in (0..QUIET_MONTHS).rev() {
        let month = seed::month_before(before);
        seed::fill_month(&quiet_db, month, (HOTELS, 1), true, before == 0).await;
    }
    seed::settle(&quiet_db).await;

    let mut figures = Figures::default();
    let group_by = GROUP_BY.replace("MONTH", &seed::month_before(0).to_string());
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        // A B B A: whoever is second finds more to be written back to the disk.
        for has_long_history in [false, true, true, false] {
            if has_long_history {
                forget(&long_db).await;
                figures.note("s, the same with twice the history", work(&long_url, &[]).await.0);
            } else {
                forget(&db).await;
                figures.note("s, GROUP BY in psql", time(&db, &group_by).await);
                let (seconds, memory) = work(&url, &[]).await;
                figures.note("s, 5 million new events", seconds);
                figures.note("worker MiB", memory);
            }
        }
        figures.note("s, sequential scan in psql", time(&quiet_db, SCAN).await);
        let (seconds, memory) = work(&quiet_url, &[]).await;
        figures.note("s, nothing new in 1 million hotel-months", seconds);
        figures.note("worker MiB, nothing new", memory);
        beside_traffic(&url, duration, &mut figures).await;
    }
    let line = |what, ours, theirs, bound| figures.line(what, ours, theirs, Target::AtMost(bound));
    print(&[
        line("5 million new events", "s, 5 million new events", "s, GROUP BY in psql", 1.5),
        line(
            "nothing new",
            "s, nothing new in 1 million hotel-months",
            "s, sequential scan in psql",
            2.0,
        ),
        line(
            "twice the history",
            "s, the same with twice the history",
            "s, 5 million new events",
            1.1,
        ),
        line("p99 beside the worker", "p99 ms beside the worker", "p99 ms without it", 1.5),
    ]);
}

/// A steady load, alone and while the worker recounts everything again and again.
async fn beside_traffic(url: &str, duration: Duration, figures: &mut Figures) {
    const RATE: f64 = 2_000.0;

    for (p99, is_busy) in [("p99 ms without it", false), ("p99 ms beside the worker", true)] {
        let server = serve(url, &[]);
        let steady = load(server.address, 64, HOTELS, duration);
        let steady = Load { rate: Some(RATE), ..steady };
        let outcome = if is_busy {
            let again = async {
                loop {
                    work(url, &["--full"]).await;
                }
            };
            tokio::select! {
                outcome = run_load(&steady) => outcome,
                () = again => unreachable!("it never ends"),
            }
        } else {
            run_load(&steady).await
        };
        assert_eq!(outcome.failures + outcome.refused.len(), 0, "every request succeeds");
        figures.note(p99, outcome.quantile_ms(0.99));
        stop_and_check(server, url).await;
    }
}
