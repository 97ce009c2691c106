//! Everything side by side, in rounds: A B A B, so that a machine whose speed drifts drifts for both.

use crate::Effort;
use crate::baselines::{Pgbench, Transport, pgbench, redis};
use crate::load::{ITEMS, Ids, Load, Outcome, What, run as run_load};
use crate::report::{Figures, Target, print};
use crate::seed;
use crate::server::{Kind, Place, serve, stop_and_check};
use plg_testkit::access::ROOT_KEY;
use plg_testkit::process;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Open connections of a full load.
pub(crate) const CONNECTIONS: usize = 256;
/// Hotels of a spread load.
pub(crate) const HOTELS: u64 = 1000;
/// Numbers of clients among which `pgbench` may choose its best.
const PGBENCH_CLIENTS: [u32; 3] = [16, 64, 256];

const SINGLE_POSTGRES: &[(&str, &str)] =
    &[("PLG__WRITER__BATCH", "1"), ("PLG__WRITER__LANES", "16"), PATIENT];
/// As one would write it by hand: begin, read what stands there, claim, write, commit.
const SINGLE_SQLITE: &[(&str, &str)] =
    &[("PLG__WRITER__BATCH", "1"), ("PLG__WRITER__REMEMBERED_HOTELS", "0"), PATIENT];
/// As few as possible are refused there because they would have to wait for too many others.
const PATIENT: (&str, &str) = ("PLG__WRITER__MAX_WAIT_MS", "1500");

struct Bench {
    place: Place,
    duration: Duration,
    figures: Figures,
}

/// Measures everything in each round, and prints the table.
pub(crate) async fn run(effort: &Effort) {
    let (duration, rounds) = (effort.duration(), effort.rounds);
    let mut bench =
        Bench { place: Place::new(effort).await, duration, figures: Figures::default() };
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        bench.actions().await;
        bench.lonely().await;
        bench.arrays().await;
        // It syncs so often that a disk of which each may have its share is slow for a while: reads do not need it.
        bench.redis();
        bench.reads().await;
        bench.embedded().await;
    }
    bench.print();
}

pub(crate) fn load(
    address: SocketAddr,
    connections: usize,
    hotels: u64,
    duration: Duration,
) -> Load {
    Load {
        address,
        connections,
        hotels,
        duration,
        rate: None,
        what: What::Import,
        ids: Ids::Numbered,
        key: ROOT_KEY.to_owned(),
    }
}

impl Bench {
    /// One server on a new database under one load.
    async fn measure(
        &self,
        kind: Kind,
        settings: &[(&str, &str)],
        shape: impl FnOnce(Load) -> Load,
    ) -> (Outcome, f64) {
        let url = self.place.only_database(kind).await;
        let server = serve(&url, settings);
        let load = shape(load(server.address, CONNECTIONS, HOTELS, self.duration));
        let outcome = run_load(&load).await;
        assert_eq!(outcome.failures, 0, "every request is answered well");
        let refused = outcome.refused.len();
        assert!(refused == 0 || settings.contains(&PATIENT), "{refused} requests are refused");
        let memory = process::peak_mib(server.id()).expect("it runs");
        stop_and_check(server, &url).await;
        (outcome, memory)
    }

    async fn best_pgbench(&self, hotels: u64) -> f64 {
        let mut best: f64 = 0.0;
        for clients in PGBENCH_CLIENTS {
            let url = self.place.only_database(Kind::Postgres).await;
            self.partition(&url).await;
            let result = self.pgbench(&url, "action.sql", clients, hotels);
            best = best.max(result.rate);
        }
        best
    }

    fn pgbench(&self, url: &str, script: &str, clients: u32, hotels: u64) -> Pgbench {
        let month = seed::month_before(0);
        let variables = [("month", month), ("hotels", i64::try_from(hotels).unwrap_or(i64::MAX))];
        pgbench(&self.place, url, script, clients, self.duration, &variables)
    }

    /// `pgbench` writes where the service would have opened a month.
    async fn partition(&self, url: &str) {
        let db = sea_orm::Database::connect(url).await.expect("connects");
        seed::partition(&db, seed::month_before(0)).await;
        // A table of one's own has one unique key: an upsert may stumble over a second one.
        plg_testkit::ledger::damage(&db, "drop index usage_monthly_open").await;
        db.close().await.expect("closes");
    }

    async fn actions(&mut self) {
        let (ours, memory) = self.measure(Kind::Postgres, &[], |load| load).await;
        self.figures.note("actions/s", ours.rate);
        self.figures.note("p50 ms", ours.quantile_ms(0.5));
        self.figures.note("p99 ms", ours.quantile_ms(0.99));
        self.figures.note("server MiB", memory);
        let random = |load| Load { ids: Ids::Random, ..load };
        let (ours, _) = self.measure(Kind::Postgres, &[], random).await;
        self.figures.note("actions/s, random ids", ours.rate);
        let best = self.best_pgbench(HOTELS).await;
        self.figures.note("pgbench actions/s", best);
        let (single, _) = self.measure(Kind::Postgres, SINGLE_POSTGRES, |load| load).await;
        self.figures.note("actions/s, one transaction each", single.rate);
        self.figures.note("p99 ms, one transaction each", single.quantile_ms(0.99));
        let livez = |load| Load { what: What::Livez, ..load };
        let (http, _) = self.measure(Kind::Postgres, &[], livez).await;
        self.figures.note("HTTP alone/s", http.rate);

        let hot = |load| Load { hotels: 1, ..load };
        let (ours, _) = self.measure(Kind::Postgres, &[], hot).await;
        self.figures.note("hot hotel actions/s", ours.rate);
        self.figures.note("hot hotel p99 ms", ours.quantile_ms(0.99));
        let (single, _) = self.measure(Kind::Postgres, SINGLE_POSTGRES, hot).await;
        self.figures.note("hot hotel actions/s, one transaction each", single.rate);
        self.figures.note("hot hotel p99 ms, one transaction each", single.quantile_ms(0.99));
        let best = self.best_pgbench(1).await;
        self.figures.note("hot hotel pgbench actions/s", best);

        let half = self.figures.median("actions/s") / 2.0;
        let steady = |load| Load { rate: Some(half), ..load };
        let (ours, _) = self.measure(Kind::Postgres, &[], steady).await;
        self.figures.note("half rate p50 ms", ours.quantile_ms(0.5));
        self.figures.note("half rate p99 ms", ours.quantile_ms(0.99));
    }

    fn redis(&mut self) {
        let requests = 100_000;
        for (name, transport) in [
            ("Redis actions/s", Transport::Tcp),
            ("Redis actions/s, its unix socket", Transport::Unix),
        ] {
            if let Some(rate) = redis(&self.place, transport, 256, requests) {
                self.figures.note(name, rate);
            }
        }
    }

    async fn lonely(&mut self) {
        let alone = |load| Load { connections: 1, ..load };
        let (ours, _) = self.measure(Kind::Postgres, &[], alone).await;
        self.figures.note("lonely p50 ms", ours.quantile_ms(0.5));
        let url = self.place.only_database(Kind::Postgres).await;
        self.partition(&url).await;
        let theirs = self.pgbench(&url, "action.sql", 1, HOTELS);
        self.figures.note("lonely pgbench ms", theirs.latency_ms);
    }

    async fn arrays(&mut self) {
        let arrays = |load| Load { what: What::Array, connections: 8, ..load };
        let (ours, _) = self.measure(Kind::Postgres, &[], arrays).await;
        self.figures.note("array events/s", ours.rate * ITEMS as f64);
        let url = self.place.only_database(Kind::Postgres).await;
        self.partition(&url).await;
        let theirs = self.pgbench(&url, "bulk.sql", 8, HOTELS);
        self.figures.note("bulk SQL events/s", theirs.rate * ITEMS as f64);
    }

    async fn reads(&mut self) {
        let url = self.place.only_database(Kind::Postgres).await;
        let start = Instant::now();
        let server = serve(&url, &[]);
        self.figures.note("start to listening ms", start.elapsed().as_secs_f64() * 1000.0);
        let filling = load(server.address, 64, HOTELS, Duration::from_secs(1));
        run_load(&filling).await;
        let checks = load(server.address, CONNECTIONS, HOTELS, self.duration);
        for (name, what) in [("quota checks/s", What::QuotaCheck), ("usage reads/s", What::Usage)] {
            let ours = run_load(&Load { what, ..checks.clone() }).await;
            self.figures.note(name, ours.rate);
        }
        let clients = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let theirs = self.pgbench(&url, "read.sql", clients, HOTELS);
        self.figures.note("pgbench selects/s", theirs.rate);
        stop_and_check(server, &url).await;
    }

    async fn embedded(&mut self) {
        let random = |load| Load { ids: Ids::Random, ..load };
        let (outcome, _) = self.measure(Kind::Sqlite, &[], random).await;
        self.figures.note("SQLite actions/s, random ids", outcome.rate);
        for (hotels, ours, ours_p99, single, single_p99) in [
            (
                HOTELS,
                "SQLite actions/s",
                "SQLite p99 ms",
                "SQLite actions/s, one transaction each",
                "SQLite p99 ms, one transaction each",
            ),
            (
                1,
                "SQLite hot hotel actions/s",
                "SQLite hot hotel p99 ms",
                "SQLite hot hotel actions/s, one transaction each",
                "SQLite hot hotel p99 ms, one transaction each",
            ),
        ] {
            for (settings, rate, p99) in
                [(&[][..], ours, ours_p99), (SINGLE_SQLITE, single, single_p99)]
            {
                let shape = |load| Load { hotels, ..load };
                let (outcome, _) = self.measure(Kind::Sqlite, settings, shape).await;
                self.figures.note(rate, outcome.rate);
                self.figures.note(p99, outcome.quantile_ms(0.99));
            }
        }
    }

    fn print(&self) {
        let line = |what, ours, theirs, target| self.figures.line(what, ours, theirs, target);
        let least = Target::AtLeast;
        let most = Target::AtMost;
        print(&[
            line("single actions, 1,000 hotels", "actions/s", "pgbench actions/s", least(4.0)),
            line("the same", "actions/s", "HTTP alone/s", least(0.25)),
            line("the same", "actions/s", "Redis actions/s", least(0.7)),
            line("the same", "actions/s", "Redis actions/s, its unix socket", least(0.7)),
            line("the same", "actions/s", "actions/s, one transaction each", least(4.0)),
            line(
                "one hot hotel",
                "hot hotel actions/s",
                "hot hotel pgbench actions/s",
                least(10.0),
            ),
            line("the same, random ids", "actions/s, random ids", "pgbench actions/s", least(4.0)),
            line("p99 at that load", "p99 ms", "p50 ms", most(3.0)),
            line("p99 at half that rate", "half rate p99 ms", "lonely p50 ms", most(8.0)),
            line("one lonely client", "lonely p50 ms", "lonely pgbench ms", most(3.0)),
            line("arrays of 1,000", "array events/s", "bulk SQL events/s", least(0.5)),
            line("quota checks", "quota checks/s", "pgbench selects/s", least(0.5)),
            line("usage reads", "usage reads/s", "pgbench selects/s", least(0.5)),
            line(
                "SQLite",
                "SQLite actions/s",
                "SQLite actions/s, one transaction each",
                least(10.0),
            ),
            line(
                "SQLite, random ids",
                "SQLite actions/s, random ids",
                "SQLite actions/s, one transaction each",
                least(10.0),
            ),
        ]);
    }
}
