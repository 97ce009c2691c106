//! The application, built alike by `program` and by tests: listening, with its lanes, ready to run.

use crate::access::development::Development;
use crate::access::{Access, AccessError};
use crate::cors;
use crate::door::{self, Door};
use crate::health::Health;
use crate::input::BodyMemory;
use crate::listen;
use crate::metrics::{Metrics, exporter};
use crate::observe::observe;
use crate::problem::{Code, Problem};
use crate::reader::Reader;
use crate::routes;
use crate::spans::Spans;
use crate::stop::Drain;
pub use crate::stop::Stopper;
use crate::unknown_plans;
use crate::writer::{Lanes, Writer};
use actix_web::dev::Server;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App, HttpResponse, HttpServer, web};
use migrations::SchemaState;
use plg_core::plan::Plans;
use plg_service::{Settings, SharedClock};
use plg_store::{DatabaseUrl, connect};
use sea_orm::{DatabaseConnection, DbErr};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a request's head may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody could call, or anybody.
    #[error("access control is not configured: {0}")]
    Access(#[from] AccessError),
    /// An origin that no browser sends.
    #[error("server.cors_origins: {0}")]
    Origin(String),
    /// No receiver of traces that could be one.
    #[error("cannot export traces: {0}")]
    Traces(String),
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
    #[error(
        "cannot listen on {address}: {cause}. Stop what listens there, or say where to: \
         PLG__{section}__HOST, PLG__{section}__PORT"
    )]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Whose settings say so.
        section: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
}

/// What the routes need.
pub(crate) struct State {
    /// Records.
    pub(crate) writer: Writer,
    /// Reads.
    pub(crate) reader: Reader,
    /// Knows who calls.
    pub(crate) access: Access,
    /// Lets requests in.
    pub(crate) door: Arc<Door>,
    /// Room for their bodies.
    pub(crate) bodies: BodyMemory,
    /// The plans on sale.
    pub(crate) plans: Arc<Plans>,
    /// What it counts about itself.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether it can work.
    pub(crate) health: Health,
    /// Whether it stops, and what is under way.
    pub(crate) drain: Arc<Drain>,
    /// Exports traces, if anybody takes them.
    pub(crate) spans: Option<Spans>,
}

/// A service that listens.
pub struct Application {
    address: SocketAddr,
    server: Server,
    metrics_address: SocketAddr,
    metrics_server: Server,
    state: web::Data<State>,
    ready_grace: Duration,
    at_once: Arc<Notify>,
    lanes: Lanes,
    development: Option<Development>,
}

impl Application {
    /// Connects, checks the schema (the embedded database is brought up to date), starts the lanes
    /// on the current runtime, and listens.
    ///
    /// # Errors
    /// Says what is wrong, and what to do.
    pub async fn build(settings: &Settings, clock: SharedClock) -> Result<Self, StartError> {
        let origins = cors::origins(&settings.server.cors_origins).map_err(StartError::Origin)?;
        let spans = Spans::start(&settings.traces).map_err(StartError::Traces)?;
        let db = open(settings).await?;
        let (access, development) = Access::open(settings, db.clone(), Arc::clone(&clock)).await?;
        let plans = Arc::new(settings.plans.clone());
        let metrics = Arc::new(Metrics::new());
        let (writer, lanes) = Writer::start(
            &settings.writer,
            &settings.database.url,
            Arc::clone(&plans),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        );
        let (reader, health, drain) = (
            Reader::new(db, clock),
            Health::new(settings.database.clock_tolerance()),
            Arc::default(),
        );
        let door = Door::new(Duration::from_millis(settings.server.max_wait_ms));
        let bodies = BodyMemory::default();
        let state = web::Data::new(State {
            writer,
            reader,
            access,
            door,
            bodies,
            plans,
            metrics,
            health,
            drain,
            spans,
        });

        let (listener, address) = listen("SERVER", settings.server.host, settings.server.port)?;
        let (metrics_listener, metrics_address) =
            listen("METRICS", settings.metrics.host, settings.metrics.port)?;
        let routes_state = state.clone();
        let app = move || {
            App::new()
                .wrap(from_fn(door::guard))
                .wrap(Condition::new(!origins.is_empty(), cors::allow(&origins)))
                .wrap(from_fn(observe))
                .app_data(routes_state.clone())
                .configure(routes::configure)
                .default_service(web::to(not_found))
        };
        let server = HttpServer::new(app)
            .workers(settings.server.all_threads())
            .max_connections(settings.server.connections)
            .client_request_timeout(HEAD_DEADLINE)
            .keep_alive(Duration::from_secs(settings.server.keep_alive_seconds))
            .disable_signals()
            .shutdown_timeout(settings.server.drain_seconds)
            .tcp_nodelay(true);
        let listen_error = |cause| StartError::Listen { address, section: "SERVER", cause };
        let server = server.listen(listener).map_err(listen_error)?.run();
        let listen_error =
            |cause| StartError::Listen { address: metrics_address, section: "METRICS", cause };
        let metrics_server = exporter::serve(metrics_listener, &state).map_err(listen_error)?;
        tokio::spawn(unknown_plans::watch(Arc::downgrade(&state)));
        let ready_grace = Duration::from_secs(settings.server.ready_grace_seconds);
        Ok(Self {
            address,
            server,
            metrics_address,
            metrics_server,
            state,
            ready_grace,
            at_once: Arc::default(),
            lanes,
            development,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key of the embedded default, if it is in use.
    #[must_use]
    pub const fn development(&self) -> Option<&Development> {
        self.development.as_ref()
    }

    /// Where its metrics are read.
    #[must_use]
    pub const fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Stops it from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper {
            drain: Arc::clone(&self.state.drain),
            ready_grace: self.ready_grace,
            server: self.server.handle(),
            at_once: Arc::clone(&self.at_once),
        }
    }

    /// Serves until it is told to stop. Then it is not ready any more, goes on until nobody sends it new
    /// requests, accepts no connections, answers what is under way, waits for the lanes to finish, closes
    /// the database, and exports the last spans. Its metrics can be read for as long. Says how many requests under way
    /// were not answered.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run(self) -> std::io::Result<usize> {
        let Self { server, metrics_server, state, at_once, lanes, .. } = self;
        let metrics = metrics_server.handle();
        let metrics_server = tokio::spawn(metrics_server);
        tokio::select! {
            end = server => end?,
            () = at_once.notified() => {}
        }
        let (spans, reader, drain) =
            (state.spans.clone(), state.reader.clone(), Arc::clone(&state.drain));
        // The lanes end when nobody can send them anything.
        drop(state);
        lanes.finished().await;
        reader.close().await;
        if let Some(spans) = spans {
            spans.finish().await;
        }
        metrics.stop(true).await;
        // Ends with the handle, whatever its result.
        let _ = metrics_server.await;
        Ok(drain.unanswered())
    }
}

fn listen(
    section: &'static str,
    host: IpAddr,
    port: u16,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::new(host, port);
    listen::listen(address).map_err(|cause| StartError::Listen { address, section, cause })
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::new(Code::NotFound, "there is nothing here; see /docs for what is"))
}

/// Opens the database of the settings, whose schema is current: the embedded one is brought up to date.
///
/// # Errors
/// Says what is wrong with it, and what to do.
pub async fn open(settings: &Settings) -> Result<DatabaseConnection, StartError> {
    let url = &settings.database.url;
    match open_current(url, settings.database.read_connections).await {
        Ok((db, SchemaState::Current)) => Ok(db),
        Ok((_, SchemaState::Behind(pending))) => {
            Err(StartError::SchemaBehind { url: url.clone(), pending })
        }
        Err(error) => {
            let cause = connect::reason_at(url, &error).await;
            Err(StartError::Database { url: url.clone(), cause })
        }
    }
}

async fn open_current(
    url: &DatabaseUrl,
    connections: u32,
) -> Result<(DatabaseConnection, SchemaState), DbErr> {
    if url.is_embedded() {
        // It may be new, and another may start on it at the same moment.
        let db = migrations::connect(url.expose()).await?;
        if migrations::schema_state(&db).await? != SchemaState::Current {
            migrations::up(&db).await?;
        }
        db.close().await?;
    }
    let db = connect::pool(url, connections).await?;
    let schema = migrations::schema_state(&db).await?;
    Ok((db, schema))
}
