//! The program under test, and databases that a test may break.

use plg_testkit::app::Api;
use plg_testkit::postgres::Cluster;
use plg_testkit::{Process, citus, process};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::block_in_place;

/// What the product promises: longer than this nobody waits for an answer, whatever its database
/// does.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// Settings as environment variables.
pub(crate) type Environment = [(&'static str, &'static str)];

/// One transaction a hotel, several at a time: what a database that is distributed by hotel needs.
pub(crate) const ONE_HOTEL_A_TRANSACTION: &Environment =
    &[("PLG__WRITER__HOTELS_PER_TRANSACTION", "1"), ("PLG__WRITER__LANES", "4")];

/// `ingest-api`, running, and a client of it.
pub(crate) struct Service {
    process: Process,
    pub(crate) api: Api,
}

impl Service {
    pub(crate) fn start(database_url: &str, environment: &Environment) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_ingest-api"));
        // These tests take its database away: its warnings about that are no news. And a debug build is too
        // slow for their crowds.
        let mut settings = vec![
            ("PLG__LOG__FILTER", "error"),
            ("PLG__WRITER__MAX_WAIT_MS", "1500"),
            ("PLG__SERVER__MAX_WAIT_MS", "1500"),
        ];
        settings.extend(environment);
        if citus::is_wanted() {
            settings.extend(ONE_HOTEL_A_TRANSACTION);
        }
        let process = block_in_place(|| Process::serve(program, database_url, &settings));
        let api = Api::new(process.address);
        Self { process, api }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// What it says of itself.
    pub(crate) async fn metrics(&self) -> String {
        Api::new(self.process.metrics_address).text("/metrics").await
    }

    /// The number of one metric, with its labels.
    pub(crate) async fn metric(&self, name: &str) -> usize {
        let metrics = self.metrics().await;
        let number = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        number.expect("always there").parse().unwrap()
    }

    /// Batches that were not committed at the first attempt, or not known to be, whatever became of them.
    pub(crate) async fn lost_batches(&self) -> usize {
        let failed = self.metric("plg_writer_batches_total{outcome=\"failed\"}").await;
        failed + self.metric("plg_writer_batches_total{outcome=\"unknown\"}").await
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        process::peak_mib(self.process.id()).expect("it runs")
    }

    pub(crate) fn signal(&self, signal: &str) {
        block_in_place(|| self.process.signal(signal));
    }

    pub(crate) fn kill(self) {
        block_in_place(|| self.process.kill());
    }

    pub(crate) fn terminate(self) -> ExitStatus {
        block_in_place(|| self.process.terminate())
    }
}

/// Asks over this very connection, which stays open.
pub(crate) async fn assert_answers(connection: &mut TcpStream) {
    connection.write_all(b"GET /livez HTTP/1.1\r\nHost: plg\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    connection.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// A PostgreSQL server of the test's own, to be broken, with a migrated database.
pub(crate) struct PrivatePostgres(Cluster);

impl PrivatePostgres {
    pub(crate) async fn start() -> Self {
        let cluster = block_in_place(|| Cluster::start(&[]));
        let postgres = Self(cluster);
        let db = migrations::connect(&postgres.url()).await.unwrap();
        migrations::up(&db).await.unwrap();
        db.close().await.unwrap();
        postgres
    }

    pub(crate) fn url(&self) -> String {
        self.0.url("postgres")
    }

    pub(crate) fn kill(&mut self) {
        block_in_place(|| self.0.kill());
    }

    pub(crate) fn restart(&mut self) {
        block_in_place(|| self.0.restart());
    }

    pub(crate) fn freeze(&mut self) {
        block_in_place(|| self.0.freeze());
    }

    pub(crate) fn thaw(&mut self) {
        block_in_place(|| self.0.thaw());
    }
}
