//! Lanes on PostgreSQL: what they remember, and what they leave behind when nobody comes.
//!
//! On SQLite a lane remembers nothing, and begins no transaction before it has something to record.

use crate::support::{HOTEL, Service, assert_created};
use plg_testkit::{Backend, citus, ledger};

const BEGUN: &str = "select count(*) as n from pg_stat_activity where datname = current_database() \
                     and application_name = 'plg' and state like 'idle in transaction%'";
const PATIENCE: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_begun_is_ended_when_nobody_comes() {
    let t = Service::start(Backend::Postgres).await;
    t.unlimit(HOTEL).await;
    let books = t.books().await;

    assert_created(&t.import(HOTEL, "1").await);

    let mut begun = 1;
    for _ in 0..PATIENCE {
        begun = ledger::number(&books, BEGUN).await;
        if begun == 0 {
            break;
        }
    }
    assert_eq!(begun, 0);
    assert_created(&t.import(HOTEL, "2").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_remembers_the_hotels_that_it_has_written() {
    let t = Service::start(Backend::Postgres).await;
    t.unlimit(HOTEL).await;
    let batches = async |outcome: &str| {
        let name = format!("plg_writer_optimistic_batches_total{{outcome=\"{outcome}\"}}");
        t.metric(&name).await
    };
    for job in ["1", "2"] {
        assert_created(&t.import(HOTEL, job).await);
    }
    // Behind its back, and so under locks.
    t.unlimit(HOTEL).await;
    assert_created(&t.import(HOTEL, "3").await);

    let expected = if citus::is_wanted() { (0.0, 0.0) } else { (2.0, 1.0) };
    assert_eq!((batches("held").await, batches("wrong").await), expected);
}
