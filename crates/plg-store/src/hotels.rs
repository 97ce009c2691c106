//! Registered hotels. A hotel without a row has the default plan, UTC and no overrides.

use crate::connect::begin_write;
use crate::error::StoreError;
use crate::in_order::InOrder;
use crate::months;
use crate::schema::hotel;
use chrono::{DateTime, Utc};
use plg_core::calendar::TimeZone;
use plg_core::ids::HotelId;
use plg_core::plan::{LimitOverrides, Limits, Plans};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue, ColumnTrait as _, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

/// What is known about a hotel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Name of its plan; `None` follows the default plan.
    pub plan: Option<String>,
    /// Where its days begin.
    pub time_zone: TimeZone,
    /// What it has instead of its plan's limits.
    pub overrides: LimitOverrides,
}

impl Profile {
    /// Of a hotel that nobody has registered.
    #[must_use]
    pub fn unregistered() -> Self {
        let overrides = LimitOverrides::default();
        Self { plan: None, time_zone: TimeZone::default(), overrides }
    }

    /// The plan's name.
    #[must_use]
    pub fn plan<'a>(&'a self, plans: &'a Plans) -> &'a str {
        self.plan.as_deref().unwrap_or_else(|| plans.default_plan())
    }

    /// The limits that apply.
    #[must_use]
    pub fn limits(&self, plans: &Plans) -> Limits {
        plans.limits(self.plan(plans), &self.overrides)
    }
}

/// The hotel's columns beside others, all NULL when it is not registered.
#[derive(Debug)]
pub(crate) struct ProfileRow {
    plan: Option<String>,
    time_zone: Option<String>,
    limit_overrides: Option<serde_json::Value>,
}

impl ProfileRow {
    /// The next columns, as [`PROFILE_COLUMNS`] has asked for them.
    pub(crate) fn take(row: &mut InOrder<'_>) -> Result<Self, DbErr> {
        Ok(Self { plan: row.take()?, time_zone: row.take()?, limit_overrides: row.take()? })
    }
}

impl TryFrom<ProfileRow> for Profile {
    type Error = StoreError;

    fn try_from(row: ProfileRow) -> Result<Self, StoreError> {
        let (Some(time_zone), Some(overrides)) = (row.time_zone, row.limit_overrides) else {
            return Ok(Self::unregistered());
        };
        Ok(Self {
            plan: row.plan,
            time_zone: time_zone
                .parse()
                .map_err(|_| StoreError::corrupt("time_zone", &time_zone))?,
            overrides: serde_json::from_value(overrides.clone())
                .map_err(|_| StoreError::corrupt("limit_overrides", overrides.to_string()))?,
        })
    }
}

/// The columns of [`ProfileRow`], for a select with the hotel's table as `h`.
pub(crate) const PROFILE_COLUMNS: &str = "h.plan, h.time_zone, h.limit_overrides";

/// Reads one hotel.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(db: &impl ConnectionTrait, hotel_id: HotelId) -> Result<Profile, StoreError> {
    let Some(row) = hotel::Entity::find_by_id(hotel_id.0).one(db).await? else {
        return Ok(Profile::unregistered());
    };
    Profile::try_from(ProfileRow {
        plan: Some(row.plan),
        time_zone: Some(row.time_zone),
        limit_overrides: Some(row.limit_overrides),
    })
}

/// Registers a hotel, or changes it, as [`put`] does; only if it is still as it was `known` to be, where that is told.
/// A month that is over keeps the limits that it ended with. Says whether it was changed.
///
/// # Errors
/// When the database cannot be written.
pub async fn change(
    db: &DatabaseConnection,
    plans: &Plans,
    hotel_id: HotelId,
    known: Option<&Profile>,
    new: (&str, TimeZone, LimitOverrides),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let txn = begin_write(db).await?;
    months::turn_if_over(&txn, plans, hotel_id, now).await?;
    let is_changed = match known {
        Some(known) => replace(&txn, hotel_id, known, new, now).await?,
        None => put(&txn, hotel_id, new, now).await.map(|()| true)?,
    };
    txn.commit().await?;
    Ok(is_changed)
}

/// Registers a hotel, or changes it. Takes effect with the next action, on every replica.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
    (plan, time_zone, overrides): (&str, TimeZone, LimitOverrides),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    use hotel::Column;

    let row = row(hotel_id, (plan, time_zone, overrides), now)?;
    let changed = [Column::Plan, Column::TimeZone, Column::LimitOverrides, Column::UpdatedAt];
    let update = OnConflict::column(Column::HotelId).update_columns(changed).to_owned();
    hotel::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

/// As [`put`], if the hotel is still as it was `known` to be. Says whether it was.
async fn replace(
    db: &impl ConnectionTrait,
    hotel_id: HotelId,
    known: &Profile,
    (plan, time_zone, overrides): (&str, TimeZone, LimitOverrides),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    use hotel::Column;

    let row = row(hotel_id, (plan, time_zone, overrides), now)?;
    let Some(known_plan) = &known.plan else {
        let nothing = OnConflict::column(Column::HotelId).do_nothing().to_owned();
        // Citus counts rows whether they were inserted or not.
        let mut insert = hotel::Entity::insert(row).on_conflict(nothing).into_query();
        let insert = insert.returning_col(Column::HotelId);
        return Ok(db.query_one(insert).await?.is_some());
    };
    let mut changed = row;
    changed.created_at = ActiveValue::NotSet;
    let update = hotel::Entity::update_many()
        .set(changed)
        .filter(Column::HotelId.eq(hotel_id.0))
        .filter(Column::Plan.eq(known_plan.as_str()))
        .filter(Column::TimeZone.eq(known.time_zone.name()))
        .filter(Column::LimitOverrides.eq(as_json(known.overrides)?));
    Ok(update.exec(db).await?.rows_affected > 0)
}

fn row(
    hotel_id: HotelId,
    (plan, time_zone, overrides): (&str, TimeZone, LimitOverrides),
    now: DateTime<Utc>,
) -> Result<hotel::ActiveModel, StoreError> {
    Ok(hotel::ActiveModel {
        hotel_id: ActiveValue::Set(hotel_id.0),
        plan: ActiveValue::Set(plan.to_owned()),
        time_zone: ActiveValue::Set(time_zone.name().to_owned()),
        limit_overrides: ActiveValue::Set(as_json(overrides)?),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    })
}

fn as_json(overrides: LimitOverrides) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(overrides)
        .map_err(|_| StoreError::corrupt("limit_overrides", "not representable"))
}

/// How many hotels have each plan that is not on sale; those of the most hotels first, a hundred at the most.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_other_plans(
    db: &impl ConnectionTrait,
    plans: &Plans,
) -> Result<Vec<(String, i64)>, StoreError> {
    const MOST: u64 = 100;

    let hotels = hotel::Column::HotelId.count();
    let counts = hotel::Entity::find()
        .select_only()
        .column(hotel::Column::Plan)
        .column_as(hotels.clone(), "hotels")
        .filter(hotel::Column::Plan.is_not_in(plans.iter()))
        .group_by(hotel::Column::Plan)
        .order_by_desc(hotels)
        .limit(MOST);
    Ok(counts.into_tuple().all(db).await?)
}
