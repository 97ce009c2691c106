//! The primary is killed. With synchronous replication nothing is lost that was acknowledged, and nothing
//! is counted twice. With asynchronous replication acknowledged writes are lost, and these checks see it.

use super::{LANES, Pair, SOME_JOBS, Traffic, report};
use crate::load::{CLIENTS, Retry, register_hotels};
use crate::proxy::Proxy;
use crate::support::Service;
use plg_testkit::replication::make_synchronous;
use rstest::rstest;
use std::time::Instant;
use tokio::task::block_in_place;

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
    assert!(service.lost_batches().await >= FAILOVERS, "the failovers did not meet the load");
    let db = migrations::connect(&pair.standby.url("postgres")).await.unwrap();
    told.assert_true(&db).await;
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
