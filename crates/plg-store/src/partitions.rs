//! The monthly partitions of the event log on PostgreSQL. SQLite has none: nothing to do there.
//!
//! A partition is made as a table of its own and then attached, which stands in nobody's way: creating
//! it in place would wait for every reader of the log, and make every writer wait behind it.

use crate::connect::is_postgres;
use crate::dialect::Sql;
use crate::error::StoreError;
use plg_core::calendar::Month;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, TransactionTrait as _};
use std::collections::BTreeSet;
use std::time::Duration;

/// On Citus, how long everybody may have to wait for a month to be dropped, how long they are left alone
/// then, and how often it is tried.
const DROP_WAIT_MS: u32 = 200;
const DROP_PAUSE: Duration = Duration::from_millis(800);
const DROP_ATTEMPTS: u32 = 60;

/// The key tells the reconciliation how many events of which types there are, without a look at the rows, as
/// far as these are known to be visible to all. Vacuum notes that, by default not before a fifth of the month is
/// new; so often it has little to do.
const SETTINGS: &str =
    "autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0";

/// The partition of a month.
fn name(month: Month) -> String {
    format!("product_event_{}", month.number())
}

/// The months that have a partition, in order.
///
/// # Errors
/// When the database cannot be read.
pub async fn existing(db: &impl ConnectionTrait) -> Result<BTreeSet<Month>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        name: String,
    }

    if !is_postgres(db) {
        return Ok(BTreeSet::new());
    }
    let select = Sql::new(
        db,
        "select cast(c.relname as text) as name from pg_inherits i \
         join pg_class c on c.oid = i.inhrelid where i.inhparent = to_regclass('product_event')",
    );
    let rows = Row::find_by_statement(select.statement()).all(db).await?;
    let month = |row: &Row| {
        let number = row.name.strip_prefix("product_event_")?.parse().ok()?;
        Month::from_number(number).ok()
    };
    Ok(rows.iter().filter_map(month).collect())
}

/// Makes the partitions of these months where they are absent. In a transaction of its own, or, when
/// nobody made them in time, in that of the first event of the month.
///
/// # Errors
/// When the database does not play along.
pub async fn ensure(
    txn: &impl ConnectionTrait,
    months: &BTreeSet<Month>,
) -> Result<(), StoreError> {
    if !is_postgres(txn) || months.is_subset(&existing(txn).await?) {
        return Ok(());
    }
    // One at a time; readers and writers of the log go on.
    txn.execute_unprepared("lock table product_event in share update exclusive mode").await?;
    for month in months.difference(&existing(txn).await?) {
        let (name, from, to) = (name(*month), month.number(), month.next().number());
        let create =
            format!("create table {name} (like product_event including all) with ({SETTINGS})");
        txn.execute_unprepared(&create).await?;
        let attach = format!(
            "alter table product_event attach partition {name} for values from ({from}) to ({to})"
        );
        txn.execute_unprepared(&attach).await?;
    }
    Ok(())
}

/// Drops a month with all its events, in constant time. Not in a transaction: it waits for the readers
/// of that month, and nobody waits for it.
///
/// Citus has only the way that everybody waits for, so there it gives way after a moment and comes again.
///
/// # Errors
/// When the database does not play along.
pub async fn drop_month(db: &DatabaseConnection, month: Month) -> Result<(), StoreError> {
    let name = name(month);
    if is_citus(db).await? {
        let mut attempt = 1;
        loop {
            match drop_at_once(db, &name).await.map_err(StoreError::from) {
                Err(error) if error.is_conflict() && attempt < DROP_ATTEMPTS => {
                    tracing::debug!(%error, attempt, "a month is still in use, trying again");
                    tokio::time::sleep(DROP_PAUSE).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
    let detach = format!("alter table product_event detach partition {name} concurrently");
    db.execute_unprepared(&detach).await?;
    db.execute_unprepared(&format!("drop table {name}")).await?;
    Ok(())
}

async fn drop_at_once(db: &DatabaseConnection, name: &str) -> Result<(), DbErr> {
    let txn = db.begin().await?;
    txn.execute_unprepared(&format!("set local lock_timeout = {DROP_WAIT_MS}")).await?;
    txn.execute_unprepared(&format!("drop table {name}")).await?;
    txn.commit().await
}

async fn is_citus(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let question = "select exists (select from pg_extension where extname = 'citus') as yes";
    let row = db.query_one_raw(Sql::new(db, question).statement()).await?;
    row.map_or(Ok(false), |row| row.try_get("", "yes"))
}
