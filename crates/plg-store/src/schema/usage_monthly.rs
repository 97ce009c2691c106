//! The hotel-months.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_monthly")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hotel_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub month: i32,
    pub closed: bool,
    pub imports: i64,
    pub exports: i64,
    pub active_users: i64,
    pub opening_active_users: i64,
    pub last_seq: i64,
    pub last_recorded_at: Option<DateTimeUtc>,
    pub verified_imports: i64,
    pub verified_exports: i64,
    pub verified_active_users: i64,
    pub rolled_seq: i64,
    pub missing_events: i64,
    pub rollup_version: i64,
    pub last_rollup_at: Option<DateTimeUtc>,
    pub limits: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
