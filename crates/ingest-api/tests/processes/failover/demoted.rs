//! The primary lives on, and is not the primary any more: whoever is connected to it has to notice.

use super::Pair;
use crate::proxy::Proxy;
use crate::support::Service;
use plg_testkit::app::{Api, hotel};
use plg_testkit::ledger;
use sea_orm::ConnectionTrait as _;
use std::time::Duration;
use tokio::task::block_in_place;

/// The server answers, also to a ping, and what it answers is old.
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_a_demoted_primary_are_dropped() {
    let mut pair = Pair::start().await;
    let proxy = Proxy::before(&pair.url()).await;
    let service = Service::start(&proxy.url(), &[]);
    let api = &service.api;
    assert_eq!(api.register(hotel(1), "suite", "UTC").await.status, 200);
    assert_eq!(api.import(hotel(1), "before").await.status, 201);
    assert_eq!(read(api).await, (1, 1));

    wait_until_replicated(&pair).await;
    demote(&pair).await;
    block_in_place(|| pair.standby.promote());
    proxy.lead_to(&pair.standby.url("postgres"));

    // A lane learns it from its first write, and the same sending arrives.
    assert_recorded_soon(api).await;
    assert_nothing_old_is_read_soon(api).await;
}

/// As whoever switches over by plan does: no transaction writes any more.
async fn demote(pair: &Pair) {
    let db = migrations::connect(&pair.url()).await.unwrap();
    db.execute_unprepared("alter system set default_transaction_read_only = on").await.unwrap();
    db.execute_unprepared("select pg_reload_conf()").await.unwrap();
    db.close().await.unwrap();
}

const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

async fn wait_until_replicated(pair: &Pair) {
    let db = migrations::connect(&pair.standby.url("postgres")).await.unwrap();
    for _ in 0..ATTEMPTS {
        if ledger::number(&db, "select count(*) as n from product_event").await == 1 {
            db.close().await.unwrap();
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the standby does not follow");
}

async fn assert_recorded_soon(api: &Api) {
    for _ in 0..ATTEMPTS {
        let answer = api.import(hotel(1), "after").await;
        if answer.status == 201 {
            return;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        tokio::time::sleep(PAUSE).await;
    }
    panic!("nothing is recorded");
}

/// Asked without a pause, so that no connection is ever idle.
async fn assert_nothing_old_is_read_soon(api: &Api) {
    const IN_A_ROW: usize = 100;
    /// A connection is trusted for a second, in which a fast machine reads some thousand times.
    const READS_MAX: usize = 100_000;

    let mut right = 0;
    for _ in 0..READS_MAX {
        right = if read(api).await == (2, 2) { right + 1 } else { 0 };
        if right == IN_A_ROW {
            return;
        }
    }
    panic!("reads still come from the old primary");
}

/// The counter, and the number of events.
async fn read(api: &Api) -> (i64, usize) {
    (api.used(hotel(1), "imports").await, api.event_types(hotel(1)).await.len())
}
