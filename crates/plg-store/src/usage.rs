//! The hotel-months as they are read: what is used now, and what was used before.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::hotels::{PROFILE_COLUMNS, Profile, ProfileRow};
use crate::schema::usage_monthly;
use chrono::{DateTime, Utc};
use plg_core::calendar::Month;
use plg_core::ids::HotelId;
use plg_core::quota::Counters;
use plg_core::usage::MonthUsage;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// A hotel and its open month, if it has one.
pub type Current = (Profile, Option<MonthUsage>);

/// Hotels and their open months, in one read: one entry for each of the hotels, in any order.
///
/// # Errors
/// When the database cannot be read. What is wrong with one hotel's rows is that hotel's error.
pub async fn current(
    db: &impl ConnectionTrait,
    hotels: &BTreeSet<HotelId>,
) -> Result<HashMap<HotelId, Result<Current, StoreError>>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        hotel_id: Uuid,
        month: Option<i32>,
        imports: Option<i64>,
        exports: Option<i64>,
        active_users: Option<i64>,
        last_rollup_at: Option<DateTime<Utc>>,
        #[sea_orm(nested)]
        profile: ProfileRow,
    }

    let columns = "select t.hotel_id, u.month, u.imports, u.exports, u.active_users, \
                   u.last_rollup_at, ";
    let select = Sql::new(db, columns)
        .text(PROFILE_COLUMNS)
        .text(" from ")
        .rows(Rows::new().uuid("hotel_id", hotels.iter().map(|hotel| hotel.0)))
        .text(
            " left join hotel h on h.hotel_id = t.hotel_id \
             left join usage_monthly u on u.hotel_id = t.hotel_id and not u.closed",
        );
    let open = |row: &Row| match (row.month, row.imports, row.exports, row.active_users) {
        (Some(month), Some(imports), Some(exports), Some(active_users)) => Ok(Some(MonthUsage {
            month: month_of(month)?,
            counters: Counters { imports, exports, active_users },
            last_rollup_at: row.last_rollup_at,
        })),
        _ => Ok(None),
    };
    let rows = Row::find_by_statement(select.statement()).all(db).await?;
    let current = |row: Row| {
        let open = open(&row);
        (HotelId(row.hotel_id), open.and_then(|open| Ok((Profile::try_from(row.profile)?, open))))
    };
    Ok(rows.into_iter().map(current).collect())
}

/// [`current`] of one hotel.
///
/// # Errors
/// When the database cannot be read, or what it holds cannot be understood.
pub async fn current_of(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
) -> Result<Current, StoreError> {
    let mut current = current(db, &[hotel_id].into()).await?;
    current.remove(&hotel_id).unwrap_or_else(|| Ok((Profile::unregistered(), None)))
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
