//! The first schema: hotels, events, counters, gates, seats, and the reconciliation's own tables.
//!
//! On PostgreSQL the log is partitioned by month, so that a month is dropped in constant time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        for table in tables(backend) {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if backend == DbBackend::Postgres {
            // Gates are appended in order of time: a few bytes a page find the old ones.
            let brin = "create index event_gate_passed on event_gate using brin (passed_at)";
            manager.get_connection().execute_unprepared(brin).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

const TABLES: [&str; 9] = [
    "hotel",
    "product_event",
    "usage_monthly",
    "event_gate",
    "event_window",
    "seat",
    "rollup_run",
    "usage_adjustment",
    "event_retention",
];

fn tables(backend: DbBackend) -> Vec<TableCreateStatement> {
    vec![
        hotel(backend),
        product_event(backend),
        usage_monthly(backend),
        event_gate(backend),
        event_window(backend),
        seat(backend),
        rollup_run(backend),
        usage_adjustment(backend),
        event_retention(backend),
    ]
}

/// Rows of SQLite tables live in their primary key's tree: one tree to write instead of two.
fn table(
    backend: DbBackend,
    name: &'static str,
    columns: impl IntoIterator<Item = ColumnDef>,
    key: &[&'static str],
) -> TableCreateStatement {
    let mut table = Table::create().table(name).to_owned();
    for column in columns {
        table.col(column);
    }
    let mut primary_key = Index::create();
    for column in key {
        primary_key.col(*column);
    }
    table.primary_key(&mut primary_key);
    if backend == DbBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    table
}

fn uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

fn integer(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).integer().not_null().take()
}

fn count(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().default(0).take()
}

fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().default(false).take()
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

fn instant(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).timestamp_with_time_zone().not_null().take()
}

fn optional(mut column: ColumnDef) -> ColumnDef {
    column.null().take()
}

/// Plan, zone and limit overrides. A hotel without a row has the default plan and UTC.
fn hotel(backend: DbBackend) -> TableCreateStatement {
    let columns = [
        uuid("hotel_id"),
        text("plan"),
        text("time_zone"),
        ColumnDef::new("limit_overrides").json_binary().not_null().take(),
        instant("created_at"),
        instant("updated_at"),
    ];
    table(backend, "hotel", columns, &["hotel_id"])
}

/// The log. Append-only; `seq` runs 1, 2, 3, … in each hotel-month.
fn product_event(backend: DbBackend) -> TableCreateStatement {
    let columns = [
        uuid("hotel_id"),
        integer("month"),
        ColumnDef::new("seq").big_integer().not_null().take(),
        text("event_type"),
        uuid("user_id"),
        optional(text("session_id")),
        optional(text("event_id")),
        optional(text("dedup_key")),
        ColumnDef::new("event_data").json_binary().null().take(),
        ColumnDef::new("day").date().not_null().take(),
        instant("recorded_at"),
    ];
    let mut table = table(backend, "product_event", columns, &["hotel_id", "month", "seq"]);
    if backend == DbBackend::Postgres {
        table.extra("PARTITION BY RANGE (month)");
    }
    table
}

/// A hotel-month: its counters, its lock, its last sequence number, and how far it is verified.
/// Exactly one month of a hotel is open (`not closed`): the one that is written to.
fn usage_monthly(backend: DbBackend) -> TableCreateStatement {
    let columns = [
        uuid("hotel_id"),
        integer("month"),
        flag("closed"),
        count("imports"),
        count("exports"),
        count("active_users"),
        count("opening_active_users"),
        count("last_seq"),
        optional(instant("last_recorded_at")),
        count("verified_imports"),
        count("verified_exports"),
        count("verified_active_users"),
        count("rolled_seq"),
        count("missing_events"),
        count("rollup_version"),
        optional(instant("last_rollup_at")),
    ];
    let mut table = table(backend, "usage_monthly", columns, &["hotel_id", "month"]);
    if backend == DbBackend::Postgres {
        // Counters change all the time and are in no index: leave room to update them in place.
        table.extra("WITH (fillfactor = 50)");
    }
    table
}

/// What the once-per-key rules remember: a row says that an event has passed, and none will again.
fn event_gate(backend: DbBackend) -> TableCreateStatement {
    let columns = [uuid("gate_id"), uuid("hotel_id"), instant("passed_at")];
    table(backend, "event_gate", columns, &["gate_id", "hotel_id"])
}

/// What the rules remember that let events pass again: session windows and daily caps. Apart from the
/// gates that stay, so that pruning reads only what it may remove.
fn event_window(backend: DbBackend) -> TableCreateStatement {
    let columns = [uuid("gate_id"), uuid("hotel_id"), instant("last_at"), count("passed")];
    table(backend, "event_window", columns, &["gate_id", "hotel_id"])
}

/// The seats that are held.
fn seat(backend: DbBackend) -> TableCreateStatement {
    let columns = [uuid("hotel_id"), uuid("seat_user_id"), uuid("added_by"), instant("added_at")];
    table(backend, "seat", columns, &["hotel_id", "seat_user_id"])
}

/// One row per run of the reconciliation, kept up to date while it works.
fn rollup_run(backend: DbBackend) -> TableCreateStatement {
    let columns = [
        uuid("run_id"),
        text("status"),
        flag("dry_run"),
        flag("full_recount"),
        instant("started_at"),
        optional(instant("finished_at")),
        count("hotels"),
        count("hotel_months"),
        count("events"),
        count("drifted"),
        count("corrected"),
        count("missing"),
        count("duration_ms"),
        optional(text("error")),
    ];
    table(backend, "rollup_run", columns, &["run_id"])
}

/// The audit of corrections. A seat correction of a month that has been closed is carried into the
/// months after it; `origin_month` says where it comes from.
fn usage_adjustment(backend: DbBackend) -> TableCreateStatement {
    let columns = [
        uuid("hotel_id"),
        integer("origin_month"),
        count("rollup_version"),
        text("counter"),
        integer("month"),
        uuid("run_id"),
        count("before"),
        count("expected"),
        count("after"),
        count("delta"),
        instant("adjusted_at"),
    ];
    let key = ["hotel_id", "origin_month", "rollup_version", "counter", "month"];
    table(backend, "usage_adjustment", columns, &key)
}

/// Events of months before `dropped_before` have been dropped. The newest row counts.
fn event_retention(backend: DbBackend) -> TableCreateStatement {
    let columns = [integer("dropped_before"), instant("dropped_at")];
    table(backend, "event_retention", columns, &["dropped_before"])
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        Index::create()
            .name("usage_monthly_open")
            .table("usage_monthly")
            .col("hotel_id")
            .unique()
            .cond_where(Expr::col("closed").not())
            .to_owned(),
        Index::create()
            .name("usage_adjustment_run")
            .table("usage_adjustment")
            .col("run_id")
            .to_owned(),
        Index::create().name("rollup_run_started").table("rollup_run").col("started_at").to_owned(),
    ]
}
