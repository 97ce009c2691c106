//! Whether others are at work on the database, for those who can wait.

use crate::connect::{GUIDE_NAME, ROLLUP_NAME};
use crate::dialect::activity;
use crate::error::StoreError;
use sea_orm::{ConnectionTrait, DatabaseConnection};

/// What was seen at the last look.
#[derive(Debug, Default)]
pub struct Traffic {
    seen: Option<Option<i64>>,
}

impl Traffic {
    /// Whether anybody but a reconciliation has worked since the last look; the first one cannot tell, and says no. On
    /// SQLite, look on the connection that writes, for it would take others of its own program for strangers.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn look(&mut self, db: &DatabaseConnection) -> Result<bool, StoreError> {
        let row = db.query_one_raw(activity(db, [ROLLUP_NAME, GUIDE_NAME])).await?;
        let now = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        let before = self.seen.replace(now);
        Ok(before.is_some_and(|before| before != now))
    }
}
