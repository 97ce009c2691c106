//! The hotel-months: locking, opening, writing and reading them.
//!
//! Exactly one month of a hotel is open. Its row is the hotel's lock: whoever records an event holds
//! it. Opening the next month closes the row under that lock, so whoever waited for it finds it
//! closed, and never stamps an event into a month whose balance has been carried on.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::hotels::{PROFILE_COLUMNS, Profile, ProfileRow};
use crate::schema::usage_monthly;
use chrono::{DateTime, Utc};
use plg_core::calendar::Month;
use plg_core::decide::{HotelState, opening};
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use plg_core::quota::Counters;
use plg_core::usage::MonthUsage;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How often a batch tries to open its hotels' months: once is usual; more when other replicas open
/// them at the same moment.
const OPEN_ATTEMPTS: u32 = 8;

/// The locked months of a batch's hotels.
pub(crate) struct Locked {
    pub(crate) hotels: Vec<HotelState>,
    /// PostgreSQL's id of the transaction; 0 on SQLite.
    pub(crate) transaction_id: i64,
}

/// Locks the open month of each hotel, in order of their ids, opening it where the time has come.
pub(crate) async fn lock(
    txn: &impl ConnectionTrait,
    plans: &Plans,
    hotels: &BTreeSet<HotelId>,
    now: DateTime<Utc>,
) -> Result<Locked, StoreError> {
    for _ in 0..OPEN_ATTEMPTS {
        let locked = lock_open(txn, plans, hotels).await?;
        if open_months(txn, hotels, &locked.hotels, now).await? == 0 {
            return Ok(locked);
        }
    }
    Err(StoreError::MonthNotOpened { attempts: OPEN_ATTEMPTS })
}

async fn lock_open(
    txn: &impl ConnectionTrait,
    plans: &Plans,
    hotels: &BTreeSet<HotelId>,
) -> Result<Locked, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        hotel_id: Uuid,
        month: i32,
        imports: i64,
        exports: i64,
        active_users: i64,
        last_seq: i64,
        last_recorded_at: Option<DateTime<Utc>>,
        transaction_id: i64,
        #[sea_orm(nested)]
        profile: ProfileRow,
    }

    let select = Sql::new(
        txn,
        "select u.hotel_id, u.month, u.imports, u.exports, u.active_users, u.last_seq, \
         u.last_recorded_at, ",
    )
    .transaction_id()
    .text(" as transaction_id, ")
    .text(PROFILE_COLUMNS)
    .text(" from usage_monthly u left join hotel h on h.hotel_id = u.hotel_id where ")
    .any_of("u.hotel_id", hotels.iter().map(|hotel| hotel.0))
    .text(" and not u.closed order by u.hotel_id")
    .for_update_of("u");
    let rows = Row::find_by_statement(select.statement()).all(txn).await?;

    let transaction_id = rows.first().map_or(0, |row| row.transaction_id);
    let state = |row: Row| {
        let profile = Profile::try_from(row.profile)?;
        Ok(HotelState {
            hotel_id: HotelId(row.hotel_id),
            month: month_of(row.month)?,
            time_zone: profile.time_zone,
            limits: profile.limits(plans),
            counters: Counters {
                imports: row.imports,
                exports: row.exports,
                active_users: row.active_users,
            },
            last_seq: row.last_seq,
            last_recorded_at: row.last_recorded_at,
        })
    };
    let hotels = rows.into_iter().map(state).collect::<Result<_, StoreError>>()?;
    Ok(Locked { hotels, transaction_id })
}

/// Opens the months that are due, and says how many were. Those must be locked then.
async fn open_months(
    txn: &impl ConnectionTrait,
    hotels: &BTreeSet<HotelId>,
    locked: &[HotelState],
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let turned: Vec<(&HotelState, Month)> = locked
        .iter()
        .map(|hotel| {
            let at = hotel.last_recorded_at.map_or(now, |last| last.max(now));
            (hotel, hotel.time_zone.month_of(at))
        })
        .filter(|(hotel, month)| *month > hotel.month)
        .collect();
    let known: BTreeSet<_> = locked.iter().map(|hotel| hotel.hotel_id).collect();
    let unknown: Vec<_> = hotels.difference(&known).copied().collect();
    if turned.is_empty() && unknown.is_empty() {
        return Ok(0);
    }
    if !turned.is_empty() {
        let rows = Rows::new()
            .uuid("hotel_id", turned.iter().map(|(hotel, _)| hotel.hotel_id.0))
            .int("month", turned.iter().map(|(hotel, _)| hotel.month.number()));
        let close = Sql::new(
            txn,
            "update usage_monthly set closed = true where (hotel_id, month) in \
             (select t.hotel_id, t.month from ",
        );
        txn.execute_raw(close.rows(rows).text(")").statement()).await?;
    }
    let mut opened: Vec<Opening> = turned
        .into_iter()
        .map(|(hotel, month)| Opening {
            hotel_id: hotel.hotel_id,
            month,
            counters: opening(&hotel.counters),
            last_recorded_at: hotel.last_recorded_at,
        })
        .collect();
    for (hotel_id, profile) in profiles(txn, &unknown).await? {
        let month = profile.time_zone.month_of(now);
        let counters = Counters::default();
        opened.push(Opening { hotel_id, month, counters, last_recorded_at: None });
    }
    opened.sort_by_key(|opening| opening.hotel_id);
    txn.execute_raw(insert_months(txn, &opened).statement()).await?;
    Ok(opened.len())
}

struct Opening {
    hotel_id: HotelId,
    month: Month,
    counters: Counters,
    last_recorded_at: Option<DateTime<Utc>>,
}

/// Another replica may have opened a month first: then its row stands, and is locked next.
fn insert_months(txn: &impl ConnectionTrait, openings: &[Opening]) -> Sql {
    let rows = Rows::new()
        .uuid("hotel_id", openings.iter().map(|o| o.hotel_id.0))
        .int("month", openings.iter().map(|o| o.month.number()))
        .big_int("active_users", openings.iter().map(|o| o.counters.active_users))
        // The epoch stands for none: arrays hold no NULL.
        .instant("last", openings.iter().map(|o| o.last_recorded_at.unwrap_or_default()));
    Sql::new(
        txn,
        "insert into usage_monthly (hotel_id, month, active_users, opening_active_users, \
         verified_active_users, last_recorded_at) \
         select t.hotel_id, t.month, t.active_users, t.active_users, t.active_users, nullif(t.last, ",
    )
    .bind(DateTime::<Utc>::UNIX_EPOCH)
    .text(") from ")
    .rows(rows)
    .text(" where true on conflict do nothing")
}

async fn profiles(
    db: &impl ConnectionTrait,
    hotels: &[HotelId],
) -> Result<Vec<(HotelId, Profile)>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        hotel_id: Uuid,
        #[sea_orm(nested)]
        profile: ProfileRow,
    }

    if hotels.is_empty() {
        return Ok(Vec::new());
    }
    let select = Sql::new(db, "select t.hotel_id, ")
        .text(PROFILE_COLUMNS)
        .text(" from ")
        .rows(Rows::new().uuid("hotel_id", hotels.iter().map(|hotel| hotel.0)))
        .text(" left join hotel h on h.hotel_id = t.hotel_id");
    let rows = Row::find_by_statement(select.statement()).all(db).await?;
    rows.into_iter()
        .map(|row| Ok((HotelId(row.hotel_id), Profile::try_from(row.profile)?)))
        .collect()
}

/// The write that sets the counters of locked months.
pub(crate) fn set(db: &impl ConnectionTrait, hotels: &[HotelState]) -> Sql {
    let rows = Rows::new()
        .uuid("hotel_id", hotels.iter().map(|h| h.hotel_id.0))
        .int("month", hotels.iter().map(|h| h.month.number()))
        .big_int("imports", hotels.iter().map(|h| h.counters.imports))
        .big_int("exports", hotels.iter().map(|h| h.counters.exports))
        .big_int("active_users", hotels.iter().map(|h| h.counters.active_users))
        .big_int("last_seq", hotels.iter().map(|h| h.last_seq))
        .instant("last", hotels.iter().map(|h| h.last_recorded_at.unwrap_or_default()));
    Sql::new(
        db,
        "update usage_monthly as u set imports = t.imports, exports = t.exports, \
         active_users = t.active_users, last_seq = t.last_seq, last_recorded_at = t.last from ",
    )
    .rows(rows)
    .text(" where u.hotel_id = t.hotel_id and u.month = t.month")
}

/// A hotel and its open month, in one read.
///
/// # Errors
/// When the database cannot be read.
pub async fn current(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
) -> Result<(Profile, Option<MonthUsage>), StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        month: Option<i32>,
        imports: Option<i64>,
        exports: Option<i64>,
        active_users: Option<i64>,
        last_rollup_at: Option<DateTime<Utc>>,
        #[sea_orm(nested)]
        profile: ProfileRow,
    }

    let select =
        Sql::new(db, "select u.month, u.imports, u.exports, u.active_users, u.last_rollup_at, ")
            .text(PROFILE_COLUMNS)
            .text(" from ")
            .rows(Rows::new().uuid("hotel_id", std::iter::once(hotel_id.0)))
            .text(
                " left join hotel h on h.hotel_id = t.hotel_id \
         left join usage_monthly u on u.hotel_id = t.hotel_id and not u.closed",
            );
    let Some(row) = Row::find_by_statement(select.statement()).one(db).await? else {
        return Ok((Profile::unregistered(), None));
    };
    let open = match (row.month, row.imports, row.exports, row.active_users) {
        (Some(month), Some(imports), Some(exports), Some(active_users)) => Some(MonthUsage {
            month: month_of(month)?,
            counters: Counters { imports, exports, active_users },
            last_rollup_at: row.last_rollup_at,
        }),
        _ => None,
    };
    Ok((Profile::try_from(row.profile)?, open))
}

/// A hotel's rows up to and including a month, newest first, at most `count`.
///
/// # Errors
/// When the database cannot be read.
pub async fn until(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
    month: Month,
    count: u64,
) -> Result<Vec<MonthUsage>, StoreError> {
    let rows = usage_monthly::Entity::find()
        .filter(usage_monthly::Column::HotelId.eq(hotel_id.0))
        .filter(usage_monthly::Column::Month.lte(month.number()))
        .order_by_desc(usage_monthly::Column::Month)
        .limit(count)
        .all(db)
        .await?;
    let usage = |row: usage_monthly::Model| {
        Ok(MonthUsage {
            month: month_of(row.month)?,
            counters: Counters {
                imports: row.imports,
                exports: row.exports,
                active_users: row.active_users,
            },
            last_rollup_at: row.last_rollup_at,
        })
    };
    rows.into_iter().map(usage).collect()
}

pub(crate) fn month_of(number: i32) -> Result<Month, StoreError> {
    Month::from_number(number).map_err(|_| StoreError::corrupt("month", number.to_string()))
}
