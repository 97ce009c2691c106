//! Gates: what the dedup rules remember. A row says that an event has passed.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use chrono::{DateTime, Utc};
use plg_core::gate::{Gate, GateKey, GateState};
use sea_orm::{ConnectionTrait, FromQueryResult};
use std::collections::HashMap;
use uuid::Uuid;

/// Inserts the gates that are absent, and says which those were.
pub(crate) async fn claim(
    db: &impl ConnectionTrait,
    gates: &[Gate],
    now: DateTime<Utc>,
) -> Result<Vec<GateKey>, StoreError> {
    if gates.is_empty() {
        return Ok(Vec::new());
    }
    let rows = gates.iter().map(|gate| (*gate, GateState { last_at: now, passed: 1 }));
    let insert = insert(db, &rows.collect::<Vec<_>>())
        .text(" on conflict (gate_id, hotel_id) do nothing returning gate_id");
    let inserted = db.query_all_raw(insert.statement()).await?;
    inserted.iter().map(|row| Ok(GateKey(row.try_get("", "gate_id")?))).collect()
}

/// Reads the gates that exist.
pub(crate) async fn read(
    db: &impl ConnectionTrait,
    gates: &[Gate],
) -> Result<HashMap<GateKey, GateState>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        gate_id: Uuid,
        last_at: DateTime<Utc>,
        passed: i64,
    }

    if gates.is_empty() {
        return Ok(HashMap::new());
    }
    let select = Sql::new(db, "select g.gate_id, g.last_at, g.passed from ")
        .rows(keys(gates.iter()))
        .text(" join event_gate g on g.gate_id = t.gate_id and g.hotel_id = t.hotel_id");
    let rows = Row::find_by_statement(select.statement()).all(db).await?;
    let state =
        |row: Row| (GateKey(row.gate_id), GateState { last_at: row.last_at, passed: row.passed });
    Ok(rows.into_iter().map(state).collect())
}

/// The write that sets gates to a state.
pub(crate) fn put(db: &impl ConnectionTrait, gates: &[(Gate, GateState)]) -> Sql {
    insert(db, gates).text(
        " on conflict (gate_id, hotel_id) \
         do update set last_at = excluded.last_at, passed = excluded.passed",
    )
}

/// The write that removes gates.
pub(crate) fn give_back(db: &impl ConnectionTrait, gates: &[Gate]) -> Sql {
    Sql::new(
        db,
        "delete from event_gate where (gate_id, hotel_id) in (select t.gate_id, t.hotel_id from ",
    )
    .rows(keys(gates.iter()))
    .text(")")
}

fn keys<'a>(gates: impl Iterator<Item = &'a Gate> + Clone) -> Rows {
    Rows::new()
        .uuid("gate_id", gates.clone().map(|gate| gate.key.0))
        .uuid("hotel_id", gates.map(|gate| gate.hotel_id.0))
}

fn insert(db: &impl ConnectionTrait, gates: &[(Gate, GateState)]) -> Sql {
    let rows = keys(gates.iter().map(|(gate, _)| gate))
        .text("kind", gates.iter().map(|(gate, _)| gate.kind.name().to_owned()))
        .instant("last_at", gates.iter().map(|(_, state)| state.last_at))
        .big_int("passed", gates.iter().map(|(_, state)| state.passed));
    Sql::new(
        db,
        "insert into event_gate (gate_id, hotel_id, kind, last_at, passed) \
         select t.gate_id, t.hotel_id, t.kind, t.last_at, t.passed from ",
    )
    .rows(rows)
    // SQLite would read ON of ON CONFLICT as a join without it.
    .text(" where true")
}
