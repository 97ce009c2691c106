//! The service keeps the log of its embedded database short.

use crate::support::Service;
use plg_store::connect::{self, Planning};
use plg_testkit::{Backend, TestDatabase};
use sea_orm::{ConnectionTrait, Statement};
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Far longer than it takes.
const STANDSTILL: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_copied_by_the_service_and_none_is_left_when_it_stops() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let service = Service::start(database.url(), &[]);

    let url = database.url().parse().unwrap();
    let db = connect::single(&url, Planning::Fresh).await.unwrap();
    db.execute_unprepared("create table filling (bytes blob)").await.unwrap();
    let pages = "insert into filling values (zeroblob(9000 * 4096))";
    db.execute_unprepared(pages).await.unwrap();

    let copied = async || {
        let look = "pragma wal_checkpoint(noop)";
        let look = Statement::from_string(db.get_database_backend(), look);
        let row = db.query_one_raw(look).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(2).unwrap()
    };
    let enough = async {
        while copied().await < 9_000 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(STANDSTILL, enough).await.expect("nobody copies it");
    db.close().await.unwrap();
    assert!(service.terminate().success());
    // Whoever copies the file then has everything.
    let file = database.url().strip_prefix("sqlite://").unwrap();
    let file = file.split_once('?').map_or(file, |(file, _)| file);
    assert!(Path::new(file).is_file());
    assert!(!Path::new(&format!("{file}-wal")).exists(), "the log is left behind");
}
