//! The primary is killed and its standby promoted, under load. With synchronous replication nothing is
//! lost that was acknowledged, and nothing is counted twice. With asynchronous replication acknowledged
//! writes are lost, and these checks see it.
//!
//! PostgreSQL only: SQLite has no standby.

use crate::load::{CLIENTS, Load, Retry, Told, register_hotels};
use crate::proxy::Proxy;
use crate::support::Service;
use plg_testkit::app::Api;
use plg_testkit::postgres::Cluster;
use plg_testkit::replication::{make_synchronous, wait_for_standby};
use rstest::rstest;
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

    /// Makes a standby of what has become the primary, in place of the one that is dead.
    fn replace_dead(self) -> Self {
        block_in_place(|| {
            let Self { primary: dead, standby: primary } = self;
            drop(dead);
            let standby = primary.standby();
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

#[tokio::test(flavor = "multi_thread")]
async fn ten_failovers_lose_nothing_and_count_nothing_twice() {
    const FAILOVERS: usize = 10;

    let mut pair = Pair::start().await;
    let proxy = Proxy::before(&pair.url()).await;
    let service = Service::start(&proxy.url(), LANES);
    register_hotels(&service.api).await;
    let mut traffic = Traffic::start(&service.api, Retry::ByHalf);

    let (mut promotions, mut resumptions) = (Vec::new(), Vec::new());
    for failover in 1..=FAILOVERS {
        make_synchronous(&pair.primary).await;
        traffic.more_acknowledged(SOME_JOBS).await;
        promotions.push(pair.fail_over());
        let promoted = Instant::now();
        proxy.lead_to(&pair.standby.url("postgres"));
        traffic.more_acknowledged(1).await;
        resumptions.push(promoted.elapsed());
        if failover < FAILOVERS {
            pair = pair.replace_dead();
        }
    }
    report("from the order to promote until it is done", &mut promotions);
    report("from there to the next acknowledged write", &mut resumptions);
    traffic.more_acknowledged(SOME_JOBS).await;

    let told = traffic.stop().await;
    assert!(told.failures >= FAILOVERS, "the failovers did not meet the load");
    let db = migrations::connect(&pair.standby.url("postgres")).await.unwrap();
    told.assert_true(&db).await;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replication {
    Synchronous,
    Asynchronous,
}

/// The standby is away for the primary's last moments, and takes over without having seen them.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_was_behind_takes_over(
    #[values(Replication::Synchronous, Replication::Asynchronous)] replication: Replication,
) {
    let mut pair = Pair::start().await;
    let proxy = Proxy::before(&pair.url()).await;
    let service = Service::start(&proxy.url(), LANES);
    register_hotels(&service.api).await;
    let mut traffic = Traffic::start(&service.api, Retry::ByHalf);
    if replication == Replication::Synchronous {
        make_synchronous(&pair.primary).await;
    }
    traffic.more_acknowledged(SOME_JOBS).await;

    block_in_place(|| pair.standby.kill());
    match replication {
        Replication::Synchronous => traffic.more_failures(CLIENTS).await,
        Replication::Asynchronous => traffic.more_acknowledged(SOME_JOBS).await,
    }
    block_in_place(|| {
        pair.primary.kill();
        pair.standby.restart();
        pair.standby.promote();
    });
    proxy.lead_to(&pair.standby.url("postgres"));
    traffic.more_acknowledged(SOME_JOBS).await;

    let told = traffic.stop().await;
    let db = migrations::connect(&pair.standby.url("postgres")).await.unwrap();
    match replication {
        Replication::Synchronous => told.assert_true(&db).await,
        Replication::Asynchronous => {
            let lost = told.lost(&db).await;
            assert!(!lost.is_empty(), "the check does not see what was lost");
        }
    }
}
