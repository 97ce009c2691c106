//! Service keys, of which only a hash is kept.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let instant = |name: &'static str| ColumnDef::new(name).timestamp_with_time_zone().take();
        let table = Table::create()
            .table("api_key")
            .col(ColumnDef::new("key_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("name").text().not_null())
            // SHA-256 of the whole key, which has 256 random bits: no slower hash is needed.
            .col(ColumnDef::new("secret_hash").text().not_null())
            .col(ColumnDef::new("scopes").json_binary().not_null())
            // Hotels that the key is bound to; NULL is all of them.
            .col(ColumnDef::new("hotel_ids").json_binary().null())
            .col(instant("created_at").not_null())
            .col(instant("revoked_at").null())
            .col(instant("last_used_at").null())
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("api_key").if_exists().to_owned()).await
    }
}
