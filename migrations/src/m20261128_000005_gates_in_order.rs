//! Dedup keys are kept in the order of the clients' ids from here on (`plg_core::gate`). Those of builds before are
//! not found: so a database that has some is refused, rather than that what it has counted counts again.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        refuse_others(manager).await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

/// Fails where there are dedup keys in another form.
pub(crate) async fn refuse_others(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let noted = Query::select()
        .expr(Expr::val(1))
        .from("seaql_migrations")
        .and_where(Expr::col("version").eq(Migration.name()))
        .to_owned();
    if manager.get_connection().query_one(&noted).await?.is_some() {
        return Ok(());
    }
    for table in ["event_gate", "event_window"] {
        let any = Query::select().expr(Expr::val(1)).from(table).limit(1).to_owned();
        if manager.get_connection().query_one(&any).await?.is_some() {
            return Err(DbErr::Migration(format!(
                "{table} holds dedup keys in the form of a build before the first release, which this one \
                 does not find: what was recorded would count again when it is sent again. Begin with a new \
                 database. Or, if nothing of it will be sent again: stop that build, empty event_gate and \
                 event_window, and migrate again. Only if this migration was applied and `migrate down` took it \
                 back, they are in the right form: insert ('m20261128_000005_gates_in_order', 0) into \
                 seaql_migrations instead"
            )));
        }
    }
    Ok(())
}
