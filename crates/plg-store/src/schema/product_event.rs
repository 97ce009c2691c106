//! The event log.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "product_event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hotel_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub month: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub event_type: String,
    pub user_id: Uuid,
    pub session_id: Option<String>,
    pub event_id: Option<String>,
    pub dedup_key: Option<String>,
    /// As text: understood, a page of events could fill the memory.
    #[sea_orm(column_type = "JsonBinary", select_as = "text")]
    pub event_data: Option<String>,
    pub day: Date,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
