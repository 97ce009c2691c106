//! What a look at the whole needs: which runs went through everything, and where events are missing.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let partial = ColumnDef::new("partial").boolean().not_null().default(false).take();
        manager
            .alter_table(Table::alter().table("rollup_run").add_column(partial).to_owned())
            .await?;
        // Nearly always empty, and never touched by what moves counters.
        let missing = Index::create()
            .name("usage_monthly_missing")
            .table("usage_monthly")
            .col("hotel_id")
            .col("month")
            .cond_where(Expr::col("missing_events").gt(0))
            .to_owned();
        manager.create_index(missing).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let missing = Index::drop().name("usage_monthly_missing").table("usage_monthly").to_owned();
        manager.drop_index(missing).await?;
        let partial = Table::alter().table("rollup_run").drop_column("partial").to_owned();
        manager.alter_table(partial).await
    }
}
