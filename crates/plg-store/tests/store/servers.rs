//! Several servers in one URL: the one that takes writes is found, and no other will do.
//!
//! PostgreSQL only: SQLite has no servers.

use plg_store::connect::{self, Planning};
use plg_store::{DatabaseUrl, StoreError};
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr};

/// Two servers, the first of which is not there.
fn with_a_dead_one(database: &TestDatabase) -> DatabaseUrl {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    database.url().replace('@', &format!("@{nobody},")).parse().unwrap()
}

async fn assert_answers(db: Result<DatabaseConnection, DbErr>) {
    let db = db.unwrap();
    assert_eq!(ledger::number(&db, "select count(*) as n from usage_monthly").await, 0);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_away_is_passed_over() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let url = with_a_dead_one(&database);
    assert_answers(connect::single(&url, Planning::Fresh).await).await;
    assert_answers(connect::single_for_long_statements(&url, None, Planning::Fresh).await).await;
    assert_answers(connect::pool(&url, 2).await).await;
    assert_answers(migrations::connect(url.expose()).await).await;
}

/// It answers as a standby does.
#[tokio::test]
async fn a_server_that_takes_no_writes_will_not_do() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let db = database.connect().await;
    let read_only = "do $$ begin execute format('alter database %I set \
                     default_transaction_read_only = on', current_database()); end $$";
    db.execute_unprepared(read_only).await.unwrap();

    let url = with_a_dead_one(&database);
    for refused in [connect::single(&url, Planning::Fresh).await, connect::pool(&url, 2).await] {
        let error = refused.expect_err("refused");
        assert!(connect::reason(&error).contains("take no writes"), "{error}");
        assert!(matches!(StoreError::from(error), StoreError::Unavailable(_)));
    }
    // Without alternatives it is used, and says itself what it cannot do.
    assert_answers(connect::single(&database.url().parse().unwrap(), Planning::Fresh).await).await;
}

#[tokio::test]
async fn an_unreadable_url_shows_no_password() {
    for url in ["postgres://plg:geheim@one:5432,two:port/plg", "postgres://plg:geheim@one:/:/plg"] {
        let error = migrations::connect(url).await.expect_err("refused");
        assert!(!error.to_string().contains("geheim"), "{error}");
        if let Err(error) = url.parse::<DatabaseUrl>() {
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }
}
