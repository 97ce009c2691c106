//! `DATABASE_URL` names both servers: no proxy is needed.

use super::{LANES, Pair, SOME_JOBS, Traffic, report};
use crate::load::{Retry, register_hotels};
use crate::support::Service;
use plg_testkit::app::{Api, hotel};
use plg_testkit::replication::make_synchronous;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn the_service_finds_the_server_that_takes_writes() {
    const FAILOVERS: usize = 3;

    let mut pair = Pair::start().await;
    let (one, two) = (pair.primary.port(), pair.standby.port());
    // The standby first: it answers, and will not do.
    let url = format!(
        "postgres://plg@127.0.0.1:{two},127.0.0.1:{one}/postgres?target_session_attrs=read-write"
    );
    let service = Service::start(&url, LANES);
    register_hotels(&service.api).await;
    let mut traffic = Traffic::start(&service.api, Retry::ByHalf);

    let mut resumptions = Vec::new();
    for failover in 1..=FAILOVERS {
        make_synchronous(&pair.primary).await;
        traffic.more_acknowledged(SOME_JOBS).await;
        pair.fail_over();
        let promoted = Instant::now();
        traffic.more_acknowledged(1).await;
        resumptions.push(promoted.elapsed());
        assert_reads_again(&service.api).await;
        if failover < FAILOVERS {
            pair = pair.replace_dead();
        }
    }
    report("several hosts, from the promotion to the next acknowledged write", &mut resumptions);

    let told = traffic.stop().await;
    let db = migrations::connect(&url).await.unwrap();
    told.assert_true(&db).await;
}

/// What is read through the pool, and whether the service thinks that it can work.
async fn assert_reads_again(api: &Api) {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(100);

    for path in [format!("/v1/hotels/{}/events", hotel(1)), "/readyz".to_owned()] {
        let mut answer = api.get(&path).await;
        for _ in 0..ATTEMPTS {
            if answer.status == 200 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            answer = api.get(&path).await;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
