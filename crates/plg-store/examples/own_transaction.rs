//! An application commits its own action, the event and the counter together, or none of them.
//!
//! Run it with `cargo run -p plg-store --example own_transaction`. It makes a SQLite database in a
//! folder for temporary files; with a `postgres://…` URL it would be the same program.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use plg_core::catalogue::EventType;
use plg_core::decide::{Answer, Outcome};
use plg_core::event::{Command, NewEvent};
use plg_core::ids::{DedupKey, HotelId, UserId};
use plg_core::plan::Plans;
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};
use std::error::Error;

/// What the hotel has bought: two imports a month.
const PLANS: &str = r#"{
    "default": "tiny",
    "tiny": {"imports": 2, "exports": null, "active_users": null}
}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("own-transaction-{}", Uuid::now_v7()));
    let url = format!("sqlite://{}?mode=rwc", folder.join("app.db").display());
    let result = run(&url).await;
    std::fs::remove_dir_all(folder)?;
    result
}

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    // Once, at deployment: the tables of this crate beside the application's own.
    let migrator = migrations::connect(url).await?;
    migrations::up(&migrator).await?;
    migrator.execute_unprepared("create table import_job (job_id text, rows bigint)").await?;
    migrator.close().await?;

    let db = plg_store::connect::pool(&url.parse()?, 4).await?;
    let plans: Plans = serde_json::from_str(PLANS)?;
    let hotel = HotelId(Uuid::now_v7());

    finish_import(&db, &plans, hotel, "job-1").await?;
    finish_import(&db, &plans, hotel, "job-1").await?; // a retry counts nothing
    finish_import(&db, &plans, hotel, "job-with-bad-rows").await?; // nor does one that fails
    finish_import(&db, &plans, hotel, "job-2").await?;
    finish_import(&db, &plans, hotel, "job-3").await?; // the quota is used up

    let (_, month) = plg_store::usage::current_of(&db, hotel).await?;
    println!("imports used: {}", month.map_or(0, |month| month.counters.imports));
    db.close().await?;
    Ok(())
}

/// The application's action: stores what it has imported, if the quota has room for it.
async fn finish_import(
    db: &DatabaseConnection,
    plans: &Plans,
    hotel: HotelId,
    job: &str,
) -> Result<(), Box<dyn Error>> {
    let txn = plg_store::connect::begin_write(db).await?;
    let answer = record_import(&txn, plans, hotel, job).await?;
    match answer.outcome {
        Outcome::Recorded => {
            if let Err(error) = store_rows(&txn, job).await {
                // Nothing was counted: the event goes with the rows.
                txn.rollback().await?;
                println!("{job}: rolled back, {error}");
                return Ok(());
            }
            txn.commit().await?;
            let left = answer.quota.and_then(|quota| quota.quota.remaining());
            println!("{job}: stored and counted, {} left", left.unwrap_or(i64::MAX));
        }
        outcome => {
            // Committed too: a refused export or seat has logged that it was.
            txn.commit().await?;
            println!("{job}: {outcome:?}, nothing stored");
        }
    }
    Ok(())
}

async fn record_import(
    txn: &DatabaseTransaction,
    plans: &Plans,
    hotel_id: HotelId,
    job: &str,
) -> Result<Answer, Box<dyn Error>> {
    let command = Command::try_from(NewEvent {
        event_type: EventType::ImportSuccess,
        hotel_id,
        user_id: UserId(Uuid::now_v7()),
        session_id: None,
        event_id: None,
        dedup_key: Some(DedupKey::parse(job)?),
        event_data: None,
    })?;
    let answers = plg_store::record(txn, plans, chrono::Utc::now(), &[command]).await?;
    Ok(answers.into_iter().next().ok_or("one answer for one command")?)
}

/// Whatever the application writes in the same transaction.
async fn store_rows(txn: &DatabaseTransaction, job: &str) -> Result<(), Box<dyn Error>> {
    let insert = format!("insert into import_job (job_id, rows) values ('{job}', 42)");
    txn.execute_unprepared(&insert).await?;
    if job.contains("bad-rows") {
        return Err("its rows cannot be read".into());
    }
    Ok(())
}
