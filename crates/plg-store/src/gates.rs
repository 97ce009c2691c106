//! Gates: what the dedup rules remember. A row says that an event has passed.
//!
//! Gates that close for ever are in `event_gate`; those that let events pass again are in
//! `event_window`, where the nightly pruning finds nothing that has to stay.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use chrono::{DateTime, Utc};
use plg_core::gate::{Gate, GateKey, GateKind, GateState};
use sea_orm::{ConnectionTrait, FromQueryResult};
use std::collections::HashMap;
use uuid::Uuid;

fn is_once(gate: &Gate) -> bool {
    gate.kind == GateKind::Once
}

/// Inserts the once-per-key gates that are absent, and says which those were.
pub(crate) async fn claim(
    db: &impl ConnectionTrait,
    gates: &[Gate],
    now: DateTime<Utc>,
) -> Result<Vec<GateKey>, StoreError> {
    if gates.is_empty() {
        return Ok(Vec::new());
    }
    let rows = gates.iter().map(|gate| (*gate, now)).collect::<Vec<_>>();
    let insert = insert_once(db, &rows).text(" returning gate_id");
    let inserted = db.query_all_raw(insert.statement()).await?;
    inserted.iter().map(|row| Ok(GateKey(row.try_get_by_index(0)?))).collect()
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
    let (once, windows): (Vec<&Gate>, Vec<&Gate>) = gates.iter().partition(|gate| is_once(gate));
    let mut selects = Vec::new();
    if !once.is_empty() {
        let select = "select g.gate_id, g.passed_at as last_at, cast(1 as bigint) as passed from ";
        selects.push(
            Sql::new(db, select)
                .rows(keys(once.iter().copied()))
                .text(" join event_gate g on g.gate_id = t.gate_id and g.hotel_id = t.hotel_id")
                .of_one_hotel("g.hotel_id", once.iter().map(|gate| gate.hotel_id)),
        );
    }
    if !windows.is_empty() {
        let select = "select g.gate_id, g.last_at, g.passed from ";
        selects.push(
            Sql::new(db, select)
                .rows(keys(windows.iter().copied()))
                .text(" join event_window g on g.gate_id = t.gate_id and g.hotel_id = t.hotel_id")
                .of_one_hotel("g.hotel_id", windows.iter().map(|gate| gate.hotel_id)),
        );
    }
    let mut states = HashMap::new();
    if let Some(select) = selects.into_iter().reduce(|all, one| all.text(" union all ").then(one)) {
        for row in Row::find_by_statement(select.statement()).all(db).await? {
            let state = GateState { last_at: row.last_at, passed: row.passed };
            states.insert(GateKey(row.gate_id), state);
        }
    }
    Ok(states)
}

/// The writes that set gates to a state.
pub(crate) fn put(db: &impl ConnectionTrait, gates: &[(Gate, GateState)]) -> Vec<Sql> {
    let (once, windows): (Vec<_>, Vec<_>) = gates.iter().copied().partition(|(g, _)| is_once(g));
    let mut writes = Vec::new();
    if !once.is_empty() {
        let rows = once.into_iter().map(|(gate, state)| (gate, state.last_at)).collect::<Vec<_>>();
        writes.push(insert_once(db, &rows));
    }
    if !windows.is_empty() {
        writes.push(upsert_windows(db, &windows));
    }
    writes
}

/// The write that removes once-per-key gates, claimed for events that were not recorded.
pub(crate) fn give_back(db: &impl ConnectionTrait, gates: &[Gate]) -> Sql {
    Sql::new(
        db,
        "delete from event_gate where (gate_id, hotel_id) in (select t.gate_id, t.hotel_id from ",
    )
    .rows(keys(gates.iter()))
    .text(")")
    .of_one_hotel("hotel_id", gates.iter().map(|gate| gate.hotel_id))
}

fn keys<'a>(gates: impl Iterator<Item = &'a Gate> + Clone) -> Rows {
    Rows::new()
        .uuid("gate_id", gates.clone().map(|gate| gate.key.0))
        .uuid("hotel_id", gates.map(|gate| gate.hotel_id.0))
}

fn insert_once(db: &impl ConnectionTrait, gates: &[(Gate, DateTime<Utc>)]) -> Sql {
    let rows = passed(gates);
    let columns = ["gate_id", "hotel_id", "passed_at"];
    let hotels = gates.iter().map(|(gate, _)| gate.hotel_id);
    Sql::insert_absent(db, "event_gate", &columns, rows, "gate_id", hotels)
}

/// The write that inserts once-per-key gates, [`passed`] ones. It fails if one is there.
pub(crate) fn insert_new(db: &impl ConnectionTrait, rows: Rows) -> Sql {
    let into = "event_gate (gate_id, hotel_id, passed_at)";
    Sql::insert_all(db, into, "t.gate_id, t.hotel_id, t.passed_at", rows)
}

/// Once-per-key gates, each with the time at which it was passed.
pub(crate) fn passed(gates: &[(Gate, DateTime<Utc>)]) -> Rows {
    keys(gates.iter().map(|(gate, _)| gate))
        .instant("passed_at", gates.iter().map(|(_, passed_at)| *passed_at))
}

fn upsert_windows(db: &impl ConnectionTrait, gates: &[(Gate, GateState)]) -> Sql {
    let rows = keys(gates.iter().map(|(gate, _)| gate))
        .instant("last_at", gates.iter().map(|(_, state)| state.last_at))
        .big_int("passed", gates.iter().map(|(_, state)| state.passed));
    let into = "event_window (gate_id, hotel_id, last_at, passed)";
    let values = "t.gate_id, t.hotel_id, t.last_at, t.passed";
    Sql::insert(db, into, values, rows).text(
        " on conflict (gate_id, hotel_id) \
         do update set last_at = excluded.last_at, passed = excluded.passed",
    )
}
