//! Forgetting what is old: months of events that are reconciled, and gates that can refuse nothing any
//! more. Counters and the audit stay.

use crate::connect::is_postgres;
use crate::dialect::Sql;
use crate::error::StoreError;
use crate::partitions;
use chrono::{DateTime, TimeDelta, Utc};
use plg_core::calendar::Month;
use sea_orm::{ConnectionTrait, DatabaseConnection};

/// Session windows and daily caps are over after this long, in every time zone.
const WINDOW_HORIZON: TimeDelta = TimeDelta::days(3);
/// Rows deleted by one statement.
const CHUNK: i64 = 10_000;

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
        "select count(*) as n from usage_monthly where (last_seq > rolled_seq \
         or imports <> verified_imports or exports <> verified_exports \
         or active_users <> verified_active_users) and month < ",
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
    // First what a recount has to know, then the deed.
    let mark = Sql::new(db, "insert into event_retention (dropped_before, dropped_at) values (")
        .bind(month.number())
        .text(", ")
        .bind(now)
        .text(") on conflict (dropped_before) do nothing");
    db.execute_raw(mark.statement()).await?;
    if !is_postgres(db) {
        let delete = |chunk| {
            Sql::new(
                db,
                "delete from product_event where (hotel_id, month, seq) in \
                 (select hotel_id, month, seq from product_event where month < ",
            )
            .bind(month.number())
            .text(" limit ")
            .bind(chunk)
            .text(")")
        };
        return Ok(Dropped { months: 0, events: delete_in_chunks(db, delete).await? });
    }
    Ok(Dropped { months: partitions::drop_before(db, month).await?, events: 0 })
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
    let delete = |chunk| {
        // The time is asked for twice: a window may have been used again since it was found.
        Sql::new(
            db,
            &format!(
                "delete from {table} where (gate_id, hotel_id) in \
                 (select gate_id, hotel_id from {table} where {column} < "
            ),
        )
        .bind(before)
        .text(" limit ")
        .bind(chunk)
        .text(&format!(") and {column} < "))
        .bind(before)
    };
    delete_in_chunks(db, delete).await
}

async fn delete_in_chunks(
    db: &DatabaseConnection,
    delete: impl Fn(i64) -> Sql,
) -> Result<u64, StoreError> {
    let mut deleted = 0;
    loop {
        let rows = db.execute_raw(delete(CHUNK).statement()).await?.rows_affected();
        deleted += rows;
        if rows == 0 {
            return Ok(deleted);
        }
    }
}
