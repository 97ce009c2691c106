//! Whoever can wait sees that others are at work.

use crate::support::Store;
use plg_store::connect::{Planning, begin_write, pool, single_for_long_statements};
use plg_store::traffic::Traffic;
use plg_testkit::commands::{click, hotel};
use plg_testkit::{Backend, ledger};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use sea_orm::sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use std::time::Duration;

/// Far longer than anything takes that is waited for.
const STANDSTILL: Duration = Duration::from_secs(30);

/// A program that does nothing but what it is told: a pool would try a connection once more that it got back.
enum Stranger {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Stranger {
    async fn to(store: &Store) -> Self {
        let url = store.database.url();
        match store.database.backend {
            Backend::Postgres => Self::Postgres(PgConnection::connect(url).await.unwrap()),
            Backend::Sqlite => Self::Sqlite(SqliteConnection::connect(url).await.unwrap()),
        }
    }

    async fn work(&mut self) {
        let work = "update usage_monthly set rollup_version = rollup_version + 1";
        match self {
            Self::Postgres(db) => drop(db.execute(work).await.unwrap()),
            Self::Sqlite(db) => drop(db.execute(work).await.unwrap()),
        }
    }
}

#[rstest]
#[tokio::test]
async fn others_are_seen_and_the_reconciliation_itself_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = Store::new(backend).await;
    store.record(&[click(hotel(1))]).await;
    store.db.clone().close().await.unwrap();
    let mut stranger = Stranger::to(&store).await;
    stranger.work().await;
    let url = store.database.url().parse().unwrap();
    let own = single_for_long_statements(&url, None, Planning::Keyed).await.unwrap();
    let mut traffic = Traffic::default();
    assert!(!traffic.look(&own).await.unwrap(), "the first look cannot tell");

    let counting = single_for_long_statements(&url, None, Planning::Fresh).await.unwrap();
    counting.execute_unprepared("select count(*) from usage_monthly").await.unwrap();
    let writing = begin_write(&own).await.unwrap();
    writing.execute_unprepared("update usage_monthly set rollup_version = 7").await.unwrap();
    writing.commit().await.unwrap();
    assert!(!traffic.look(&own).await.unwrap(), "these were our own");

    for _ in 0..2 {
        stranger.work().await;
        assert!(traffic.look(&own).await.unwrap(), "somebody has worked");
        assert!(!traffic.look(&own).await.unwrap(), "nobody has, since");
    }
}

/// With several servers in its URL, each replica asks twice a second which one takes writes.
#[tokio::test]
async fn a_service_that_rests_is_not_seen() {
    let store = Store::new(Backend::Postgres).await;
    store.db.clone().close().await.unwrap();
    let url = store.database.url();
    let several = url.replace('@', "@127.0.0.1:1,").parse().unwrap();
    let service = pool(&several, 1).await.unwrap();
    let own =
        single_for_long_statements(&url.parse().unwrap(), None, Planning::Fresh).await.unwrap();
    let asked_at = "select cast(extract(epoch from max(state_change)) * 1000000 as bigint) as n \
                    from pg_stat_activity where datname = current_database() \
                    and query like '%pg_is_in_recovery%' and pid <> pg_backend_pid()";
    let mut traffic = Traffic::default();
    traffic.look(&own).await.unwrap();
    let last = ledger::number(&own, asked_at).await;
    let asked = async { while ledger::number(&own, asked_at).await == last {} };
    tokio::time::timeout(STANDSTILL, asked).await.expect("it asks");

    assert!(!traffic.look(&own).await.unwrap(), "that is all it does");

    let name = "select count(*) as n from pg_stat_activity \
                where pid = pg_backend_pid() and application_name = 'plg'";
    assert_eq!(ledger::number(&service, name).await, 1);
    assert!(traffic.look(&own).await.unwrap(), "it has worked");
}
