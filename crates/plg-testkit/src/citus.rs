//! The suite on a PostgreSQL that is distributed by hotel: `PLG_TEST_CITUS=1 cargo test`, where Citus is
//! installed beside PostgreSQL.
//!
//! One node does for all shards. What Citus refuses it refuses there, too.

use crate::Backend;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use plg_core::decide::Answer;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::Plans;
use plg_store::commit::CommitError;
use plg_store::record_batch;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use std::collections::BTreeMap;

/// Whether PostgreSQL stands for Citus.
pub fn is_wanted() -> bool {
    std::env::var_os("PLG_TEST_CITUS").is_some()
}

/// The server's settings. Each database has a process of Citus' own.
pub(crate) const SETTINGS: [&str; 5] = [
    "shared_preload_libraries=citus",
    "citus.shard_count=4",
    "citus.node_conninfo=sslmode=disable",
    "ssl=off",
    "max_worker_processes=200",
];

/// Makes a database one that can be distributed.
pub(crate) async fn install(db: &DatabaseConnection, port: u16) {
    db.execute_unprepared("create extension citus").await.expect("Citus is not installed");
    for place in [
        format!("select citus_set_coordinator_host('127.0.0.1', {port})"),
        format!("select citus_set_node_property('127.0.0.1', {port}, 'shouldhaveshards', true)"),
    ] {
        db.execute_unprepared(&place).await.expect("a node that holds shards");
    }
}

/// Records a batch as the service does on this database: in one transaction, or in one for each hotel.
/// The answers are in the batch's order.
///
/// # Errors
/// As [`record_batch`].
pub async fn record(
    db: &DatabaseConnection,
    plans: &Plans,
    now: DateTime<Utc>,
    commands: &[Command],
) -> Result<Vec<Answer>, CommitError> {
    if is_wanted() && Backend::of(db) == Backend::Postgres {
        record_by_hotel(db, plans, now, commands).await
    } else {
        record_batch(db, plans, || now, commands).await
    }
}

/// Records a batch in one transaction for each hotel, many at once.
///
/// # Errors
/// The first one's.
pub async fn record_by_hotel(
    db: &DatabaseConnection,
    plans: &Plans,
    now: DateTime<Utc>,
    commands: &[Command],
) -> Result<Vec<Answer>, CommitError> {
    let mut by_hotel: BTreeMap<HotelId, Vec<(usize, Command)>> = BTreeMap::new();
    for (place, command) in commands.iter().enumerate() {
        by_hotel.entry(command.hotel_id()).or_default().push((place, command.clone()));
    }
    let transactions = by_hotel.into_values().map(async |part| {
        let (places, commands): (Vec<usize>, Vec<Command>) = part.into_iter().unzip();
        let answers = record_batch(db, plans, || now, &commands).await?;
        Ok::<_, CommitError>(places.into_iter().zip(answers))
    });
    let mut answers = BTreeMap::new();
    for of_hotel in join_all(transactions).await {
        answers.extend(of_hotel?);
    }
    Ok(answers.into_values().collect())
}
