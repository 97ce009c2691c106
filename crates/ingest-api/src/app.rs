//! The application, built alike by `main` and by tests: listening, with its lanes, ready to run.

use crate::problem::{Code, Problem};
use crate::reader::Reader;
use crate::routes;
use crate::writer::{Lanes, Writer};
use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpResponse, HttpServer, web};
use migrations::SchemaState;
use plg_core::plan::Plans;
use plg_service::{Settings, SharedClock};
use plg_store::{DatabaseUrl, connect};
use sea_orm::{DatabaseConnection, DbErr};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;
/// How long a request's head may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everybody who can reach it may do everything.
    #[error(
        "server.host is {0}, but without access control the service listens on loopback only: \
         set PLG__SERVER__HOST=127.0.0.1"
    )]
    NotLoopback(IpAddr),
    /// No database at the URL.
    #[error("cannot use the database at {url}: {cause}")]
    Database {
        /// Where, without its password.
        url: DatabaseUrl,
        /// The reason.
        cause: String,
    },
    /// The schema is older than this program.
    #[error(
        "the schema of the database at {url} is behind by {}: run `migrate up` with the same \
         DATABASE_URL, then start again",
        pending.join(", ")
    )]
    SchemaBehind {
        /// Where, without its password.
        url: DatabaseUrl,
        /// Migrations to apply.
        pending: Vec<String>,
    },
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
}

/// What the routes need.
pub struct State {
    /// Records.
    pub writer: Writer,
    /// Reads.
    pub reader: Reader,
    /// The plans on sale.
    pub plans: Arc<Plans>,
}

/// A service that listens.
pub struct Application {
    address: SocketAddr,
    server: Server,
    lanes: Lanes,
}

impl Application {
    /// Connects, checks the schema (the embedded database is brought up to date), starts the lanes
    /// on the current runtime, and listens.
    ///
    /// # Errors
    /// Says what is wrong, and what to do.
    pub async fn build(settings: &Settings, clock: SharedClock) -> Result<Self, StartError> {
        let host = settings.server.host;
        if !host.is_loopback() {
            return Err(StartError::NotLoopback(host));
        }
        let db = open(settings).await?;
        let plans = Arc::new(settings.plans.clone());
        let (writer, lanes) = Writer::start(
            &settings.writer,
            &settings.database.url,
            Arc::clone(&plans),
            Arc::clone(&clock),
        );
        let state = web::Data::new(State { writer, reader: Reader::new(db, clock), plans });

        let address = SocketAddr::new(host, settings.server.port);
        let listen_error = |cause| StartError::Listen { address, cause };
        let listener = TcpListener::bind(address).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let app = move || {
            App::new()
                .app_data(state.clone())
                .configure(routes::configure)
                .default_service(web::to(not_found))
        };
        let mut server = HttpServer::new(app)
            .backlog(BACKLOG)
            .client_request_timeout(HEAD_DEADLINE)
            .shutdown_timeout(settings.server.drain_seconds)
            .tcp_nodelay(true);
        if settings.server.threads > 0 {
            server = server.workers(settings.server.threads);
        }
        let server = server.listen(listener).map_err(listen_error)?.run();
        Ok(Self { address, server, lanes })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.server.handle())
    }

    /// Serves until it is told to stop (SIGTERM, SIGINT, or the handle): then it accepts nothing
    /// more, answers what is under way, and waits for the lanes to finish.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run(self) -> std::io::Result<()> {
        self.server.await?;
        self.lanes.finished().await;
        Ok(())
    }
}

/// Stops a service, as SIGTERM does.
#[derive(Debug, Clone)]
pub struct Stopper(ServerHandle);

impl Stopper {
    /// Accepts nothing more, and waits for the requests under way.
    pub async fn stop(&self) {
        self.0.stop(true).await;
    }
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::new(Code::NotFound, "there is nothing here; see the README for what is"))
}

async fn open(settings: &Settings) -> Result<DatabaseConnection, StartError> {
    let url = &settings.database.url;
    let failed =
        |error: DbErr| StartError::Database { url: url.clone(), cause: connect::reason(&error) };
    migrations::create_sqlite_folder(url.expose()).map_err(failed)?;
    let db = connect::pool(url, settings.database.read_connections).await.map_err(failed)?;
    if let SchemaState::Behind(pending) = migrations::schema_state(&db).await.map_err(failed)? {
        if !url.is_embedded() {
            return Err(StartError::SchemaBehind { url: url.clone(), pending });
        }
        migrations::up(&db).await.map_err(failed)?;
    }
    Ok(db)
}
