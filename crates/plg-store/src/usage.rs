//! The hotel-months as they are read: what is used now, and what was used before.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::hotels::{PROFILE_COLUMNS, Profile, ProfileRow};
use crate::in_order::InOrder;
use crate::schema::usage_monthly;
use plg_core::calendar::Month;
use plg_core::ids::HotelId;
use plg_core::plan::Limits;
use plg_core::quota::Counters;
use plg_core::usage::MonthUsage;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::{BTreeSet, HashMap};

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
    let select = Sql::new(db, "select t.hotel_id, ")
        .text(PROFILE_COLUMNS)
        .text(", u.last_rollup_at, u.month, u.imports, u.exports, u.active_users from ")
        .rows(Rows::new().uuid("hotel_id", hotels.iter().map(|hotel| hotel.0)))
        .text(
            " left join hotel h on h.hotel_id = t.hotel_id \
             left join usage_monthly u on u.hotel_id = t.hotel_id and not u.closed",
        );
    let rows = db.query_all_raw(select.statement()).await?;
    rows.iter()
        .map(|row| {
            let mut row = InOrder::of(row);
            let hotel_id = HotelId(row.take()?);
            let profile = ProfileRow::take(&mut row)?;
            let current = Profile::try_from(profile).and_then(|it| Ok((it, open_month(&mut row)?)));
            Ok((hotel_id, current))
        })
        .collect()
}

fn open_month(row: &mut InOrder<'_>) -> Result<Option<MonthUsage>, StoreError> {
    let last_rollup_at = row.take()?;
    // NULL, as all behind it are, where no month is open.
    let Some(month) = row.take()? else { return Ok(None) };
    let (month, counters) = (month_of(month)?, row.counters()?);
    Ok(Some(MonthUsage { month, counters, last_rollup_at, limits: None }))
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
            limits: row.limits.map(limits_of).transpose()?,
        })
    };
    rows.into_iter().map(usage).collect()
}

fn limits_of(noted: serde_json::Value) -> Result<Limits, StoreError> {
    let text = noted.to_string();
    serde_json::from_value(noted).map_err(|_| StoreError::corrupt("limits", text))
}

pub(crate) fn month_of(number: i32) -> Result<Month, StoreError> {
    Month::from_number(number).map_err(|_| StoreError::corrupt("month", number.to_string()))
}
