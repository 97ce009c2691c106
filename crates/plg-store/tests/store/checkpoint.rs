//! SQLite's log is copied beside who writes.

use plg_store::checkpoint::copy_long_log;
use plg_store::connect::{self, Planning, begin_write};
use plg_testkit::{Backend, TestDatabase};
use sea_orm::{ConnectionTrait, DatabaseConnection};

/// As many pages, and a few more, in one transaction.
async fn write(db: &DatabaseConnection, pages: u32) {
    let insert = format!("insert into filling values (zeroblob({pages} * 4096))");
    db.execute_unprepared(&insert).await.unwrap();
}

#[tokio::test]
async fn a_long_log_is_copied_while_somebody_writes_and_a_short_one_is_left_alone() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let url = database.url().parse().unwrap();
    let single = async || connect::single(&url, Planning::Fresh).await.unwrap();
    let (writer, other) = (single().await, single().await);
    writer.execute_unprepared("create table filling (bytes blob)").await.unwrap();

    write(&writer, 2_000).await;
    let left = copy_long_log(&other).await.unwrap();
    assert!(left >= 2_000, "a short log has {left} pages left");

    write(&writer, 7_000).await;
    let open = begin_write(&writer).await.unwrap();
    open.execute_unprepared("delete from filling").await.unwrap();
    assert_eq!(copy_long_log(&other).await.unwrap(), 0);
    open.commit().await.unwrap();

    // Who writes begins anew, since nothing is left to copy.
    let left = copy_long_log(&other).await.unwrap();
    assert!((1..1_000).contains(&left), "{left} pages");
}
