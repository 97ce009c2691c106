//! Service keys over their lives, through the command and the service.

use super::{assert_refused, store_key};
use crate::support::{HOTEL, NOON, Service, assert_problem, until};
use plg_core::access::Scope;
use plg_store::api_keys;
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use std::process::{Command, Output};

fn keys(database: &TestDatabase, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ingest-api"))
        .arg("keys")
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .output()
        .expect("runs")
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_used_seen_and_revoked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start_with(backend, NOON, |settings| {
        settings.access.refresh_seconds = 1;
    })
    .await;
    let hotel = HOTEL.to_string();
    let create = [
        "create",
        "--name",
        "app backend",
        "--scope",
        "usage:read,actions:write",
        "--hotel",
        &hotel,
    ];
    let key = out(&keys(&t.database, &create));
    let id =
        key.split('_').nth(1).expect("an id").parse::<uuid::Uuid>().expect("a UUID").to_string();

    // At once, though the service has never heard of it.
    let api = t.with(Some(&key));
    assert_eq!(api.import(HOTEL, "job").await.status, 201);
    let secret = key.rsplit_once('_').expect("a secret").1;
    let guessed = key.replace(secret, &"A".repeat(43));
    assert_refused(&t.with(Some(&guessed)).import(HOTEL, "job").await, 401);

    let listed = out(&keys(&t.database, &["list"]));
    assert!(listed.contains(&id) && listed.contains("app backend"), "{listed}");
    assert!(listed.contains("actions:write,usage:read") && listed.contains(&hotel), "{listed}");
    assert!(!listed.contains(secret), "it is shown once");
    let used = async || out(&keys(&t.database, &["list"])).contains("2026-11-15T12:00:00Z");
    until(used).await;

    assert_eq!(out(&keys(&t.database, &["revoke", &id])), format!("revoked {id}"));
    until(async || api.import(HOTEL, "job").await.status == 401).await;
    assert!(out(&keys(&t.database, &["list"])).contains("revoked"));
    let again = keys(&t.database, &["revoke", &id]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("no valid key"), "{again:?}");
}

/// Such as one of a newer program.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_read_keeps_out_no_others(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let (odd_id, odd) = store_key(&t, &Scope::ALL, None).await;
    let books = t.books().await;
    let id = ledger::uuid(&books, odd_id);
    let update = format!("update api_key set scopes = '[\"teleport\"]' where key_id = {id}");
    assert_eq!(ledger::damage(&books, &update).await, 1);
    let (_, other) = store_key(&t, &Scope::ALL, None).await;
    assert_eq!(t.with(Some(&other)).import(HOTEL, "job").await.status, 201);
    assert_refused(&t.with(Some(&odd)).import(HOTEL, "job").await, 401);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_is_wrong(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    for (arguments, complaint) in [
        (&["create", "--name", "x", "--scope", "write"][..], "use events:write, actions:write"),
        (&["create", "--name", "x"], "--scope"),
        (&["create", "--name", " ", "--scope", "admin"], "--name must be 1 to 128"),
        (&["create", "--name", "x", "--scope", "admin", "--hotel", "ours"], "--hotel"),
        (&["revoke", "my key"], "as `keys list` shows it"),
    ] {
        let output = keys(&database, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(complaint), "{arguments:?}: {said}");
    }
    let db = database.connect().await;
    assert_eq!(api_keys::count_active(&db).await.expect("read"), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_needs_no_database_and_an_unknown_one_says_so() {
    // PostgreSQL only: a table that answers as a server that stops stands for a database that is away. It counts who
    // asks, as sequences do whatever becomes of the transaction.
    const AWAY: [&str; 4] = [
        "alter table api_key rename to hidden",
        "create sequence looks",
        "create function look() returns void language plpgsql as $$ begin \
         perform nextval('looks'); raise exception 'away' using errcode = '57P03'; end $$",
        "create view api_key as \
         select keys.* from look(), jsonb_populate_record(null::hidden, '{}') keys",
    ];

    let t = Service::start_with(Backend::Postgres, NOON, |settings| {
        settings.access.refresh_seconds = 1;
    })
    .await;
    let (_, known) = store_key(&t, &Scope::ALL, None).await;
    assert_eq!(t.with(Some(&known)).import(HOTEL, "job").await.status, 201);
    let books = t.books().await;
    for sql in AWAY {
        ledger::damage(&books, sql).await;
    }
    // The service looks again by itself: when it does so for the second time, it has got over the first.
    let looks = "select case when is_called then last_value else 0 end as n from looks";
    until(async || ledger::number(&books, looks).await >= 2).await;

    assert_eq!(t.with(Some(&known)).import(HOTEL, "job").await.status, 200);
    let answer = t.with(Some("plg_00000000000000000000000000000000_x")).import(HOTEL, "job").await;
    assert_problem(&answer, (503, "database_unavailable"), None);
    assert_eq!(t.with(Some(&known)).import(HOTEL, "job").await.status, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_known_while_others_present_unknown_ones(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = Service::start(backend).await;
    let stranger = t.with(Some("plg_00000000000000000000000000000000_x"));
    assert_refused(&stranger.import(HOTEL, "job").await, 401);
    // The next look is due in a second.
    let (_, new) = store_key(&t, &Scope::ALL, None).await;
    assert_eq!(t.with(Some(&new)).import(HOTEL, "job").await.status, 201);
    assert_refused(&stranger.import(HOTEL, "job").await, 401);
}

/// Of an operator who has forgotten DATABASE_URL.
#[test]
fn a_look_at_the_keys_makes_no_database() {
    let folder = std::env::temp_dir().join(format!("plg-no-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for arguments in [&["list"][..], &["revoke", "00000000-0000-0000-0000-000000000000"]] {
        let mut keys = Command::new(env!("CARGO_BIN_EXE_ingest-api"));
        keys.arg("keys").args(arguments).env_remove("DATABASE_URL").current_dir(&folder);
        let answer = keys.output().expect("runs");
        assert!(!answer.status.success());
        let complaint = String::from_utf8_lossy(&answer.stderr).into_owned();
        let where_to = "there is no database at sqlite://data/plg.db";
        assert!(complaint.contains(where_to), "{complaint}");
    }
    std::fs::remove_dir(&folder).expect("it is empty");
}
