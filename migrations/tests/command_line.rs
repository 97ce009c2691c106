//! `migrate`, as an operator types it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use plg_testkit::app::USER;
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm_migration::sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};
use std::path::PathBuf;
use std::process::{Command, Output};

fn migrate(database: &TestDatabase, arguments: &[&str]) -> Output {
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_migrate"));
    migrate.args(arguments).env("DATABASE_URL", database.url()).output().expect("it runs")
}

#[rstest::rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_holds_events_is_not_reverted_unasked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("down", "fresh")] command: &str,
) {
    let database = TestDatabase::empty(backend).await;
    assert!(migrate(&database, &["up"]).status.success());
    assert!(migrate(&database, &[command]).status.success(), "there is nothing to lose");
    assert!(migrate(&database, &["up"]).status.success());
    let db = database.connect().await;
    if backend == Backend::Postgres {
        let partition = "create table product_event_202611 partition of product_event \
                         for values from (202611) to (202612)";
        ledger::damage(&db, partition).await;
    }
    let id = ledger::uuid(&db, USER);
    let event = format!(
        "insert into product_event (hotel_id, month, seq, event_type, user_id, day, recorded_at) \
         values ({id}, 202611, 1, 'upgrade_click', {id}, '2026-11-15', '2026-11-15T12:00:00+00:00')"
    );
    ledger::damage(&db, &event).await;

    let refused = migrate(&database, &[command]);

    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(complaint.contains(&format!("`migrate {command} --yes`")), "{complaint}");
    assert!(migrate(&database, &["status"]).status.success());
    db.close().await.expect("closes");
    assert!(migrate(&database, &[command, "--yes"]).status.success());
}

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("plg-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// What `migrate up` says there.
    fn migrate(&self, environment: &[(&str, &str)]) -> (bool, String) {
        let mut up = Command::new(env!("CARGO_BIN_EXE_migrate"));
        up.arg("up").env_remove("DATABASE_URL").current_dir(&self.0);
        let up = up.envs(environment.iter().copied()).output().expect("it runs");
        let said = [up.stdout, up.stderr].concat();
        (up.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Else it would bring another database to the schema than that which the services say is behind.
#[test]
fn the_database_is_the_services() {
    let folder = Folder::new("database");
    let file = |name: &str| folder.0.join(name);
    std::fs::write(file("plg.toml"), "[database]\nurl = \"sqlite:file.db?mode=rwc\"").unwrap();
    std::fs::write(file("other.toml"), "[database]\nurl = \"sqlite:other.db?mode=rwc\"").unwrap();
    let url = ("DATABASE_URL", "sqlite:url.db?mode=rwc");
    let setting = ("PLG__DATABASE__URL", "sqlite:setting.db?mode=rwc");
    let config = ("PLG_CONFIG", "other.toml");
    for (environment, expected) in [
        (&[][..], "file.db"),
        (&[config], "other.db"),
        (&[config, url], "url.db"),
        (&[config, url, setting], "setting.db"),
    ] {
        let (succeeded, said) = folder.migrate(environment);
        assert!(succeeded && said.contains(expected), "{said}");
        std::fs::remove_file(file(expected)).unwrap();
    }
    std::fs::write(file("plg.toml"), "[log]\nformat = \"json\"").unwrap();
    assert!(folder.migrate(&[]).0);
    assert!(file("data/plg.db").exists());
    std::fs::write(file("plg.toml"), "[database]\nurl = \"postgres://plg:geheim@db/plg").unwrap();
    let missing = ("PLG_CONFIG", "missing.toml");
    for (environment, named) in [(&[][..], "plg.toml"), (&[missing], "missing.toml")] {
        let (succeeded, said) = folder.migrate(environment);
        assert!(!succeeded && !said.contains("geheim"), "{said}");
        assert!(said.contains(&format!("{named} cannot be read: `ingest-api config`")), "{said}");
    }
}

#[test]
fn a_path_may_have_escapes() {
    let folder = Folder::new("escapes");
    let (succeeded, said) = folder.migrate(&[("DATABASE_URL", "sqlite:a%20b/c.db?mode=rwc")]);
    assert!(succeeded, "{said}");
    assert!(folder.0.join("a b/c.db").exists());
}

/// Such as quotes that a file of the environment keeps.
#[test]
fn what_is_no_url_of_a_database_is_not_shown() {
    let folder = Folder::new("secrets");
    let urls =
        ["\"postgres://plg:geheim@db/plg\"", " postgres://plg:geheim@db", "mysql://plg:geheim@db"];
    for url in urls {
        let (succeeded, said) = folder.migrate(&[("DATABASE_URL", url)]);
        assert!(!succeeded && !said.contains("geheim"), "{said}");
        assert!(said.contains("must begin with postgres:// or sqlite:"), "{said}");
    }
}

/// Of an operator who has forgotten DATABASE_URL.
#[test]
fn a_look_makes_no_database_and_says_where_it_looked() {
    let folder = std::env::temp_dir().join(format!("plg-nothing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_migrate"));
    let status = migrate.arg("status").env_remove("DATABASE_URL").current_dir(&folder).output();
    let status = status.expect("it runs");
    assert!(!status.status.success());
    let complaint = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(complaint.contains("sqlite://data/plg.db"), "{complaint}");
    assert!(complaint.contains("there is no database"), "{complaint}");
    std::fs::remove_dir(&folder).expect("it is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_shown_and_another_migrator_is_named() {
    let database = TestDatabase::empty(Backend::Postgres).await;
    assert!(migrate(&database, &["up"]).status.success());
    // Sessions of the services do not keep a transaction open for as long.
    let db = Database::connect(database.url()).await.unwrap();
    let other = db.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(31644388864649074)";
    other.execute_unprepared(lock).await.unwrap();
    let url = database.url().replacen('@', ":geheim@", 1);
    let mut up = Command::new(env!("CARGO_BIN_EXE_migrate"));
    let up = up.arg("up").env("DATABASE_URL", url).output().expect("it runs");
    let complaint = String::from_utf8_lossy(&up.stderr).into_owned();
    assert!(!up.status.success());
    assert!(complaint.contains("another migrator is at work"), "{complaint}");
    assert!(complaint.contains(":***@") && !complaint.contains("geheim"), "{complaint}");
}
