//! A database of its own for each test.

use crate::{citus, postgres};
use plg_service::Settings;
use plg_store::connect;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// Both databases: every rule is tested on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Embedded.
    Sqlite,
    /// The throw-away server.
    Postgres,
}

impl Backend {
    /// That of a connection.
    pub fn of(db: &DatabaseConnection) -> Self {
        if connect::is_postgres(db) { Self::Postgres } else { Self::Sqlite }
    }
}

/// A migrated, empty database. SQLite's folder is removed with it; PostgreSQL's goes with the server.
pub struct TestDatabase {
    /// Which kind.
    pub backend: Backend,
    url: String,
    folder: Option<PathBuf>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl TestDatabase {
    /// A new one.
    pub async fn new(backend: Backend) -> Self {
        if backend == Backend::Postgres && citus::is_wanted() {
            return Self::distributed().await;
        }
        Self::on_one_machine(backend).await
    }

    /// A new one that is not distributed, whatever the suite runs on.
    pub async fn on_one_machine(backend: Backend) -> Self {
        let database = Self::without_schema(backend, "template_plg").await;
        if backend == Backend::Sqlite {
            migrate(&database.url).await;
        }
        database
    }

    /// The first one of a server of its own.
    pub async fn first_on(cluster: &postgres::Cluster) -> Self {
        let url = cluster.url("postgres");
        migrate(&url).await;
        Self { backend: Backend::Postgres, url, folder: None }
    }

    /// On Citus. There a database cannot be copied: a process of its own is connected to it.
    async fn distributed() -> Self {
        let database = Self::empty(Backend::Postgres).await;
        let db = migrations::connect(&database.url).await.expect("opens");
        citus::install(&db, postgres::shared().port()).await;
        migrations::up(&db).await.expect("migrates");
        migrations::distribute::distribute(&db).await.expect("distributes");
        db.close().await.expect("closes");
        database
    }

    /// A new one without tables.
    pub async fn empty(backend: Backend) -> Self {
        Self::without_schema(backend, "template1").await
    }

    async fn without_schema(backend: Backend, template: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        if backend == Backend::Sqlite {
            let name = format!("plg-sqlite-{}-{number}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            let url = format!("sqlite://{}?mode=rwc", folder.join("plg.db").display());
            return Self { backend, url, folder: Some(folder) };
        }
        let cluster = tokio::task::spawn_blocking(postgres::shared).await.expect("starts");
        make_template(cluster).await;
        let name = format!("test_{number}");
        let admin = Database::connect(cluster.url("postgres")).await.expect("connects");
        let create = format!("create database {name} template {template} strategy file_copy");
        admin.execute_unprepared(&create).await.expect("creates");
        admin.close().await.expect("closes");
        Self { backend, url: cluster.url(&name), folder: None }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A pool of connections, as the services open it.
    pub async fn connect(&self) -> DatabaseConnection {
        let url = self.url.parse().expect("a database URL");
        connect::pool(&url, 4).await.expect("connects")
    }

    /// The default settings with this database and a free port.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::defaults().expect("usable defaults");
        settings.database.url = self.url.parse().expect("a database URL");
        settings.server.port = 0;
        settings.server.threads = 1;
        settings.metrics.port = 0;
        // The clock of a test is where the test wants it.
        settings.database.clock_tolerance_seconds = 0;
        // A debug build is too slow for the crowds of tests.
        settings.writer.max_wait_ms = 1_500;
        settings.server.max_wait_ms = 1_500;
        if self.backend == Backend::Postgres && citus::is_wanted() {
            settings.writer.hotels_per_transaction = 1;
        }
        settings.access.root_key = SecretString::from(crate::access::ROOT_KEY);
        settings.access.session_secret = SecretString::from(crate::access::SESSION_SECRET);
        settings
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A migrated database to copy, which takes 8 ms instead of a second.
async fn make_template(cluster: &postgres::Cluster) {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let admin = Database::connect(cluster.url("postgres")).await.expect("connects");
            admin.execute_unprepared("create database template_plg").await.expect("creates");
            admin.close().await.expect("closes");
            migrate(&cluster.url("template_plg")).await;
        })
        .await;
}

async fn migrate(url: &str) {
    let db = migrations::connect(url).await.expect("opens");
    migrations::up(&db).await.expect("migrates");
    db.close().await.expect("closes");
}
