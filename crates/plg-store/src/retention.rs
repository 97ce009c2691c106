//! Forgetting what is old: months of events that are reconciled, and gates that can refuse nothing any
//! more. Counters and the audit stay.

use crate::connect::is_postgres;
use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::partitions;
use crate::retry;
use crate::rollup::NOT_RECONCILED;
use crate::usage::month_of;
use chrono::{DateTime, TimeDelta, Utc};
use plg_core::calendar::Month;
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, TransactionTrait as _};
use std::time::Duration;
use uuid::Uuid;

/// Session windows and daily caps are over after this long, in every time zone.
const WINDOW_HORIZON: TimeDelta = TimeDelta::days(3);
/// Pages that one statement looks at, of some ninety rows each (PostgreSQL).
const PAGES: i64 = 128;
/// Rows deleted by one statement (Citus).
const CHUNK: i64 = 10_000;
/// The same on SQLite, where nobody else writes meanwhile.
const SMALL_CHUNK: i64 = 1_000;
/// How long others may work between statements.
const PAUSE: Duration = Duration::from_millis(10);

/// How many hotel-months before `month` are not reconciled: their events must not be dropped.
///
/// # Errors
/// When the database cannot be read.
pub async fn unreconciled_before(
    db: &impl ConnectionTrait,
    month: Month,
) -> Result<i64, StoreError> {
    let select = Sql::new(
        db,
        format!("select count(*) as n from usage_monthly where {NOT_RECONCILED} and month < "),
    )
    .bind(month.number());
    let row = db.query_one_raw(select.statement()).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("", "n"))?)
}

/// What was dropped of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Whole months (PostgreSQL).
    pub months: u64,
    /// Rows (SQLite).
    pub events: u64,
}

/// Drops the events of all months before `month`. Killed half-way, the next call goes on.
///
/// # Errors
/// When the database does not play along.
pub async fn drop_events_before(
    db: &DatabaseConnection,
    month: Month,
    now: DateTime<Utc>,
) -> Result<Dropped, StoreError> {
    if !is_postgres(db) {
        return Ok(Dropped { months: 0, events: delete_events_before(db, month, now).await? });
    }
    // First what a recount has to know, then the deed.
    note_dropped(db, month, now).await?;
    let months = partitions::drop_before(db, month).await?;
    // Another call that saw the months before they went may have taken the note away.
    note_dropped(db, month, now).await?;
    if let Some(oldest) = partitions::existing(db).await?.first() {
        note_what_is_there(db, *oldest, now).await?;
    }
    Ok(Dropped { months, events: 0 })
}

/// A call that was to drop more may have been interrupted: what is there is counted again. In one statement, or an
/// interruption could leave no note of what is gone.
async fn note_what_is_there(
    db: &DatabaseConnection,
    oldest: Month,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let note = Sql::new(db, "with gone as (delete from event_retention where dropped_before > ")
        .bind(oldest.number())
        .text(" returning dropped_before) insert into event_retention (dropped_before, dropped_at) select ")
        .bind(oldest.number())
        .text(", ")
        .bind(now)
        .text(" where exists (select from gone) on conflict (dropped_before) do nothing");
    execute(db, &note).await?;
    Ok(())
}

/// Notes that no event of a month before this one can be counted again.
async fn note_dropped(
    db: &DatabaseConnection,
    month: Month,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let note = Sql::new(db, "insert into event_retention (dropped_before, dropped_at) values (")
        .bind(month.number())
        .text(", ")
        .bind(now)
        .text(") on conflict (dropped_before) do nothing");
    execute(db, &note).await?;
    Ok(())
}

/// How many rows a statement has written. Whoever stands in its way, such as another program that writes to a SQLite file
/// for long, has time to finish.
async fn execute(db: &DatabaseConnection, write: &Sql) -> Result<u64, StoreError> {
    let statement = write.clone().statement();
    let result =
        retry::on_conflict(|| async { Ok(db.execute_raw(statement.clone()).await?) }).await?;
    Ok(result.rows_affected())
}

/// SQLite has one writer at a time, so none of this looks for anything while it writes, and the service has its turn
/// after each hotel. Month by month: what an interruption leaves of the others is counted as before.
async fn delete_events_before(
    db: &DatabaseConnection,
    month: Month,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let select = Sql::new(db, "select distinct month from usage_monthly where month < ");
    let select = select.bind(month.number()).text(" order by month").statement();
    let mut deleted = 0;
    for row in db.query_all_raw(select).await? {
        let old = month_of(row.try_get_by_index(0)?)?;
        note_dropped(db, old.next(), now).await?;
        deleted += delete_events_of(db, old).await?;
    }
    note_dropped(db, month, now).await?;
    Ok(deleted)
}

async fn delete_events_of(db: &DatabaseConnection, month: Month) -> Result<u64, StoreError> {
    let (mut deleted, mut behind) = (0, None::<Uuid>);
    loop {
        let with_events = "exists (select 1 from product_event e where e.hotel_id = u.hotel_id and e.month = u.month)";
        let select = Sql::new(db, "select u.hotel_id from usage_monthly u where u.month = ")
            .bind(month.number());
        let select = match behind {
            None => select,
            Some(hotel) => select.text(" and u.hotel_id > ").bind(hotel),
        };
        let select =
            select.text(format!(" and {with_events} order by u.hotel_id limit ")).bind(SMALL_CHUNK);
        let hotels = db.query_all_raw(select.statement()).await?;
        if hotels.is_empty() {
            return Ok(deleted);
        }
        for hotel in hotels {
            let hotel: Uuid = hotel.try_get_by_index(0)?;
            behind = Some(hotel);
            let of_it = |sql: Sql| sql.bind(hotel).text(" and month = ").bind(month.number());
            let some = of_it(Sql::new(db, "select seq from product_event where hotel_id = "));
            let delete = of_it(Sql::new(db, "delete from product_event where hotel_id = "))
                .text(" and seq in (")
                .then(some)
                .text(" limit ")
                .bind(SMALL_CHUNK)
                .text(")");
            loop {
                let rows = execute(db, &delete).await?;
                deleted += rows;
                tokio::time::sleep(PAUSE).await;
                if rows < SMALL_CHUNK.unsigned_abs() {
                    break;
                }
            }
        }
    }
}

/// Removes session windows and daily caps that are over.
///
/// # Errors
/// When the database does not play along.
pub async fn prune_windows(db: &DatabaseConnection, now: DateTime<Utc>) -> Result<u64, StoreError> {
    prune(db, ("event_window", "last_at"), now - WINDOW_HORIZON).await
}

/// Removes once-per-key gates that were closed before `horizon`: the same job, export or id counts
/// again from then on.
///
/// # Errors
/// When the database does not play along.
pub async fn prune_gates(
    db: &DatabaseConnection,
    horizon: DateTime<Utc>,
) -> Result<u64, StoreError> {
    prune(db, ("event_gate", "passed_at"), horizon).await
}

async fn prune(
    db: &DatabaseConnection,
    (table, column): (&str, &str),
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    if !is_postgres(db) {
        prune_in_order(db, (table, column), before).await
    } else if partitions::is_citus(db).await? {
        prune_by_key(db, (table, column), before).await
    } else {
        prune_by_place(db, (table, column), before).await
    }
}

/// First where something is old, then that, some pages at a time. Each statement that looked for more of it would read
/// anew what has taken the place of what was old before: an index of when pages were written (BRIN) leads there for ever.
async fn prune_by_place(
    db: &DatabaseConnection,
    (table, column): (&str, &str),
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    // The first number of `(page,row)`.
    let part = format!("cast((cast(cast(ctid as text) as point))[0] as bigint) / {PAGES}");
    let find =
        Sql::new(db, format!("select distinct {part} as part from {table} where {column} < "))
            .bind(before)
            .text(" order by part");
    let mut deleted = 0;
    for row in db.query_all_raw(find.statement()).await? {
        let part: i64 = row.try_get_by_index(0)?;
        let delete = Sql::new(db, format!("delete from {table} where ctid >= cast("))
            .bind(format!("({},0)", part * PAGES))
            .text(" as tid) and ctid < cast(")
            .bind(format!("({},0)", (part + 1) * PAGES))
            // A window may have been used again since it was found.
            .text(format!(" as tid) and {column} < "))
            .bind(before);
        // Whatever else may seem cheaper: these pages, and no others.
        let by_place = "set local enable_seqscan = off; set local enable_bitmapscan = off";
        deleted += retry::on_conflict(|| delete_by(db, by_place, &delete)).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(deleted)
}

/// Citus deletes nothing by its place.
async fn prune_by_key(
    db: &DatabaseConnection,
    (table, column): (&str, &str),
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    // It looks cheaper to read all that is old, which each statement would do anew.
    let by_key = "set local enable_hashjoin = off; set local enable_mergejoin = off";
    // The time is asked for twice: a window may have been used again since it was found.
    let old = format!("(select gate_id, hotel_id from {table} where {column} < ");
    let delete = Sql::new(db, format!("delete from {table} where (gate_id, hotel_id) in {old}"))
        .bind(before)
        .text(" limit ")
        .bind(CHUNK)
        .text(format!(") and {column} < "))
        .bind(before);
    let mut deleted = 0;
    loop {
        match retry::on_conflict(|| delete_by(db, by_key, &delete)).await? {
            0 => return Ok(deleted),
            rows => deleted += rows,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes in a way that the planner would not choose.
async fn delete_by(db: &DatabaseConnection, way: &str, delete: &Sql) -> Result<u64, StoreError> {
    let txn = db.begin().await?;
    txn.execute_unprepared(way).await?;
    let rows = txn.execute_raw(delete.clone().statement()).await?.rows_affected();
    txn.commit().await?;
    Ok(rows)
}

/// SQLite has no index by time: what is old is looked for in the order of the keys, while others write.
async fn prune_in_order(
    db: &DatabaseConnection,
    (table, column): (&str, &str),
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        gate_id: Uuid,
        hotel_id: Uuid,
        is_old: bool,
    }

    let (mut deleted, mut behind) = (0, (Uuid::nil(), Uuid::nil()));
    loop {
        let select = Sql::new(db, format!("select gate_id, hotel_id, {column} < "))
            .bind(before)
            .text(format!(" as is_old from {table} where (gate_id, hotel_id) > ("))
            .bind(behind.0)
            .text(", ")
            .bind(behind.1)
            .text(") order by gate_id, hotel_id limit ")
            .bind(SMALL_CHUNK);
        let rows = Row::find_by_statement(select.statement()).all(db).await?;
        let Some(last) = rows.last() else { return Ok(deleted) };
        behind = (last.gate_id, last.hotel_id);
        let old = rows.iter().filter(|row| row.is_old);
        if old.clone().next().is_none() {
            continue;
        }
        let keys = Rows::new()
            .uuid("gate_id", old.clone().map(|row| row.gate_id))
            .uuid("hotel_id", old.map(|row| row.hotel_id));
        let delete = format!("delete from {table} where (gate_id, hotel_id) in ");
        let delete = Sql::new(db, delete)
            .text("(select t.gate_id, t.hotel_id from ")
            .rows(keys)
            // A window may have been used again since it was found.
            .text(format!(") and {column} < "))
            .bind(before);
        deleted += execute(db, &delete).await?;
        tokio::time::sleep(PAUSE).await;
    }
}
