//! `ingest-api copy-from`: whoever moves from the embedded database to PostgreSQL is answered there as before.

use crate::support::{HOTEL, OTHER_HOTEL, Service, assert_created, seat};
use plg_store::transfer;
use plg_testkit::app::{Answer, Api, TestApp, USER, event};
use plg_testkit::{Backend, TestClock, TestDatabase, ledger};
use reqwest::Method;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use uuid::Uuid;

const LATER: &str = "2026-12-15T12:00:00Z";

struct Finished {
    succeeded: bool,
    said: String,
}

fn ingest_api(database: &TestDatabase, arguments: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest-api"));
    let output =
        command.args(arguments).env("DATABASE_URL", database.url()).output().expect("runs");
    let said = [output.stdout, output.stderr].concat();
    Finished {
        succeeded: output.status.success(),
        said: String::from_utf8(said).expect("text").trim().to_owned(),
    }
}

fn file_of(database: &TestDatabase) -> String {
    let url: plg_store::DatabaseUrl = database.url().parse().expect("a URL");
    url.file().expect("a file").display().to_string()
}

/// An import with all that an event may have.
async fn keyed_import(api: &Api) -> Answer {
    let request = api.request(Method::POST, &format!("/v1/hotels/{HOTEL}/imports"));
    let body = json!({
        "job_id": "0c6ff4a0-0000-7000-8000-000000000001", "user_id": USER, "session_id": "tab",
        "event_data": { "größe": 1e2, "names": ["a", null, "🛎"], "deep": { "er": [1.5, true] } },
    });
    Api::send(request.header("Idempotency-Key", "key-1").json(&body)).await
}

/// Something of everything, in two months.
async fn spend_two_months(t: &Service, clock: &TestClock) {
    let hotel = format!("/v1/hotels/{HOTEL}");
    let mut profile = json!({
        "plan": "deluxe", "time_zone": "Pacific/Auckland", "limits": { "exports": 7, "imports": null }
    });
    assert_eq!(t.put(&hotel, &profile).await.status, 200);
    assert_created(&keyed_import(t).await);
    assert_created(&t.export(HOTEL, "export-1").await);
    assert_created(&t.add_seat(HOTEL, seat(1)).await);
    assert_created(&t.add_seat(HOTEL, seat(2)).await);
    assert_created(&t.import(OTHER_HOTEL, "job-1").await);
    clock.set_to(LATER);
    let view = json!({ "session_id": "tab" });
    assert_eq!(t.event(HOTEL, "paywall_view", view).await.outcome(), "recorded");
    assert_created(&t.export(HOTEL, "export-2").await);
    assert_eq!(t.remove_seat(HOTEL, seat(2)).await.status, 200);
    // The month before keeps the limit that it had.
    profile["limits"]["exports"] = json!(9);
    assert_eq!(t.put(&hotel, &profile).await.status, 200);
    let books = t.books().await;
    let run = ledger::uuid(&books, Uuid::from_u128(5));
    let hotel = ledger::uuid(&books, HOTEL);
    let at = "2026-12-01T02:00:00+00:00";
    for row in [
        format!(
            "rollup_run (run_id, status, started_at, finished_at, full_recount, duration_ms, events) \
             values ({run}, 'done', '{at}', '{at}', true, 1500, 1000)"
        ),
        format!(
            "usage_adjustment (run_id, hotel_id, month, origin_month, counter, before, expected, delta, after, \
             adjusted_at) values ({run}, {hotel}, 202611, 202611, 'exports', 1, 2, -1, 1, '{at}')"
        ),
        format!("event_retention (dropped_before, dropped_at) values (202510, '{at}')"),
    ] {
        ledger::damage(&books, &format!("insert into {row}")).await;
    }
}

/// What is told of all that.
async fn told(api: &Api) -> Vec<Value> {
    let mut told = Vec::new();
    for hotel in [HOTEL, OTHER_HOTEL] {
        for path in ["", "/usage", "/usage/history", "/quotas/active_users", "/events", "/seats"] {
            told.push(api.get(&format!("/v1/hotels/{hotel}{path}")).await.body);
        }
    }
    told.push(api.get("/v1/rollups").await.body);
    told.push(api.get(&format!("/v1/rollups/{}", Uuid::from_u128(5))).await.body);
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_and_counted_as_before() {
    let source = Service::start(Backend::Sqlite).await;
    spend_two_months(&source, &source.clock).await;
    let created = ingest_api(
        &source.database,
        &["keys", "create", "--name", "app", "--scope", "usage:read,admin"],
    );
    let key = created.said.lines().find(|line| line.starts_with("plg_")).expect("a key").to_owned();
    let before = told(&source).await;
    assert!(before.iter().all(|body| body.get("code").is_none()), "{before:?}");

    let target = TestDatabase::on_one_machine(Backend::Postgres).await;
    let file = file_of(&source.database);
    let copied = ingest_api(&target, &["copy-from", &file]);
    assert!(copied.succeeded, "{}", copied.said);
    assert!(copied.said.contains("product_event"), "{}", copied.said);

    let clock = TestClock::at(LATER);
    let app = TestApp::start_with(&target.settings(), &clock).await;
    for (before, after) in before.iter().zip(told(&app.api.with(Some(&key))).await) {
        assert_eq!(*before, after);
    }
    // What was sent before is known, windows included.
    let replay = keyed_import(&app.api).await;
    assert_eq!((replay.status, replay.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(app.api.export(HOTEL, "export-1").await.outcome(), "duplicate");
    assert_eq!(app.api.add_seat(HOTEL, seat(1)).await.outcome(), "duplicate");
    assert_eq!(app.api.import(OTHER_HOTEL, "job-1").await.outcome(), "duplicate");
    let view = json!({ "session_id": "tab" });
    assert_eq!(app.api.event(HOTEL, "paywall_view", view).await.outcome(), "suppressed_session");
    assert_created(&app.api.export(HOTEL, "export-3").await);
    let db = target.connect().await;
    ledger::assert_balanced(&db).await;
    assert_eq!(
        ledger::number(&db, "select cast(dropped_before as bigint) as n from event_retention")
            .await,
        202_510
    );

    // Only once, and into nothing that is there.
    let again = ingest_api(&target, &["copy-from", &file]);
    assert!(
        !again.succeeded && again.said.contains("has rows: an empty database"),
        "{}",
        again.said
    );
    assert!(!again.said.contains("copied"), "{}", again.said);
    ledger::assert_balanced(&db).await;
}

/// A table that comes later is copied, too.
#[tokio::test(flavor = "multi_thread")]
async fn no_table_is_left_out() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let db = database.connect().await;
    let tables = "select cast(relname as text) as name from pg_class where relkind in ('r', 'p') \
                  and not relispartition and relnamespace = cast('public' as regnamespace)";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), tables)).await;
    let names = rows.expect("rows").into_iter().map(|row| row.try_get::<String>("", "name"));
    let mut names = names.collect::<Result<BTreeSet<_>, _>>().expect("names");
    assert!(names.remove("seaql_migrations"));
    assert_eq!(names, transfer::TABLES.map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_said_and_nothing_is() {
    let source = Service::start(Backend::Sqlite).await;
    assert_created(&source.import(HOTEL, "job-1").await);
    let file = file_of(&source.database);
    let fails = |target: &TestDatabase, file: &str, what: &str| {
        let finished = ingest_api(target, &["copy-from", file]);
        assert!(!finished.succeeded && finished.said.contains(what), "{}", finished.said);
    };
    fails(&source.database, &file, "that is to be a SQLite file, and PostgreSQL");
    let target = TestDatabase::on_one_machine(Backend::Postgres).await;
    fails(&target, "nowhere.db", "there is no file nowhere.db");
    assert!(!Path::new("nowhere.db").exists());
    fails(&TestDatabase::empty(Backend::Postgres).await, &file, "run `migrate up` on it");
    let old = TestDatabase::empty(Backend::Sqlite).await;
    old.connect().await.execute_unprepared("create table t (a integer)").await.expect("a file");
    fails(&target, &file_of(&old), "run `migrate up` on it");
    // What PostgreSQL refuses undoes all of it.
    let books = source.books().await;
    ledger::damage(&books, "update product_event set event_data = '{'").await;
    fails(&target, &file, "json");
    let db = target.connect().await;
    for table in transfer::TABLES {
        assert_eq!(
            ledger::number(&db, &format!("select count(*) as n from {table}")).await,
            0,
            "{table}"
        );
    }
    let click = event(HOTEL, "upgrade_click", json!({}));
    assert_eq!(source.post("/v1/events", &click).await.status, 200, "the file is let go");
}
