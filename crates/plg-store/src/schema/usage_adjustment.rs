//! The audit of corrections.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_adjustment")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hotel_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub origin_month: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub rollup_version: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub counter: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub month: i32,
    pub run_id: Uuid,
    pub before: i64,
    pub expected: i64,
    pub after: i64,
    pub delta: i64,
    pub adjusted_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
