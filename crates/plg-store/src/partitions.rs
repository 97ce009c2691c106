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

/// The month of a partition.
fn month_of(name: &str) -> Option<Month> {
    Month::from_number(name.strip_prefix("product_event_")?.parse().ok()?).ok()
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
    Ok(rows.iter().filter_map(|row| month_of(&row.name)).collect())
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

/// Drops all months before `before` with their events, in constant time each, and says how many. Not in a
/// transaction: it waits for the readers of a month, and nobody waits for it.
///
/// Interrupted half-way, the next call goes on. Partitions that somebody else has detached stay, and so do those that
/// a call was interrupted at which would have dropped more.
///
/// Citus has only the way that everybody waits for, so there it gives way after a moment and comes again.
///
/// # Errors
/// When the database does not play along.
pub async fn drop_before(db: &DatabaseConnection, before: Month) -> Result<u64, StoreError> {
    if is_citus(db).await? {
        let mut months = 0;
        for month in existing(db).await?.range(..before) {
            drop_patiently(db, &name(*month)).await?;
            months += 1;
        }
        return Ok(months);
    }
    // While one is half detached, no other can be.
    let (halves, others): (Vec<_>, Vec<_>) = parts(db).await?.into_iter().partition(|p| p.is_half);
    let mut months = 0;
    for Part { name, relname, is_held, is_half, is_doomed } in halves.into_iter().chain(others) {
        let Some(month) = month_of(&relname) else { continue };
        if is_half {
            let finish = format!("alter table product_event detach partition {name} finalize");
            db.execute_unprepared(&finish).await?;
        }
        if month >= before || is_half && !is_doomed {
            continue;
        }
        if is_held && !is_half {
            db.execute_unprepared(&format!("comment on table {name} is '{DOOMED}'")).await?;
            let detach = format!("alter table product_event detach partition {name} concurrently");
            db.execute_unprepared(&detach).await?;
        }
        db.execute_unprepared(&format!("drop table {name}")).await?;
        months += 1;
    }
    Ok(months)
}

/// The comment on a partition that is being dropped: it is told by that when it is detached already.
const DOOMED: &str = "being dropped by rollup-worker retain";

/// A partition of the log, or one that was.
#[derive(FromQueryResult)]
struct Part {
    /// With its schema, if that has to be said.
    name: String,
    relname: String,
    /// It belongs to the log, at least by half.
    is_held: bool,
    /// Whoever was detaching it has been interrupted.
    is_half: bool,
    /// It was to be dropped.
    is_doomed: bool,
}

/// The partitions of the log, and those that are to be dropped and are still there.
async fn parts(db: &DatabaseConnection) -> Result<Vec<Part>, StoreError> {
    let select = Sql::new(
        db,
        "select * from (select cast(cast(c.oid as regclass) as text) as name, \
         cast(c.relname as text) as relname, i.inhrelid is not null as is_held, \
         coalesce(i.inhdetachpending, false) as is_half, \
         coalesce(obj_description(c.oid, 'pg_class') = ",
    )
    .bind(DOOMED)
    .text(
        ", false) as is_doomed, c.relnamespace = (select relnamespace from pg_class \
         where oid = to_regclass('product_event')) as is_beside from pg_class c left join pg_inherits i \
         on i.inhrelid = c.oid and i.inhparent = to_regclass('product_event') \
         where c.relkind = 'r' and c.relname like 'product\\_event\\_%') as c \
         where is_held or is_doomed and is_beside order by relname",
    );
    Ok(Part::find_by_statement(select.statement()).all(db).await?)
}

/// Tries until nobody uses it for a moment.
async fn drop_patiently(db: &DatabaseConnection, name: &str) -> Result<(), StoreError> {
    let mut attempt = 1;
    loop {
        match drop_at_once(db, name).await.map_err(StoreError::from) {
            Err(error) if error.is_conflict() && attempt < DROP_ATTEMPTS => {
                tracing::debug!(%error, attempt, "a month is still in use, trying again");
                tokio::time::sleep(DROP_PAUSE).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

async fn drop_at_once(db: &DatabaseConnection, name: &str) -> Result<(), DbErr> {
    let txn = db.begin().await?;
    txn.execute_unprepared(&format!("set local lock_timeout = {DROP_WAIT_MS}")).await?;
    txn.execute_unprepared(&format!("drop table {name}")).await?;
    txn.commit().await
}

/// Whether tables may be distributed: Citus is there.
pub(crate) async fn is_citus(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let question = "select exists (select from pg_extension where extname = 'citus') as yes";
    let row = db.query_one_raw(Sql::new(db, question).statement()).await?;
    row.map_or(Ok(false), |row| row.try_get("", "yes"))
}
