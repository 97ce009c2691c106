//! Without its database the service says so, in time, and recovers by itself.

use crate::load::{ALL_JOBS, Load, Retry, register_hotels};
use crate::proxy::{Loss, Proxy};
use crate::support::{ANSWER_DEADLINE, PrivatePostgres, Service};
use futures_util::future::join_all;
use plg_store::connect::begin_write;
use plg_testkit::app::{Api, USER, event, hotel};
use plg_testkit::{Backend, TestDatabase};
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::watch;

/// Requests of every kind that records something through a lane.
fn recordings(api: &Api) -> Vec<RequestBuilder> {
    let hotel = hotel(1);
    let click = event(hotel, "upgrade_click", json!({}));
    let post = |path: &str, body: &Value| api.request(Method::POST, path).json(body);
    let import = json!({ "job_id": "refused", "user_id": USER });
    vec![
        post(&format!("/v1/hotels/{hotel}/imports"), &import),
        post("/v1/events", &click),
        post("/v1/events", &json!([click, click])),
        api.request(Method::DELETE, &format!("/v1/hotels/{hotel}/seats/{USER}?user_id={USER}")),
    ]
}

/// Requests of every kind that reads.
fn readings(api: &Api) -> Vec<RequestBuilder> {
    let hotel = hotel(1);
    let paths = [
        format!("/v1/hotels/{hotel}"),
        format!("/v1/hotels/{hotel}/usage"),
        format!("/v1/hotels/{hotel}/usage/history"),
        format!("/v1/hotels/{hotel}/quotas/imports"),
        format!("/v1/hotels/{hotel}/events"),
        format!("/v1/hotels/{hotel}/seats"),
        "/v1/rollups".to_owned(),
        "/readyz".to_owned(),
    ];
    paths.iter().map(|path| api.request(Method::GET, path)).collect()
}

/// The one request that writes beside the lanes.
fn registration(api: &Api) -> RequestBuilder {
    let body = json!({ "plan": "suite", "time_zone": "UTC" });
    api.request(Method::PUT, &format!("/v1/hotels/{}", hotel(1))).json(&body)
}

/// Sends; the answer has to come in time, and to be a problem that says when to come back.
async fn assert_refused_in_time(request: RequestBuilder) {
    let request = request.build().unwrap();
    let what = format!("{} {}", request.method(), request.url().path());
    let client =
        reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build().unwrap();
    let answer = tokio::time::timeout(ANSWER_DEADLINE, client.execute(request)).await;
    let answer = answer.unwrap_or_else(|_| panic!("{what}: no answer in time")).unwrap();
    assert_eq!(answer.status(), 503, "{what}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{what}");
    let retry_after = answer.headers()["retry-after"].to_str().unwrap().to_owned();
    assert!(retry_after.parse::<u32>().unwrap() > 0, "{what}");
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let code = problem["code"].as_str().unwrap();
    // A registration, and what a lane sends to a database of which it does not know yet that it is away, may have been
    // committed.
    let is_known = code != "outcome_unknown";
    assert!(is_known || ["PUT", "POST"].iter().any(|m| what.starts_with(m)), "{what}: {problem}");
    assert!(
        ["database_unavailable", "outcome_unknown", "overloaded"].contains(&code),
        "{what}: {problem}"
    );
}

async fn assert_answered_in_time(request: RequestBuilder) {
    let answer = tokio::time::timeout(ANSWER_DEADLINE, Api::send(request)).await;
    let answer = answer.expect("an answer in time");
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Sends everything again and again, so that some of it arrives while the service is still busy
/// finding out that its database is away.
async fn assert_all_refused_in_time(requests: impl Fn() -> Vec<RequestBuilder>) {
    const WAVES: u32 = 4;
    const BETWEEN_WAVES: Duration = Duration::from_millis(500);

    let wave = |number: u32| {
        let requests = requests();
        async move {
            tokio::time::sleep(BETWEEN_WAVES * number).await;
            join_all(requests.into_iter().map(assert_refused_in_time)).await;
        }
    };
    join_all((0..WAVES).map(wave)).await;
}

/// Asks until the service answers as it did before, which it does without any help.
async fn assert_recovers(api: &Api) {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(100);

    for attempt in 1..=ATTEMPTS {
        let job = format!("after the outage {attempt}");
        let imported = api.import(hotel(1), &job).await.status == 201;
        if imported && api.get("/readyz").await.status == 200 {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("it does not recover");
}

/// A service that works on a database of its own.
async fn working_service(postgres: &PrivatePostgres) -> Service {
    let service = Service::start(&postgres.url(), &[]);
    assert_eq!(service.api.register(hotel(1), "suite", "UTC").await.status, 200);
    assert_eq!(service.api.import(hotel(1), "before the outage").await.status, 201);
    service
}

fn everything(api: &Api) -> Vec<RequestBuilder> {
    let mut all = recordings(api);
    all.extend(readings(api));
    all.push(registration(api));
    all
}

/// PostgreSQL only: SQLite cannot be away.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_database_is_reported_in_time() {
    let mut postgres = PrivatePostgres::start().await;
    let service = working_service(&postgres).await;

    postgres.kill();
    assert_all_refused_in_time(|| everything(&service.api)).await;
    assert_answered_in_time(service.api.request(Method::GET, "/livez")).await;

    postgres.restart();
    assert_recovers(&service.api).await;
}

/// PostgreSQL only: SQLite has no process of its own to hang.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_is_reported_in_time() {
    let mut postgres = PrivatePostgres::start().await;
    let service = working_service(&postgres).await;

    postgres.freeze();
    assert_all_refused_in_time(|| everything(&service.api)).await;
    assert_answered_in_time(service.api.request(Method::GET, "/livez")).await;

    postgres.thaw();
    assert_recovers(&service.api).await;
}

/// Wherever the hang meets a transaction, "nothing was recorded" has to be true; and wherever it
/// meets a read, there is an answer in time.
///
/// PostgreSQL only: SQLite has no process of its own to hang.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_under_load_makes_no_answer_wrong() {
    const READERS: usize = 8;

    let mut postgres = PrivatePostgres::start().await;
    let service = Service::start(&postgres.url(), &[("PLG__WRITER__LANES", "4")]);
    register_hotels(&service.api).await;
    let (_still_there, clients_service) = watch::channel(service.api.clone());
    let load = Load::new(clients_service, Retry::Never);
    let mut acknowledged = load.progress();
    let load = tokio::spawn(load.run());

    let hang = async {
        acknowledged.wait_for(|count| *count >= ALL_JOBS / 4).await.unwrap();
        postgres.freeze();
        // Longer than any answer may take.
        tokio::time::sleep(ANSWER_DEADLINE).await;
        postgres.thaw();
        load.await.unwrap()
    };
    let told = tokio::select! {
        told = hang => told,
        _ = join_all((0..READERS).map(|_| read_for_ever(&service.api))) => unreachable!(),
    };
    assert!(told.failures > 0, "the hang did not meet the load");
    let db = migrations::connect(&postgres.url()).await.unwrap();
    told.assert_true(&db).await;
}

/// The connection passed its test just before.
///
/// PostgreSQL only: SQLite has no connection to lose.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_nobody_answers_is_reported_in_time() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let service = Service::start(&proxy.url(), &[]);
    let usage = || service.api.request(Method::GET, &format!("/v1/hotels/{}/usage", hotel(1)));

    proxy.lose("left join usage_monthly", &[Loss::Silence]);
    assert_refused_in_time(usage()).await;
    assert_answered_in_time(usage()).await;
}

async fn read_for_ever(api: &Api) {
    loop {
        let usage = format!("/v1/hotels/{}/usage", hotel(1));
        let read = tokio::time::timeout(ANSWER_DEADLINE, api.get(&usage)).await;
        let status = read.expect("an answer in time").status;
        assert!([200, 503].contains(&status), "{status}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_locked_by_another_process_is_reported_in_time(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let service = Service::start(database.url(), &[]);
    assert_eq!(service.api.register(hotel(1), "suite", "UTC").await.status, 200);
    assert_eq!(service.api.import(hotel(1), "before the lock").await.status, 201);
    let db = database.connect().await;

    let other = begin_write(&db).await.unwrap();
    lock_everything(&other).await;
    let refused = || recordings(&service.api);
    let reads = async {
        for read in readings(&service.api) {
            assert_answered_in_time(read).await;
        }
    };
    tokio::join!(assert_all_refused_in_time(refused), reads);

    other.rollback().await.unwrap();
    assert_recovers(&service.api).await;
}

/// SQLite's write lock is held by any transaction that writes.
async fn lock_everything(txn: &sea_orm::DatabaseTransaction) {
    use sea_orm::ConnectionTrait as _;
    if txn.get_database_backend() == sea_orm::DbBackend::Postgres {
        txn.execute_unprepared("set local idle_in_transaction_session_timeout = 0").await.unwrap();
    }
    txn.execute_unprepared("update usage_monthly set imports = imports").await.unwrap();
}
