//! What a lane leaves behind when nobody comes.
//!
//! PostgreSQL only: on SQLite a lane begins no transaction before it has something to record.

use crate::support::{HOTEL, Service, assert_created};
use plg_testkit::{Backend, ledger};

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
