//! The tables as SeaORM entities, for what is read and written row by row.

pub mod api_key;
pub mod hotel;
pub mod product_event;
pub mod rollup_run;
pub mod seat;
pub mod usage_adjustment;
pub mod usage_monthly;
