//! What a primary does with its standby: send, and wait for it or not.

use crate::ledger;
use crate::postgres::Cluster;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};
use std::time::Duration;

/// How long a standby may take, and how often it is asked for.
const ATTEMPTS: u32 = 3_000;
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a standby follows the primary.
///
/// # Panics
/// When none does.
pub async fn wait_for_standby(primary: &Cluster) {
    let db = connect(primary).await;
    wait_until(
        &db,
        "a standby follows",
        "select count(*) as n from pg_stat_replication where state = 'streaming'",
    )
    .await;
    db.close().await.expect("closes");
}

/// From the end of this call on, the primary acknowledges no COMMIT before its standby has it on disk,
/// nor was any acknowledged before that the standby has not. It must be under load that commits.
///
/// # Panics
/// When it does not come to that.
pub async fn make_synchronous(primary: &Cluster) {
    wait_for_standby(primary).await;
    let db = connect(primary).await;
    for sql in ["alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"] {
        db.execute_unprepared(sql).await.expect("configures");
    }
    // A setting is in force when it is seen to be: its processes hear of it one after the other.
    wait_until(
        &db,
        "a COMMIT waits for the standby",
        "select count(*) as n from pg_stat_activity where wait_event = 'SyncRep'",
    )
    .await;
    let written = "select (pg_current_wal_insert_lsn() - '0/0')::int8 as n";
    let written = ledger::number(&db, written).await;
    let flushed = format!(
        "select count(*) as n from pg_stat_replication where flush_lsn - '0/0' >= {written}"
    );
    wait_until(&db, "the standby has everything", &flushed).await;
    db.close().await.expect("closes");
}

async fn connect(cluster: &Cluster) -> DatabaseConnection {
    Database::connect(cluster.url("postgres")).await.expect("connects")
}

/// Until a number is not zero.
async fn wait_until(db: &DatabaseConnection, what: &str, number: &str) {
    for _ in 0..ATTEMPTS {
        if ledger::number(db, number).await > 0 {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("not so: {what}");
}
