//! Used against limit.

use crate::catalogue::Counter;
use crate::plan::Limit;
use serde::{Deserialize, Serialize};
use std::ops::{Index, IndexMut};

/// Share of a limit from which a quota is near its limit, in percent (design: "used ≥ 80 %").
pub const NEAR_LIMIT_PERCENT: i64 = 80;

/// One value for each counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerCounter<T> {
    /// Imports completed this month.
    pub imports: T,
    /// Exports completed this month.
    pub exports: T,
    /// Seats held now.
    pub active_users: T,
}

/// The value of each counter, in units.
pub type Counters = PerCounter<i64>;

impl<T> PerCounter<T> {
    /// Computes one value for each counter.
    pub fn from_fn(mut f: impl FnMut(Counter) -> T) -> Self {
        Self {
            imports: f(Counter::Imports),
            exports: f(Counter::Exports),
            active_users: f(Counter::ActiveUsers),
        }
    }
}

impl<T> Index<Counter> for PerCounter<T> {
    type Output = T;

    fn index(&self, counter: Counter) -> &T {
        match counter {
            Counter::Imports => &self.imports,
            Counter::Exports => &self.exports,
            Counter::ActiveUsers => &self.active_users,
        }
    }
}

impl<T> IndexMut<Counter> for PerCounter<T> {
    fn index_mut(&mut self, counter: Counter) -> &mut T {
        match counter {
            Counter::Imports => &mut self.imports,
            Counter::Exports => &mut self.exports,
            Counter::ActiveUsers => &mut self.active_users,
        }
    }
}

/// What is used of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    used: i64,
    limit: Limit,
}

impl Quota {
    /// `used` units of `limit`.
    #[must_use]
    pub const fn new(used: i64, limit: Limit) -> Self {
        Self { used, limit }
    }

    /// Units used. A damaged counter may be below zero in the database; nobody is shown that.
    #[must_use]
    pub fn used(&self) -> i64 {
        self.used.max(0)
    }

    /// The limit.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// Whether one more unit fits.
    #[must_use]
    pub fn admits_one(&self) -> bool {
        match self.limit {
            Limit::Unlimited => true,
            Limit::AtMost(limit) => self.used < limit,
        }
    }

    /// Units left; `None` when unlimited.
    #[must_use]
    pub fn remaining(&self) -> Option<i64> {
        match self.limit {
            Limit::Unlimited => None,
            Limit::AtMost(limit) => Some((limit - self.used()).max(0)),
        }
    }

    /// `used ≥ 80 %` of the limit, in integer arithmetic. A limit of zero is always near.
    #[must_use]
    pub fn near_limit(&self) -> bool {
        match self.limit {
            Limit::Unlimited => false,
            Limit::AtMost(limit) => {
                i128::from(self.used()) * 100 >= i128::from(limit) * i128::from(NEAR_LIMIT_PERCENT)
            }
        }
    }

    /// Nothing is left: the next unit would be refused.
    #[must_use]
    pub fn exceeded(&self) -> bool {
        !self.admits_one()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_limit_at_its_edges() {
        let near = |used, limit| Quota::new(used, Limit::AtMost(limit)).near_limit();
        assert!(!near(799, 1000));
        assert!(near(800, 1000));
        assert!(near(1000, 1000));
        // 80 % of 3 is 2.4: two are below it, three are above.
        assert!(!near(2, 3));
        assert!(near(3, 3));
        assert!(near(0, 0));
        assert!(!Quota::new(i64::MAX, Limit::Unlimited).near_limit());
    }

    #[test]
    fn exceeded_is_what_the_next_unit_meets() {
        let quota = |used, limit| Quota::new(used, Limit::AtMost(limit));
        assert!(!quota(2, 3).exceeded());
        assert!(quota(3, 3).exceeded());
        assert!(quota(5, 3).exceeded());
        assert_eq!(quota(5, 3).remaining(), Some(0));
        assert!(quota(0, 0).exceeded());
        assert!(!Quota::new(9, Limit::Unlimited).exceeded());
        assert_eq!(Quota::new(9, Limit::Unlimited).remaining(), None);
        assert_eq!(quota(-2, 3).used(), 0);
        assert_eq!(quota(-2, 3).remaining(), Some(3));
    }
}
