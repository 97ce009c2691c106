//! The runs of the reconciliation: one row each, kept up to date with every chunk, so that a run
//! that was killed shows what it had done.

use super::HotelMonth;
use crate::dialect::Sql;
use crate::error::StoreError;
use crate::paging::cut;
use crate::schema::{rollup_run, usage_adjustment};
use crate::usage::month_of;
use chrono::{DateTime, Utc};
use plg_core::calendar::Month;
use plg_core::ids::HotelId;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde::Serialize;
use uuid::Uuid;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RollupStatus))]
pub enum Status {
    /// At work, or killed.
    Running,
    /// It went through its whole scope.
    Done,
    /// It gave up; the next run goes on.
    Failed,
}

impl Status {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Running, Self::Done, Self::Failed]
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| StoreError::corrupt("status", text))
    }
}

/// What a run has found and done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RollupFigures))]
pub struct Figures {
    /// Hotels looked at.
    pub hotels: i64,
    /// Hotel-months looked at.
    pub hotel_months: i64,
    /// Event rows counted.
    pub events: i64,
    /// Hotel-months whose counters were not what their events say.
    pub drifted: i64,
    /// Counters corrected.
    pub corrected: i64,
    /// Events missing in the ranges that were counted.
    pub missing: i64,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Rollup))]
pub struct Run {
    /// Its id.
    pub run_id: Uuid,
    /// How far it has come.
    pub status: Status,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Whether it recounted from the first event of each month.
    pub full: bool,
    /// Whether it looked at some hotels, or at one month, only.
    pub partial: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub finished_at: Option<DateTime<Utc>>,
    /// What it found and did.
    #[serde(flatten)]
    pub figures: Figures,
    /// How long it took.
    pub duration_ms: i64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub error: Option<String>,
}

/// A correction of a counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Correction))]
pub struct Adjustment {
    /// Whose counter.
    pub hotel_id: HotelId,
    /// In which month.
    pub month: Month,
    /// Which counter.
    pub counter: String,
    /// What it was when it was counted.
    pub before: i64,
    /// What it should have been then.
    pub expected: i64,
    /// What it was right after the correction, with everything recorded meanwhile.
    pub after: i64,
    /// What was added to it.
    pub delta: i64,
    /// The earlier month that was corrected, if this one only inherited its seats.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub carried_from: Option<Month>,
    /// When.
    pub adjusted_at: DateTime<Utc>,
}

/// Writes the row of a run that begins.
///
/// # Errors
/// When the database cannot be written.
pub async fn start(db: &impl ConnectionTrait, run: &Run) -> Result<(), StoreError> {
    let row = rollup_run::ActiveModel {
        run_id: ActiveValue::Set(run.run_id),
        status: ActiveValue::Set(run.status.name().to_owned()),
        dry_run: ActiveValue::Set(run.dry_run),
        full_recount: ActiveValue::Set(run.full),
        partial: ActiveValue::Set(run.partial),
        started_at: ActiveValue::Set(run.started_at),
        ..Default::default()
    };
    rollup_run::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Adds a chunk's figures, in the transaction of the chunk.
///
/// # Errors
/// When the database cannot be written.
pub async fn add(
    txn: &impl ConnectionTrait,
    run_id: Uuid,
    chunk: &Figures,
) -> Result<(), StoreError> {
    let Figures { hotels, hotel_months, events, drifted, corrected, missing } = *chunk;
    let columns = [
        ("hotels", hotels),
        ("hotel_months", hotel_months),
        ("events", events),
        ("drifted", drifted),
        ("corrected", corrected),
        ("missing", missing),
    ];
    let mut update = Sql::new(txn, "update rollup_run set ");
    for (index, (column, more)) in columns.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        update = update.text(format!("{comma}{column} = {column} + ")).bind(more);
    }
    let update = update.text(" where run_id = ").bind(run_id);
    txn.execute_raw(update.statement()).await?;
    Ok(())
}

/// Marks a run as ended.
///
/// # Errors
/// When the database cannot be written.
pub async fn finish(db: &impl ConnectionTrait, run: &Run) -> Result<(), StoreError> {
    let row = rollup_run::ActiveModel {
        run_id: ActiveValue::Unchanged(run.run_id),
        status: ActiveValue::Set(run.status.name().to_owned()),
        finished_at: ActiveValue::Set(run.finished_at),
        duration_ms: ActiveValue::Set(run.duration_ms),
        error: ActiveValue::Set(run.error.clone()),
        ..Default::default()
    };
    row.update(db).await?;
    Ok(())
}

/// Lists runs, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Run>, StoreError> {
    let query = rollup_run::Entity::find()
        .order_by_desc(rollup_run::Column::StartedAt)
        .order_by_desc(rollup_run::Column::RunId);
    query.limit(limit).all(db).await?.into_iter().map(from_row).collect()
}

/// Reads one run.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(db: &impl ConnectionTrait, run_id: Uuid) -> Result<Option<Run>, StoreError> {
    rollup_run::Entity::find_by_id(run_id).one(db).await?.map(from_row).transpose()
}

pub(super) fn from_row(row: rollup_run::Model) -> Result<Run, StoreError> {
    Ok(Run {
        run_id: row.run_id,
        status: Status::parse(&row.status)?,
        dry_run: row.dry_run,
        full: row.full_recount,
        partial: row.partial,
        started_at: row.started_at,
        finished_at: row.finished_at,
        figures: Figures {
            hotels: row.hotels,
            hotel_months: row.hotel_months,
            events: row.events,
            drifted: row.drifted,
            corrected: row.corrected,
            missing: row.missing,
        },
        duration_ms: row.duration_ms,
        error: row.error,
    })
}

/// A place in the corrections of a run, each of which has another one. Listings go on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose counter.
    pub hotel_id: HotelId,
    /// Of which month its correction was.
    pub origin: Month,
    /// In which month.
    pub month: Month,
    /// Which counter.
    pub counter: String,
}

/// Some corrections of a run.
#[derive(Debug)]
pub struct Page {
    /// By hotel and month.
    pub corrections: Vec<Adjustment>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Place>,
}

/// Lists the corrections of a run by hotel and month, `limit` at a time, from behind a place.
///
/// # Errors
/// When the database cannot be read.
pub async fn adjustments(
    db: &impl ConnectionTrait,
    run_id: Uuid,
    behind: Option<&Place>,
    limit: u64,
) -> Result<Page, StoreError> {
    use usage_adjustment::Column;

    let order = [Column::HotelId, Column::OriginMonth, Column::Month, Column::Counter];
    let mut query = usage_adjustment::Entity::find().filter(Column::RunId.eq(run_id));
    if let Some(Place { hotel_id, origin, month, counter }) = behind {
        let here = Expr::tuple(order.map(Expr::col));
        let there = Expr::tuple([
            Expr::val(hotel_id.0),
            Expr::val(origin.number()),
            Expr::val(month.number()),
            Expr::val(counter.as_str()),
        ]);
        query = query.filter(here.gt(there));
    }
    for column in order {
        query = query.order_by_asc(column);
    }
    let mut rows = query.limit(limit.saturating_add(1)).all(db).await?;
    let others_follow = cut(&mut rows, limit);
    let adjustment = |row: usage_adjustment::Model| {
        let key = HotelMonth { hotel_id: HotelId(row.hotel_id), month: month_of(row.month)? };
        let origin = month_of(row.origin_month)?;
        Ok(Adjustment {
            hotel_id: key.hotel_id,
            month: key.month,
            counter: row.counter,
            before: row.before,
            expected: row.expected,
            after: row.after,
            delta: row.delta,
            carried_from: (origin != key.month).then_some(origin),
            adjusted_at: row.adjusted_at,
        })
    };
    let corrections = rows.into_iter().map(adjustment).collect::<Result<Vec<_>, StoreError>>()?;
    let next = corrections.last().filter(|_| others_follow).map(|last| Place {
        hotel_id: last.hotel_id,
        origin: last.carried_from.unwrap_or(last.month),
        month: last.month,
        counter: last.counter.clone(),
    });
    Ok(Page { corrections, next })
}
