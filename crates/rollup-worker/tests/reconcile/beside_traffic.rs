//! Beside live traffic: nothing is lost, nothing is counted twice, and nobody is stopped.

use crate::process::Worker;
use crate::support::{Books, full, incremental};
use chrono::TimeDelta;
use plg_core::ids::HotelId;
use plg_core::reconcile::Verdict;
use plg_store::rollup::runs::Figures;
use plg_store::rollup::{Reading, Scope};
use plg_testkit::commands::{Workload, add_seat, click, hotel};
use plg_testkit::{Backend, Replica, TestApp, ledger};
use rollup_worker::{Bites, Options, Progress, Stop};
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, block_in_place};

const HOTELS: [HotelId; 4] = [hotel(1), hotel(2), hotel(3), hotel(4)];
const WRITERS: u64 = 2;
const BATCHES: i32 = 40;
const BATCH_COMMANDS: usize = 15;
/// What is done to counters, one after the other and again and again, with what it adds to imports.
const DAMAGES: [(&str, i64); 4] = [
    ("imports = imports + 2", 2),
    ("imports = imports - 3", -3),
    ("exports = exports + 1", 0),
    ("active_users = active_users - 1", 0),
];

/// Records batches as a replica of its own. Clocks advance over the turn of the month, and are
/// not the same everywhere.
async fn start_writer(books: &Books, writer: u64) -> JoinHandle<()> {
    let (mut replica, start) = (Replica::new(&books.database).await, books.now());
    let mut workload = Workload::new(writer, &HOTELS);
    tokio::spawn(async move {
        for batch in 0..BATCHES {
            let now =
                start + TimeDelta::hours(i64::from(batch)) * i32::try_from(writer + 1).unwrap();
            let commands = workload.batch(BATCH_COMMANDS);
            replica.record(now, &commands).await;
        }
    })
}

/// Damages the hotels' open months in turn; sums up what it adds to imports.
async fn start_vandal(books: &Books, imports: Arc<AtomicI64>) -> JoinHandle<()> {
    // It waits for its turn longer than a service would.
    let db = migrations::connect(books.database.url()).await.unwrap();
    tokio::spawn(async move {
        for (number, hotel) in (0..24).zip(HOTELS.into_iter().cycle()) {
            let (set, more) = DAMAGES[number % DAMAGES.len()];
            let hotel = ledger::uuid(&db, hotel.0);
            let damage =
                format!("update usage_monthly set {set} where hotel_id = {hotel} and not closed");
            let rows = ledger::damage(&db, &damage).await;
            imports.fetch_add(more * i64::try_from(rows).unwrap(), Ordering::Relaxed);
        }
    })
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn runs_beside_traffic_and_damage_end_with_counters_that_equal_the_events(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::new(backend).await;
    books.clock.set_to("2026-11-30T00:00:00Z");
    books.unlimit(&HOTELS).await;
    books.record(&HOTELS.map(|id| add_seat(id, 100))).await;
    let damaged_imports = Arc::new(AtomicI64::new(0));
    let mut others = vec![start_vandal(&books, Arc::clone(&damaged_imports)).await];
    for writer in 0..WRITERS {
        others.push(start_writer(&books, writer).await);
    }

    while others.iter().any(|other| !other.is_finished()) {
        books.reconcile(&incremental()).await;
        books.reconcile(&full()).await;
    }
    for other in others {
        other.await.unwrap();
    }
    books.reconcile(&incremental()).await;

    books.assert_balanced().await;
    assert_eq!(books.reconcile(&full()).await.figures.corrected, 0);
    // Whatever was done to imports was undone exactly.
    let undone = "select cast(coalesce(sum(delta), 0) as bigint) as n from usage_adjustment \
                  where counter = 'imports'";
    assert_eq!(ledger::number(&books.db, undone).await, -damaged_imports.load(Ordering::Relaxed));
    for run in books.runs().await {
        assert_eq!(run.figures.missing, 0, "{run:?}");
    }
}

/// HTTP in, counters out, and the worker beside it.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers_everybody_while_the_worker_runs(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 40;

    let books = Books::new(backend).await;
    books.unlimit(&HOTELS).await;
    let app = TestApp::start(&books.database, &books.clock).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (api, hotel) = (app.api.clone(), HOTELS[client].0);
            tokio::spawn(async move {
                for number in 0..REQUESTS {
                    let answer = api.import(hotel, &format!("job-{number}")).await;
                    assert_eq!(answer.status, 201, "{answer:?}");
                }
            })
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        let worker = Worker::of(&books).with("PLG__ROLLUP__WRITE_CHUNK", "1");
        let finished = worker.run(&["--full", "--json"]).await;
        assert_eq!((finished.code, finished.summary()["drifted"].as_i64()), (0, Some(0)));
    }
    for client in clients {
        client.await.unwrap();
    }

    assert_eq!(Worker::of(&books).run(&[]).await.code, 0);
    books.assert_balanced().await;
    for hotel in HOTELS {
        assert_eq!(app.api.used(hotel.0, "imports").await, 40);
    }
}

/// Notes how much is written at once, and has something recorded each time.
struct Passers<'a> {
    books: &'a Books,
    at_once: Vec<usize>,
}

impl Progress for Passers<'_> {
    fn advanced(&mut self, _: &Figures, verified: &[&(Reading, Verdict)]) {
        self.at_once.push(verified.len());
        let click = [click(hotel(99))];
        block_in_place(|| Handle::current().block_on(self.books.record(&click)));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_takes_small_bites_while_the_services_are_at_work(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let hotels = (1..=6).map(hotel).collect::<Vec<_>>();
    let books = Books::of(backend, &hotels).await;
    let bites = Bites { size: 1, pause: Duration::ZERO, look_every: Duration::ZERO };
    for (beside_traffic, expected) in [(None, vec![2, 2, 2]), (Some(bites), vec![2, 1, 1, 1, 1])] {
        let mut passers = Passers { books: &books, at_once: Vec::new() };
        let scope = Scope { hotels: hotels.clone(), ..full().scope };
        let options = Options { beside_traffic, scope, ..full() };
        books.try_reconcile(&options, &mut passers, &Stop::default()).await.unwrap();
        assert_eq!(passers.at_once, expected);
    }
    books.assert_balanced().await;
}

struct Counted(Vec<usize>);

impl Progress for Counted {
    fn advanced(&mut self, _: &Figures, verified: &[&(Reading, Verdict)]) {
        self.0.push(verified.len());
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_alone_takes_whole_chunks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &HOTELS).await;
    // Or its pool might still try a connection that it got back.
    books.db.clone().close().await.unwrap();
    let bites = Bites { size: 1, pause: Duration::ZERO, look_every: Duration::ZERO };
    let mut counted = Counted(Vec::new());
    let options = Options { beside_traffic: Some(bites), ..full() };
    books.try_reconcile(&options, &mut counted, &Stop::default()).await.unwrap();
    assert_eq!(counted.0, [2, 2]);
}
