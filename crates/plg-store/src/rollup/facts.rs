//! Finding the hotel-months to reconcile, and counting their events.

use super::{Candidate, HotelMonth, Reading, Scope};
use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::in_order::InOrder;
use crate::usage::month_of;
use futures_util::{Stream, StreamExt as _};
use plg_core::catalogue::{CATALOGUE, Counter, Entry};
use plg_core::ids::HotelId;
use plg_core::quota::PerCounter;
use plg_core::reconcile::{Facts, Tally};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, StreamTrait};

/// Streams the hotel-months in scope, in order, with the number of events to count. Without `full` those that have new events, and those
/// whose counters are not what was last verified: they show damage without a single event read.
///
/// # Errors
/// When the database cannot be read.
pub async fn candidates<'db, C: ConnectionTrait + StreamTrait>(
    db: &'db C,
    scope: &Scope,
) -> Result<impl Stream<Item = Result<Candidate, StoreError>> + use<'db, C>, StoreError> {
    let order = " order by hotel_id, month";
    let events = if scope.full { "last_seq" } else { "last_seq - rolled_seq" };
    let statement = select_candidates(db, &format!("hotel_id, month, {events}"), scope, order);
    let rows = db.stream_raw(statement).await?;
    Ok(rows.map(|row| {
        let row = row?;
        let mut row = InOrder::of(&row);
        let key = HotelMonth { hotel_id: HotelId(row.take()?), month: month_of(row.take()?)? };
        // Damaged, it may be any number.
        let events = row.take::<i64>()?.max(0);
        Ok(Candidate { key, events })
    }))
}

/// What was dropped cannot be counted again.
pub(super) const FIRST_KEPT_MONTH: &str =
    "(select coalesce(max(dropped_before), 0) from event_retention)";

/// Of a hotel-month: it has events that are not counted yet, or its counters are not what was last verified. As
/// long as that is so, its events are the only proof of its counters.
pub(crate) const NOT_RECONCILED: &str = "(last_seq > rolled_seq or imports <> verified_imports \
     or exports <> verified_exports or active_users <> verified_active_users)";

/// How many hotel-months are in scope.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_candidates(db: &impl ConnectionTrait, scope: &Scope) -> Result<i64, StoreError> {
    let row = db.query_one_raw(select_candidates(db, "count(*) as n", scope, "")).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("", "n"))?)
}

fn select_candidates(
    db: &impl ConnectionTrait,
    columns: &str,
    scope: &Scope,
    order: &'static str,
) -> Statement {
    let mut sql = Sql::new(db, format!("select {columns} from usage_monthly where "));
    sql = if scope.full {
        sql.text("month >= ").text(FIRST_KEPT_MONTH)
    } else {
        // PostgreSQL takes most rows for different, of which it would hand one after the other to a single reader. Of
        // a CASE it expects few, as they are, and reads the table with several.
        sql.text(format!("case when {NOT_RECONCILED} then 1 else 0 end = 1"))
    };
    if let Some(month) = scope.month {
        sql = sql.text(" and month = ").bind(month.number());
    }
    if !scope.hotels.is_empty() {
        sql = sql.text(" and ").any_of("hotel_id", scope.hotels.iter().map(|hotel| hotel.0));
    }
    sql.text(order).statement()
}

/// Reads hotel-months with their event counts, each from one snapshot. With `full` those whose events
/// were dropped since they were found are left out: counted, all of them would be missing.
///
/// # Errors
/// When the database cannot be read.
pub async fn read(
    db: &impl ConnectionTrait,
    keys: &[HotelMonth],
    full: bool,
) -> Result<Vec<Reading>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = db.query_all_raw(select_facts(db, keys, full)).await?;
    rows.iter().map(|row| reading(row, full)).collect()
}

/// What [`reading`] takes, in this order.
const COLUMNS: &str = "u.hotel_id, u.month, u.rollup_version, u.opening_active_users, \
     u.imports, u.exports, u.active_users, u.verified_imports, u.verified_exports, \
     u.verified_active_users, u.rolled_seq, u.last_seq, u.missing_events";

fn select_facts(db: &impl ConnectionTrait, keys: &[HotelMonth], full: bool) -> Statement {
    let rows = Rows::new()
        .uuid("hotel_id", keys.iter().map(|key| key.hotel_id.0))
        .int("month", keys.iter().map(|key| key.month.number()));
    let aggregates = if full {
        // The new ones are some of all.
        [tally_of(Some("e.seq > u.rolled_seq")), tally_of(None)].concat()
    } else {
        tally_of(None)
    };
    let floor = if full { "0" } else { "u.rolled_seq" };
    let condition = format!(
        "e.hotel_id = u.hotel_id and e.month = u.month and e.seq > {floor} and e.seq <= u.last_seq"
    );
    let source = |sql: Sql| {
        let sql = sql
            .rows(rows)
            .text(" join usage_monthly u on u.hotel_id = t.hotel_id and u.month = t.month");
        if full { sql.text(" and u.month >= ").text(FIRST_KEPT_MONTH) } else { sql }
    };
    Sql::aggregates_beside(db, COLUMNS, &aggregates, source, ("product_event", &condition))
        .statement()
}

/// Aggregates that make a [`Tally`] of the events, or of those that meet one more condition: how many there
/// are, and how many of each type that counts.
fn tally_of(condition: Option<&str>) -> Vec<String> {
    let filter = condition.map(|own| format!(" filter (where {own})")).unwrap_or_default();
    let and = condition.map(|own| format!(" and {own}")).unwrap_or_default();
    let of_types = counted()
        .map(|entry| format!("count(*) filter (where e.event_type = '{}'{and})", entry.name));
    std::iter::once(format!("count(*){filter}")).chain(of_types).collect()
}

/// The event types that move a counter.
fn counted() -> impl Iterator<Item = &'static Entry> {
    CATALOGUE.iter().filter(|entry| entry.effect.is_some())
}

/// As [`tally_of`] has asked for it.
fn tally(row: &mut InOrder<'_>) -> Result<Tally, DbErr> {
    let mut tally = Tally { events: row.take()?, ..Tally::default() };
    for effect in counted().filter_map(|entry| entry.effect) {
        tally.net[effect.counter] += effect.step * row.take::<i64>()?;
    }
    Ok(tally)
}

/// Of a row of [`select_facts`].
fn reading(row: &QueryResult, full: bool) -> Result<Reading, StoreError> {
    let mut row = InOrder::of(row);
    let hotel_id = HotelId(row.take()?);
    let key = HotelMonth { hotel_id, month: month_of(row.take()?)? };
    let version = row.take()?;
    let opening_seats = row.take()?;
    let opening = |c: Counter| if c.carries_over() { opening_seats } else { 0 };
    let facts = Facts {
        opening: PerCounter::from_fn(opening),
        live: row.counters()?,
        verified: row.counters()?,
        rolled_seq: row.take()?,
        last_seq: row.take()?,
        known_missing: row.take()?,
        new: tally(&mut row)?,
        all: if full { Some(tally(&mut row)?) } else { None },
    };
    Ok(Reading { key, version, facts })
}
