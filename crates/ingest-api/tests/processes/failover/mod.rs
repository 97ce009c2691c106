//! The standby takes over from its primary, under load.
//!
//! PostgreSQL only: SQLite has no standby.

mod demoted;
mod killed;
mod several_hosts;

use crate::load::{Load, Retry, Told};
use plg_testkit::app::Api;
use plg_testkit::postgres::Cluster;
use plg_testkit::replication::wait_for_standby;
use std::io::Write as _;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};

/// Several transactions at a time, so that each failover finds some wherever they may be.
const LANES: &[(&str, &str)] = &[("PLG__WRITER__LANES", "4")];
/// A standby that has lost its primary looks for it this often, and may be deaf to promotion until then:
/// with PostgreSQL's default, 5 s, about one promotion in twenty takes that long.
const SETTINGS: &[&str] = &["wal_retrieve_retry_interval=100ms"];
/// Writes between one step and the next.
const SOME_JOBS: usize = 200;
/// Nobody waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A primary and its standby, with a migrated database.
struct Pair {
    primary: Cluster,
    standby: Cluster,
}

impl Pair {
    async fn start() -> Self {
        let primary = block_in_place(|| Cluster::start(SETTINGS));
        let db = migrations::connect(&primary.url("postgres")).await.unwrap();
        migrations::up(&db).await.unwrap();
        db.close().await.unwrap();
        let standby = block_in_place(|| primary.standby());
        wait_for_standby(&primary).await;
        Self { primary, standby }
    }

    fn url(&self) -> String {
        self.primary.url("postgres")
    }

    /// Kills the primary, and makes one of the standby. Says how long PostgreSQL took for that.
    fn fail_over(&mut self) -> Duration {
        block_in_place(|| {
            self.primary.kill();
            let ordered = Instant::now();
            self.standby.promote();
            ordered.elapsed()
        })
    }

    /// Makes a standby of what has become the primary, in place and at the address of the dead one.
    fn replace_dead(self) -> Self {
        block_in_place(|| {
            let Self { primary: dead, standby: primary } = self;
            let standby = primary.standby_instead_of(dead);
            Self { primary, standby }
        })
    }
}

/// Clients that send until they are told to stop.
struct Traffic {
    acknowledged: watch::Receiver<usize>,
    failures: watch::Receiver<usize>,
    ended: watch::Sender<bool>,
    told: JoinHandle<Told>,
    _service: watch::Sender<Api>,
}

impl Traffic {
    fn start(api: &Api, retry: Retry) -> Self {
        let (service, clients_service) = watch::channel(api.clone());
        let ended = watch::Sender::new(false);
        let load = Load::new(clients_service, retry).until(ended.subscribe());
        let (acknowledged, failures) = (load.progress(), load.trouble());
        Self { acknowledged, failures, ended, told: tokio::spawn(load.run()), _service: service }
    }

    async fn more_acknowledged(&mut self, count: usize) {
        more(&mut self.acknowledged, count, "acknowledged").await;
    }

    async fn more_failures(&mut self, count: usize) {
        more(&mut self.failures, count, "not acknowledged").await;
    }

    async fn stop(self) -> Told {
        self.ended.send(true).unwrap();
        self.told.await.unwrap()
    }
}

/// Waits until a number has grown by so many.
async fn more(number: &mut watch::Receiver<usize>, count: usize, what: &str) {
    let wanted = *number.borrow() + count;
    let grown = tokio::time::timeout(PATIENCE, number.wait_for(|number| *number >= wanted));
    let grown = grown.await.unwrap_or_else(|_| panic!("no {count} more are {what}"));
    grown.expect("the clients are at work");
}

/// Measured, not demanded: how fast a machine is proves nothing about the product.
fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times.last().unwrap());
    let line =
        format!("{} failovers, {what}: median {median:.2?}, longest {longest:.2?}\n", times.len());
    // Past the harness, which keeps the output of tests that pass.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
