//! Gates: what the dedup rules remember. A row says that an event has passed.
//!
//! Gates that close for ever are in `event_gate`; those that let events pass again are in
//! `event_window`, where pruning (`rollup-worker retain`) finds nothing that has to stay.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::in_order::InOrder;
use chrono::{DateTime, Utc};
use plg_core::gate::{Gate, GateKey, GateKind, GateState};
use sea_orm::ConnectionTrait;
use std::collections::HashMap;

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
    let insert = insert_once(db, gates.iter().map(|gate| (gate, now)));
    let insert = insert.text(" returning gate_id");
    let inserted = db.query_all_raw(insert.statement()).await?;
    inserted.iter().map(|row| Ok(GateKey(row.try_get_by_index(0)?))).collect()
}

/// Reads the gates that exist.
pub(crate) async fn read(
    db: &impl ConnectionTrait,
    gates: &[Gate],
) -> Result<HashMap<GateKey, GateState>, StoreError> {
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
        for row in db.query_all_raw(select.statement()).await? {
            let mut row = InOrder::of(&row);
            let key = GateKey(row.take()?);
            states.insert(key, GateState { last_at: row.take()?, passed: row.take()? });
        }
    }
    Ok(states)
}

/// The writes that set gates to a state.
pub(crate) fn put(db: &impl ConnectionTrait, gates: &[(Gate, GateState)]) -> Vec<Sql> {
    let mut writes = Vec::new();
    if gates.iter().any(|(gate, _)| is_once(gate)) {
        writes.push(insert_once(db, once(gates)));
    }
    if !gates.iter().all(|(gate, _)| is_once(gate)) {
        writes.push(put_windows(db, windows(gates)));
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

/// Once-per-key gates of those, each with the time at which it was passed.
fn once(gates: &[(Gate, GateState)]) -> impl Iterator<Item = (&Gate, DateTime<Utc>)> + Clone {
    gates.iter().filter(|(gate, _)| is_once(gate)).map(|(gate, state)| (gate, state.last_at))
}

fn insert_once<'a>(
    db: &impl ConnectionTrait,
    gates: impl Iterator<Item = (&'a Gate, DateTime<Utc>)> + Clone,
) -> Sql {
    let hotels = gates.clone().map(|(gate, _)| gate.hotel_id);
    let columns = ["gate_id", "hotel_id", "passed_at"];
    Sql::insert_absent(db, "event_gate", &columns, rows_of_once(gates), "gate_id", hotels)
}

fn rows_of_once<'a>(gates: impl Iterator<Item = (&'a Gate, DateTime<Utc>)> + Clone) -> Rows {
    keys(gates.clone().map(|(gate, _)| gate))
        .instant("passed_at", gates.map(|(_, passed_at)| passed_at))
}

/// What [`insert_new`] inserts of those: once-per-key gates.
pub(crate) fn new(gates: &[(Gate, GateState)]) -> Rows {
    rows_of_once(once(gates))
}

/// The write that inserts [`new`] gates. It fails if one is there.
pub(crate) fn insert_new(db: &impl ConnectionTrait, rows: Rows) -> Sql {
    let into = "event_gate (gate_id, hotel_id, passed_at)";
    Sql::insert_all(db, into, "t.gate_id, t.hotel_id, t.passed_at", rows)
}

/// What [`put_windows`] writes of gates: those that let events pass again.
pub(crate) fn windows(gates: &[(Gate, GateState)]) -> Rows {
    let windows = gates.iter().filter(|(gate, _)| !is_once(gate));
    keys(windows.clone().map(|(gate, _)| gate))
        .instant("last_at", windows.clone().map(|(_, state)| state.last_at))
        .big_int("passed", windows.map(|(_, state)| state.passed))
}

/// The write that sets [`windows`] to a state.
pub(crate) fn put_windows(db: &impl ConnectionTrait, rows: Rows) -> Sql {
    let into = "event_window (gate_id, hotel_id, last_at, passed)";
    let values = "t.gate_id, t.hotel_id, t.last_at, t.passed";
    let insert = Sql::insert(db, into, values, rows);
    insert.text(
        " on conflict (gate_id, hotel_id) \
         do update set last_at = excluded.last_at, passed = excluded.passed",
    )
}
