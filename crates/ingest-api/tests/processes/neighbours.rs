//! One bad command, or a hotel that somebody keeps locked, does not fail those that share its transaction.

use crate::support::Service;
use plg_store::connect::begin_write;
use plg_testkit::app::{event, hotel};
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction};
use serde_json::{Value, json};
use std::fmt::Display;

#[rstest]
#[case::it_cannot_be_read("update hotel set time_zone = 'Mars/Olympus'", "internal")]
#[case::it_has_no_open_month("update usage_monthly set closed = true", "internal")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_somebody_has_damaged_fails_alone(
    #[case] damage: &str,
    #[case] code: &str,
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const HOTELS: u32 = 20;
    const DAMAGED: u32 = 13;

    let database = TestDatabase::new(backend).await;
    let service = Service::start(database.url(), &[("PLG__LOG__FILTER", "off")]);
    let damaged = hotel(u128::from(DAMAGED));
    assert_eq!(service.api.register(damaged, "suite", "UTC").await.status, 200);
    assert_eq!(service.api.import(damaged, "job").await.status, 201);
    let db = database.connect().await;
    assert_eq!(ledger::damage(&db, damage).await, 1);

    // The bad one comes twice, with good ones before, between and behind.
    let hotels: Vec<u32> = (0..HOTELS).chain(0..HOTELS).collect();
    let click = |number: &u32| event(hotel(u128::from(*number)), "upgrade_click", json!({}));
    let clicks: Vec<Value> = hotels.iter().map(click).collect();
    let answer = service.api.post("/v1/events", &Value::Array(clicks)).await;

    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results.len(), hotels.len());
    for (number, result) in hotels.into_iter().zip(results) {
        if number == DAMAGED {
            assert_eq!(result["problem"]["code"], code, "{result}");
        } else {
            assert_eq!(result["outcome"], "recorded", "{result}");
            assert_eq!(result["event"]["hotel_id"], hotel(u128::from(number)).to_string());
        }
    }
    ledger::assert_balanced(&db).await;
    let events = ledger::number(&db, "select count(*) as n from product_event").await;
    assert_eq!(events, i64::from(2 * (HOTELS - 1) + 1));
}

/// A transaction that keeps a hotel locked, as that of an application, or of somebody with psql.
pub(crate) async fn keep(db: &DatabaseConnection, hotel: impl Display) -> DatabaseTransaction {
    let other = begin_write(db).await.unwrap();
    let keep = format!(
        "set local idle_in_transaction_session_timeout = 0; \
         select 1 from usage_monthly where hotel_id = '{hotel}' for update"
    );
    other.execute_unprepared(&keep).await.unwrap();
    other
}

/// PostgreSQL only: on SQLite one transaction keeps everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_another_transaction_keeps_fails_alone() {
    const HOTELS: u128 = 20;
    const KEPT: u128 = 13;

    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let service =
        Service::start(database.url(), &[("PLG__LOG__FILTER", "off"), ("PLG__WRITER__LANES", "1")]);
    let click = |number| event(hotel(number), "upgrade_click", json!({}));
    let clicks: Vec<Value> = (0..HOTELS).map(click).collect();
    let send = async || {
        let answer = service.api.post("/v1/events", &json!(clicks)).await;
        answer.body["results"].as_array().unwrap().clone()
    };
    let failed = r#"plg_writer_batches_total{outcome="failed"} "#;
    let failures = async || {
        let metrics = service.metrics().await;
        metrics.lines().find_map(|line| line.strip_prefix(failed)).map(str::to_owned)
    };
    assert!(send().await.iter().all(|result| result["outcome"] == "recorded"));
    let db = database.connect().await;
    let other = keep(&db, hotel(KEPT)).await;

    // The first batch waits; the others know.
    for _ in 0..3 {
        for (number, result) in (0..).zip(send().await) {
            if number == KEPT {
                assert_eq!(result["problem"]["code"], "database_unavailable", "{result}");
            } else {
                assert_eq!(result["outcome"], "recorded", "{result}");
            }
        }
        assert_eq!(failures().await.as_deref(), Some("1"));
    }
    let alone = service.api.event(hotel(KEPT), "upgrade_click", json!({})).await;
    assert_eq!((alone.status, alone.code()), (503, "database_unavailable"));
    other.rollback().await.unwrap();
    assert!(send().await.iter().all(|result| result["outcome"] == "recorded"));
    assert_eq!(failures().await.as_deref(), Some("1"));
    ledger::assert_balanced(&db).await;
}

/// Who keeps it is asked on the connection that was lost: nobody else has to send anything for there to be another.
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_was_kept_when_the_database_was_lost_is_recorded_again() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let service =
        Service::start(database.url(), &[("PLG__LOG__FILTER", "off"), ("PLG__WRITER__LANES", "1")]);
    let click = async || service.api.event(hotel(1), "upgrade_click", json!({})).await;
    assert_eq!(click().await.outcome(), "recorded");
    let db = database.connect().await;
    let other = keep(&db, hotel(1)).await;
    assert_eq!(click().await.code(), "database_unavailable");
    other.rollback().await.unwrap();
    let others = "select pg_terminate_backend(pid) from pg_stat_activity \
                  where datname = current_database() and pid <> pg_backend_pid()";
    db.execute_unprepared(others).await.unwrap();

    // One that finds out, at the most.
    if click().await.outcome() != "recorded" {
        assert_eq!(click().await.outcome(), "recorded");
    }
    ledger::assert_balanced(&database.connect().await).await;
}
