//! What the reconciliation asks the log is answered by its key alone: how many events of which types a
//! hotel-month has. On PostgreSQL only: SQLite keeps whole rows in the key's tree.
//!
//! Rebuilds the key of every partition, during which nobody writes: one to two seconds for a million events.

use crate::m20261128_000005_gates_in_order;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What the next one refuses is not worked for, with the log locked.
        m20261128_000005_gates_in_order::refuse_others(manager).await?;
        replace_key(manager, " include (event_type)").await?;
        for partition in partitions(manager).await? {
            let settings = PARTITION_SETTINGS;
            execute(manager, &format!("alter table {partition} set ({settings})")).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace_key(manager, "").await
    }
}

/// As `plg-store` makes partitions from now on. A key answers for rows that are known to be visible to all,
/// and that is noted by vacuum; by default not before a fifth of the month is new.
const PARTITION_SETTINGS: &str =
    "autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0";

async fn replace_key(manager: &SchemaManager<'_>, with: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    execute(manager, "alter table product_event drop constraint product_event_pkey").await?;
    let add = format!("alter table product_event add primary key (hotel_id, month, seq){with}");
    execute(manager, &add).await
}

async fn partitions(manager: &SchemaManager<'_>) -> Result<Vec<String>, DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(Vec::new());
    }
    let select = Query::select()
        .expr_as(Expr::cust("inhrelid::regclass::text"), "name")
        .from("pg_inherits")
        .cond_where(Expr::cust("inhparent = 'product_event'::regclass"))
        .to_owned();
    let rows = manager.get_connection().query_all(&select).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

async fn execute(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    manager.get_connection().execute_unprepared(sql).await.map(|_| ())
}
