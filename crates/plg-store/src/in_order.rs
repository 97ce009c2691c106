//! A row read column by column. Looking each up by its name took a quarter of the reconciliation's time, and a tenth
//! of a lane's.

use plg_core::quota::Counters;
use sea_orm::{DbErr, QueryResult, TryGetable};

/// A row's columns in their order.
pub(crate) struct InOrder<'r> {
    row: &'r QueryResult,
    next: usize,
}

impl<'r> InOrder<'r> {
    pub(crate) const fn of(row: &'r QueryResult) -> Self {
        Self { row, next: 0 }
    }

    /// The next one.
    pub(crate) fn take<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let value = self.row.try_get_by_index(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// The next ones: imports, exports, active users.
    pub(crate) fn counters(&mut self) -> Result<Counters, DbErr> {
        let (imports, exports, active_users) = (self.take()?, self.take()?, self.take()?);
        Ok(Counters { imports, exports, active_users })
    }
}
