//! How long a lane keeps the plans of its statements.
//!
//! PostgreSQL only: SQLite keeps none.

use crate::support::{HOTEL, NOON, Service, assert_created};
use chrono::TimeDelta;
use plg_service::Settings;
use plg_testkit::{Backend, citus, ledger, postgres};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

/// How often the sessions of the services on this database had their plans made anew.
async fn renewals(books: &DatabaseConnection) -> usize {
    let sessions = "select pid from pg_stat_activity \
                    where datname = current_database() and application_name = 'plg'";
    let sessions = Statement::from_string(books.get_database_backend(), sessions);
    let sessions = books.query_all_raw(sessions).await.unwrap();
    let pids: Vec<i32> = sessions.iter().map(|row| row.try_get("", "pid").unwrap()).collect();
    let log = std::fs::read_to_string(postgres::shared().socket_folder().join("log")).unwrap();
    let is_ours = |line: &&str| pids.iter().any(|pid| line.contains(&format!("[{pid}]")));
    log.lines().filter(is_ours).filter(|line| line.ends_with("discard plans")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_made_anew_after_a_minute() {
    // Who is quick to come again may meet another lane.
    let one_lane = |settings: &mut Settings| settings.writer.lanes = 1;
    let t = Service::start_with(Backend::Postgres, NOON, one_lane).await;
    t.unlimit(HOTEL).await;
    let books = t.books().await;
    let (_, database) = t.database.url().rsplit_once('/').unwrap();
    let talk = format!("alter database \"{database}\" set log_statement = 'all'");
    books.execute_unprepared(&talk).await.unwrap();
    // Its sessions begin now.
    let replica = t.replica().await;
    for (job, seconds, expected) in [("a", 0, 0), ("b", 59, 0), ("c", 1, 1), ("d", 59, 1)] {
        t.wait(TimeDelta::seconds(seconds));

        assert_created(&replica.import(HOTEL, job).await);

        assert_eq!(renewals(&books).await, expected, "{job}");
    }
}

/// As a firewall does, or a server that was started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_in_a_quiet_minute_costs_nobody_his_request() {
    let t = Service::start(Backend::Postgres).await;
    t.unlimit(HOTEL).await;
    assert_created(&t.import(HOTEL, "a").await);
    let books = t.books().await;
    let end = "select count(pg_terminate_backend(pid, 5000)) as n from pg_stat_activity \
               where datname = current_database() and application_name = 'plg' \
               and pid <> pg_backend_pid()";
    assert!(ledger::number(&books, end).await > 0);
    t.wait(TimeDelta::minutes(1));

    assert_created(&t.import(HOTEL, "b").await);

    // Nor does it cost those who come later the way without locks: the new session has its function, too.
    let held = t.metric("plg_writer_optimistic_batches_total{outcome=\"held\"}").await;
    assert_eq!(held, if citus::is_wanted() { 0.0 } else { 2.0 });
}
