//! The service and its databases, new for each measurement.

use crate::Effort;
use plg_testkit::postgres::Cluster;
use plg_testkit::{Process, ledger, process};
use sea_orm::Database;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Everybody may do everything: the bench measures recording, not refusing.
const UNLIMITED: (&str, &str) = ("PLG__PLANS__DEFAULT", "suite");

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Sqlite,
}

/// A durable PostgreSQL on disk, and a folder for SQLite beside it.
pub(crate) struct Place {
    pub(crate) cluster: Cluster,
    folder: PathBuf,
    number: AtomicU32,
}

impl Place {
    pub(crate) async fn new(effort: &Effort) -> Self {
        let folder = std::env::temp_dir().join(format!("plg-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        // fsync and synchronous_commit stay on.
        let mut settings = vec![
            "shared_buffers=1GB",
            "max_wal_size=8GB",
            "min_wal_size=2GB",
            "checkpoint_timeout=15min",
        ];
        settings.extend(effort.postgres.iter().map(String::as_str));
        let place = Self {
            cluster: Cluster::start_in(&folder, &settings),
            folder,
            number: AtomicU32::new(0),
        };
        place.age().await;
        place
    }

    /// Fills the log with files to be used again, as on a server that has run for a while. On a new one
    /// everybody waits, every 16 MiB, until a new file is filled with zeros.
    async fn age(&self) {
        const FILES: u32 = 128;

        let db = Database::connect(self.cluster.url("postgres")).await.expect("connects");
        for _ in 0..FILES {
            ledger::damage(&db, "select pg_logical_emit_message(false, 'bench', 'x')").await;
            ledger::damage(&db, "select pg_switch_wal()").await;
        }
        ledger::damage(&db, "checkpoint").await;
        db.close().await.expect("closes");
    }

    /// A new, migrated database, and no other: the server would go on vacuuming what earlier measurements have
    /// left, and the system writing it to the disk.
    pub(crate) async fn only_database(&self, kind: Kind) -> String {
        let db = Database::connect(self.cluster.url("postgres")).await.expect("connects");
        for number in 0..self.number.load(Ordering::Relaxed) {
            let drop = format!("drop database if exists {} with (force)", name(number));
            ledger::damage(&db, &drop).await;
        }
        ledger::damage(&db, "checkpoint").await;
        db.close().await.expect("closes");
        assert!(Command::new("sync").status().expect("sync runs").success(), "sync failed");
        self.database(kind).await
    }

    /// A new, migrated database.
    pub(crate) async fn database(&self, kind: Kind) -> String {
        let name = name(self.number.fetch_add(1, Ordering::Relaxed));
        let url = match kind {
            Kind::Sqlite => {
                format!("sqlite://{}?mode=rwc", self.folder.join(format!("{name}.db")).display())
            }
            Kind::Postgres => {
                let admin =
                    Database::connect(self.cluster.url("postgres")).await.expect("connects");
                ledger::damage(&admin, &format!("create database {name}")).await;
                admin.close().await.expect("closes");
                self.cluster.url(&name)
            }
        };
        let migrate = Command::new(process::program("migrate"))
            .arg("up")
            .env("DATABASE_URL", &url)
            .output()
            .expect("migrate runs");
        assert!(migrate.status.success(), "{}", String::from_utf8_lossy(&migrate.stderr));
        url
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn name(number: u32) -> String {
    format!("bench_{number}")
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Starts the service.
pub(crate) fn serve(url: &str, settings: &[(&str, &str)]) -> Process {
    let mut all = vec![UNLIMITED];
    all.extend_from_slice(settings);
    Process::serve(&process::program("ingest-api"), url, &all)
}

/// Stops it, and checks the books.
pub(crate) async fn stop_and_check(server: Process, url: &str) {
    assert!(server.terminate().success(), "the server stops well");
    let db = Database::connect(url).await.expect("connects");
    ledger::assert_balanced(&db).await;
    db.close().await.expect("closes");
}
