//! Writing verdicts: corrections by delta, their audit, and how far a hotel-month is verified.

use super::{HotelMonth, Reading};
use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::usage::month_of;
use chrono::{DateTime, Utc};
use plg_core::calendar::Month;
use plg_core::catalogue::Counter;
use plg_core::ids::HotelId;
use plg_core::quota::Counters;
use plg_core::reconcile::{Correction, Verdict};
use sea_orm::{ConnectionTrait, FromQueryResult};
use std::collections::HashMap;
use uuid::Uuid;

/// What became of a chunk of verdicts.
#[derive(Debug, Default)]
pub struct Applied {
    /// Hotel-months written.
    pub written: Vec<HotelMonth>,
    /// Hotel-months with a seat correction that has to be carried into later months: hand them to
    /// [`apply_carrying`], one by one.
    pub to_carry: Vec<HotelMonth>,
    /// Corrections made.
    pub corrections: usize,
}

/// Audit rows in one statement. SQLite binds at most 32,766 values, a row has ten, and a chunk of
/// 2,000 hotel-months may have three counters each to correct.
const AUDIT_ROWS: usize = 2_000;

type Verdicts<'a> = &'a [(Reading, Verdict)];

/// A counter that was changed, for the audit.
struct Adjustment {
    month: Month,
    origin: HotelMonth,
    version: i64,
    counter: Counter,
    before: i64,
    expected: i64,
    after: i64,
}

/// A hotel-month with its live counters.
#[derive(FromQueryResult)]
struct Row {
    hotel_id: Uuid,
    month: i32,
    closed: bool,
    imports: i64,
    exports: i64,
    active_users: i64,
    opening_active_users: i64,
}

const COLUMNS: [&str; 7] =
    ["hotel_id", "month", "closed", "imports", "exports", "active_users", "opening_active_users"];

impl Row {
    fn key(&self) -> Result<HotelMonth, StoreError> {
        Ok(HotelMonth { hotel_id: HotelId(self.hotel_id), month: month_of(self.month)? })
    }

    fn live(&self) -> Counters {
        let Self { imports, exports, active_users, .. } = *self;
        Counters { imports, exports, active_users }
    }
}

/// Writes a chunk of verdicts in the caller's transaction. Hotel-months that another run has
/// reconciled since they were read are left alone.
///
/// # Errors
/// When the database does not play along; roll back then.
pub async fn apply(
    txn: &impl ConnectionTrait,
    run_id: Uuid,
    now: DateTime<Utc>,
    verdicts: Verdicts<'_>,
) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    if verdicts.is_empty() {
        return Ok(applied);
    }
    let mut rows = HashMap::new();
    for row in verify(txn, now, verdicts, Closed::OnlyIfNothingIsCarried).await? {
        rows.insert(row.key()?, row);
    }
    let mut adjustments = Vec::new();
    for (reading, verdict) in verdicts {
        if let Some(row) = rows.get(&reading.key) {
            adjustments.extend(own_adjustments(reading, verdict, &row.live()));
            applied.written.push(reading.key);
        } else if verdict.corrections.iter().any(|c| c.counter.carries_over()) {
            applied.to_carry.push(reading.key);
        }
    }
    applied.corrections = adjustments.len();
    audit(txn, run_id, now, &adjustments).await?;
    Ok(applied)
}

/// Writes one verdict with a seat correction in a month that was closed when [`apply`] came to it. If the
/// month after it was opened with the wrong balance, its opening, live and verified seats move to what is
/// right, and so do those of every later month. If the damage came after the turn, there is nothing to
/// carry.
///
/// # Errors
/// When the database does not play along; roll back then.
pub async fn apply_carrying(
    txn: &impl ConnectionTrait,
    run_id: Uuid,
    now: DateTime<Utc>,
    verdict: &(Reading, Verdict),
) -> Result<Applied, StoreError> {
    let written = verify(txn, now, std::slice::from_ref(verdict), Closed::Too).await?;
    let Some(row) = written.first() else { return Ok(Applied::default()) };
    let (reading, verdict) = verdict;
    let mut adjustments = own_adjustments(reading, verdict, &row.live());
    for correction in verdict.corrections.iter().filter(|c| c.counter.carries_over()) {
        let later = lock_later(txn, reading.key).await?;
        let balance = row.live()[correction.counter];
        let delta = later.first().map_or(0, |next| balance - next.opening_active_users);
        if delta == 0 {
            continue;
        }
        for later in later {
            let before = later.live()[correction.counter];
            adjustments.push(Adjustment {
                month: later.key()?.month,
                origin: reading.key,
                version: reading.version,
                counter: correction.counter,
                before,
                expected: before + delta,
                after: before + delta,
            });
        }
        carry(txn, reading.key, delta).await?;
    }
    audit(txn, run_id, now, &adjustments).await?;
    let written = vec![reading.key];
    Ok(Applied { written, to_carry: Vec::new(), corrections: adjustments.len() })
}

/// Locks the months after this one. A month that was opened while we waited for the lock of the one
/// before it is not seen by the waiting statement: look again until the open one is among them.
async fn lock_later(txn: &impl ConnectionTrait, key: HotelMonth) -> Result<Vec<Row>, StoreError> {
    const ATTEMPTS: u32 = 8;
    for _ in 0..ATTEMPTS {
        let select = Sql::new(txn, format!("select {} from usage_monthly u", COLUMNS.join(", ")))
            .text(" where u.hotel_id = ")
            .bind(key.hotel_id.0)
            .text(" and u.month > ")
            .bind(key.month.number())
            .text(" order by u.month")
            .for_update_of("u");
        let rows = Row::find_by_statement(select.statement()).all(txn).await?;
        if rows.last().is_some_and(|row| !row.closed) {
            return Ok(rows);
        }
    }
    Err(StoreError::MonthNotOpened { attempts: ATTEMPTS })
}

async fn carry(txn: &impl ConnectionTrait, key: HotelMonth, delta: i64) -> Result<(), StoreError> {
    let add = |sql: Sql, column: &str| sql.text(format!("{column} = {column} + ")).bind(delta);
    let mut update = add(Sql::new(txn, "update usage_monthly set "), "opening_active_users");
    update = add(update.text(", "), "active_users");
    update = add(update.text(", "), "verified_active_users");
    update = update.text(" where hotel_id = ").bind(key.hotel_id.0);
    update = update.text(" and month > ").bind(key.month.number());
    txn.execute_raw(update.statement()).await?;
    Ok(())
}

fn own_adjustments(reading: &Reading, verdict: &Verdict, after: &Counters) -> Vec<Adjustment> {
    let adjustment = |correction: &Correction| Adjustment {
        month: reading.key.month,
        origin: reading.key,
        version: reading.version,
        counter: correction.counter,
        before: correction.before,
        expected: correction.expected,
        after: after[correction.counter],
    };
    verdict.corrections.iter().map(adjustment).collect()
}

/// Which months that were closed in the meantime are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// Those whose balance was carried on and is to be corrected have to wait.
    OnlyIfNothingIsCarried,
    /// All.
    Too,
}

/// Compares and sets: hotel-months whose version is still the one that was read are written, and answered
/// as they are then. That of a hotel which was deleted meanwhile, and has come again, is the same: it is told by having
/// fewer events. They are addressed in order of their keys, and locked in it.
///
/// Counters are corrected, and marked as verified, by what has to be *added*: they may have moved since
/// they were read.
async fn verify(
    txn: &impl ConnectionTrait,
    now: DateTime<Utc>,
    verdicts: Verdicts<'_>,
    closed: Closed,
) -> Result<Vec<Row>, StoreError> {
    let correction = |counter| {
        verdicts.iter().map(move |(_, verdict)| {
            let own = verdict.corrections.iter().find(|c| c.counter == counter);
            own.map_or(0, Correction::delta)
        })
    };
    let progress = |counter: Counter| {
        verdicts.iter().map(move |(r, v)| v.verified[counter] - r.facts.verified[counter])
    };
    let rows = Rows::new()
        .uuid("hotel_id", verdicts.iter().map(|(reading, _)| reading.key.hotel_id.0))
        .int("month", verdicts.iter().map(|(reading, _)| reading.key.month.number()))
        .big_int("version", verdicts.iter().map(|(reading, _)| reading.version))
        .big_int("imports", correction(Counter::Imports))
        .big_int("exports", correction(Counter::Exports))
        .big_int("active_users", correction(Counter::ActiveUsers))
        .big_int("more_imports", progress(Counter::Imports))
        .big_int("more_exports", progress(Counter::Exports))
        .big_int("more_users", progress(Counter::ActiveUsers))
        .big_int("rolled_seq", verdicts.iter().map(|(reading, _)| reading.facts.last_seq))
        .big_int("missing", verdicts.iter().map(|(_, verdict)| verdict.missing_in_month));
    let update = Sql::new(
        txn,
        "update usage_monthly as u set imports = u.imports + t.imports, \
         exports = u.exports + t.exports, active_users = u.active_users + t.active_users, \
         verified_imports = u.verified_imports + t.more_imports, \
         verified_exports = u.verified_exports + t.more_exports, \
         verified_active_users = u.verified_active_users + t.more_users, \
         rolled_seq = t.rolled_seq, missing_events = t.missing, \
         rollup_version = u.rollup_version + 1, last_rollup_at = ",
    )
    .bind(now)
    .text(" from ")
    .rows(rows)
    .text(
        " where u.hotel_id = t.hotel_id and u.month = t.month and u.rollup_version = t.version \
         and u.last_seq >= t.rolled_seq",
    )
    .text(match closed {
        Closed::OnlyIfNothingIsCarried => " and (t.active_users = 0 or not u.closed)",
        Closed::Too => "",
    })
    .of_one_hotel("u.hotel_id", verdicts.iter().map(|(reading, _)| reading.key.hotel_id))
    .returning("u", &COLUMNS);
    Ok(Row::find_by_statement(update.statement()).all(txn).await?)
}

async fn audit(
    txn: &impl ConnectionTrait,
    run_id: Uuid,
    now: DateTime<Utc>,
    adjustments: &[Adjustment],
) -> Result<(), StoreError> {
    for part in adjustments.chunks(AUDIT_ROWS) {
        txn.execute_raw(audit_rows(txn, run_id, now, part).statement()).await?;
    }
    Ok(())
}

fn audit_rows(
    db: &impl ConnectionTrait,
    run_id: Uuid,
    now: DateTime<Utc>,
    adjustments: &[Adjustment],
) -> Sql {
    let rows = Rows::new()
        .uuid("hotel_id", adjustments.iter().map(|a| a.origin.hotel_id.0))
        .int("origin_month", adjustments.iter().map(|a| a.origin.month.number()))
        .big_int("version", adjustments.iter().map(|a| a.version))
        .text("counter", adjustments.iter().map(|a| a.counter.name().to_owned()))
        .int("month", adjustments.iter().map(|a| a.month.number()))
        .big_int("before", adjustments.iter().map(|a| a.before))
        .big_int("expected", adjustments.iter().map(|a| a.expected))
        .big_int("after", adjustments.iter().map(|a| a.after))
        .uuid("run_id", adjustments.iter().map(|_| run_id))
        .instant("now", adjustments.iter().map(|_| now));
    let into = "usage_adjustment (hotel_id, origin_month, rollup_version, counter, month, before, \
     expected, after, delta, run_id, adjusted_at)";
    let values = "t.hotel_id, t.origin_month, t.version, t.counter, t.month, t.before, t.expected, \
     t.after, t.expected - t.before, t.run_id, t.now";
    Sql::insert(db, into, values, rows)
}
