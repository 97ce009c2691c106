//! `kill -9`, of the service and of its database, under load: what was acknowledged is there, once.

use crate::load::{ALL_JOBS, Load, Retry, register_hotels};
use crate::support::{PrivatePostgres, Service};
use plg_testkit::{Backend, TestDatabase};
use rstest::rstest;
use tokio::sync::watch;

/// Imports that are acknowledged between one kill and the next.
const JOBS_BETWEEN_KILLS: usize = ALL_JOBS / 7;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn killed_services_lose_nothing_and_count_nothing_twice(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const KILLS: usize = 5;

    let database = TestDatabase::new(backend).await;
    let mut service = Service::start(database.url(), &[]);
    register_hotels(&service.api).await;
    let (successor, clients_service) = watch::channel(service.api.clone());
    let load = Load::new(clients_service, Retry::UntilAcknowledged);
    let mut acknowledged = load.progress();
    let load = tokio::spawn(load.run());

    for kill in 1..=KILLS {
        acknowledged.wait_for(|count| *count >= kill * JOBS_BETWEEN_KILLS).await.unwrap();
        service.kill();
        service = Service::start(database.url(), &[]);
        successor.send(service.api.clone()).unwrap();
    }
    drop(successor);

    let told = load.await.unwrap();
    assert!(told.failures >= KILLS, "the kills did not meet the load");
    assert_eq!(told.acknowledged.len(), ALL_JOBS);
    told.assert_true(&database.connect().await).await;
}

/// PostgreSQL only: SQLite dies with the service.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_loses_nothing_and_the_service_recovers_by_itself(
    #[values(Retry::UntilAcknowledged, Retry::Never)] retry: Retry,
) {
    const KILLS: usize = 3;

    let mut postgres = PrivatePostgres::start().await;
    // Several transactions at a time, so that each finds others around its death.
    let service = Service::start(&postgres.url(), &[("PLG__WRITER__LANES", "4")]);
    register_hotels(&service.api).await;
    let (_still_there, clients_service) = watch::channel(service.api.clone());
    let load = Load::new(clients_service, retry);
    let mut acknowledged = load.progress();
    let load = tokio::spawn(load.run());

    for kill in 1..=KILLS {
        acknowledged.wait_for(|count| *count >= kill * JOBS_BETWEEN_KILLS).await.unwrap();
        postgres.kill();
        postgres.restart();
    }

    let told = load.await.unwrap();
    assert!(service.lost_batches().await >= KILLS, "the kills did not meet the load");
    if retry == Retry::UntilAcknowledged {
        assert_eq!(told.acknowledged.len(), ALL_JOBS);
    }
    let db = migrations::connect(&postgres.url()).await.unwrap();
    told.assert_true(&db).await;
}
