//! Distributes the tables by hotel, on a PostgreSQL that has Citus.
//!
//! Every key of a hotel's table contains `hotel_id`, so a hotel's rows of all tables lie in one shard, and a
//! transaction of one hotel runs on one node. Tables that belong to no hotel (runs, service keys, what was dropped, the
//! migrations) stay on the coordinator: nothing that records reads them.

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement,
};

/// The tables, in the order in which they are distributed. The others lie where the first one does.
const BY_HOTEL: [&str; 7] = [
    "usage_monthly",
    "hotel",
    "product_event",
    "event_gate",
    "event_window",
    "seat",
    "usage_adjustment",
];

/// Why tables cannot be distributed.
#[derive(Debug, thiserror::Error)]
pub enum DistributeError {
    /// There are no nodes.
    #[error("only PostgreSQL with Citus can be distributed, SQLite is one file")]
    Embedded,
    /// It is any PostgreSQL.
    #[error(
        "this PostgreSQL has no Citus: install it on every node, add citus to \
         shared_preload_libraries, run `create extension citus` in the database, and add the workers \
         (citus_add_node), then run this again"
    )]
    NoCitus,
    /// The database refuses.
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Distributes every table that is not, and says which those were. Rows that are there already are moved,
/// during which nobody can write: run it right after `migrate up`.
///
/// # Errors
/// Without Citus, or when the database refuses. What was distributed stays so; run it again.
pub async fn distribute(db: &DatabaseConnection) -> Result<Vec<&'static str>, DistributeError> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Err(DistributeError::Embedded);
    }
    if !yes(db, "select to_regproc('create_distributed_table') is not null as yes").await? {
        return Err(DistributeError::NoCitus);
    }
    let mut distributed = Vec::new();
    for table in BY_HOTEL {
        let known = format!(
            "select exists (select from citus_tables where table_name = '{table}'::regclass \
             and citus_table_type = 'distributed') as yes"
        );
        if yes(db, &known).await? {
            continue;
        }
        let beside = if table == BY_HOTEL[0] { "none" } else { BY_HOTEL[0] };
        let create = format!(
            "select create_distributed_table('{table}', 'hotel_id', colocate_with => '{beside}')"
        );
        db.execute_unprepared(&create).await?;
        distributed.push(table);
    }
    Ok(distributed)
}

async fn yes(db: &DatabaseConnection, question: &str) -> Result<bool, DbErr> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, question)).await?;
    row.map_or(Ok(false), |row| row.try_get("", "yes"))
}
