//! The limits with which a month has ended, noted as it is closed. Of months that were closed before, and of open ones,
//! nothing is noted.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let limits = ColumnDef::new("limits").json_binary().null().take();
        let table = Table::alter().table("usage_monthly").add_column(limits).to_owned();
        manager.alter_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::alter().table("usage_monthly").drop_column("limits").to_owned();
        manager.alter_table(table).await
    }
}
