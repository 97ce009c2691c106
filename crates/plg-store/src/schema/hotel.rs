//! Plan, zone and limit overrides of a registered hotel.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hotel")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hotel_id: Uuid,
    pub plan: String,
    pub time_zone: String,
    pub limit_overrides: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
