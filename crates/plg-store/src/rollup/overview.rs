//! A look at the whole: when everything was last verified, what was found, and what is missing.

use super::facts::FIRST_KEPT_MONTH;
use super::runs::{Run, Status, from_row};
use crate::dialect::Sql;
use crate::error::StoreError;
use crate::schema::rollup_run;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

/// Whether the books are true, as far as the runs tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// The last run that went through everything, and corrected what it found.
    pub last_done: Option<Run>,
    /// Whether the last run that was to go through everything, and has ended, failed.
    pub last_failed: bool,
    /// Hotel-months that had drifted, by every run since.
    pub drifted: i64,
    /// Counters that were corrected, by every run since.
    pub corrected: i64,
    /// Events that are missing now, of months whose events were not dropped.
    pub missing: i64,
}

/// Looks at the runs since an instant, however they ended, and at what is missing.
///
/// # Errors
/// When the database cannot be read.
pub async fn overview(
    db: &impl ConnectionTrait,
    since: DateTime<Utc>,
) -> Result<Overview, StoreError> {
    use rollup_run::Column;

    let of_everything = rollup_run::Entity::find()
        .filter(Column::DryRun.eq(false))
        .filter(Column::Partial.eq(false))
        .order_by_desc(Column::StartedAt);
    let done = of_everything.clone().filter(Column::Status.eq(Status::Done.name())).one(db).await?;
    let ended = of_everything.filter(Column::Status.ne(Status::Running.name())).one(db).await?;
    let sums = Sql::new(
        db,
        format!(
            "select cast(coalesce(sum(drifted), 0) as bigint) as drifted, \
             cast(coalesce(sum(corrected), 0) as bigint) as corrected, \
             (select cast(coalesce(sum(missing_events), 0) as bigint) from usage_monthly \
              where missing_events > 0 and month >= {FIRST_KEPT_MONTH}) as missing \
             from rollup_run where not dry_run and started_at >= "
        ),
    );
    let sums = db.query_one_raw(sums.bind(since).statement()).await?;
    let sum = |name| sums.as_ref().map_or(Ok(0), |row| row.try_get("", name));
    Ok(Overview {
        last_done: done.map(from_row).transpose()?,
        last_failed: ended.is_some_and(|run| run.status == Status::Failed.name()),
        drifted: sum("drifted")?,
        corrected: sum("corrected")?,
        missing: sum("missing")?,
    })
}
