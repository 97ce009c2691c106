//! `ingest-api`, as a command: serves the HTTP API.

use crate::keys::{self, KeysCommand};
use crate::{Application, backup, copy_from, healthcheck};
use clap::Parser;
use plg_service::{Settings, Signals, SystemClock, logging, open_files};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Records product events and billable actions, keeps quotas, and answers how much is used.
///
/// Without arguments and environment it serves on http://127.0.0.1:8080, on an embedded SQLite
/// database in ./data. DATABASE_URL names another database; every setting of default.toml can be
/// set as PLG__SECTION__KEY, or in a file plg.toml (or the one that PLG_CONFIG names).
///
/// Callers need a key: on the embedded database and loopback a development key is made and printed;
/// everywhere else make one with `ingest-api keys create`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve the API (the default)
    Serve,
    /// Make, list and revoke service keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Copy the embedded database, as it is at one moment, beside the running service
    Backup {
        /// A file that does not exist yet, or - for standard output
        file: PathBuf,
    },
    /// Copy a file of the embedded database, such as a backup, into the empty PostgreSQL of the settings
    CopyFrom {
        /// The file, to which nobody writes meanwhile
        file: PathBuf,
    },
    /// Print the settings in use, and where each comes from; secrets are masked
    Config,
    /// Ask the service of the same settings whether it is ready; exits with 1 if it is not
    Healthcheck,
}

/// Runs it. The first of the arguments is the name it was called by.
pub fn execute(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Arguments { command } = Arguments::parse_from(arguments);
    let result = match command.unwrap_or(Command::Serve) {
        Command::Serve => serve(),
        Command::Keys(command) => manage_keys(command),
        Command::Backup { file } => back_up(&file),
        Command::CopyFrom { file } => copy_in(&file),
        Command::Config => config(),
        Command::Healthcheck => check_health(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

type Error = Box<dyn std::error::Error>;

fn manage_keys(command: KeysCommand) -> Result<(), Error> {
    let settings = Settings::load()?;
    // Not where the answer goes: a new key is often read by a program.
    note(&format!("database: {}", settings.database.url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    say(&runtime.block_on(keys::run(command, &settings))?);
    Ok(())
}

fn back_up(file: &Path) -> Result<(), Error> {
    let settings = Settings::load()?;
    let url = &settings.database.url;
    note(&format!("database: {url}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bytes = runtime.block_on(backup::run(url, file))?;
    note(&format!("backed up {bytes} bytes, which were read through"));
    Ok(())
}

fn copy_in(file: &Path) -> Result<(), Error> {
    let settings = Settings::load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    say(&runtime.block_on(copy_from::run(file, &settings.database.url))?);
    Ok(())
}

fn config() -> Result<(), Error> {
    say(Settings::describe()?.trim_end());
    Ok(())
}

fn check_health() -> Result<(), Error> {
    say(&healthcheck::run(&Settings::load()?.server)?);
    Ok(())
}

fn serve() -> Result<(), Error> {
    let settings = Settings::load()?;
    let connections = settings.server.all_connections();
    let files = open_files::make_room(connections);
    let _log = logging::start(&settings.log)?;
    if files < connections {
        tracing::info!(
            connections,
            files,
            "fewer connections than server.connections on all threads, by the hard limit of open files"
        );
    }
    // The lanes' runtime. HTTP is served by threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("lane")
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let application = Application::build(&settings, Arc::new(SystemClock)).await?;
        greet(&application, &settings);
        tokio::spawn(application.stopper().stop_on(Signals::listen()?));
        match application.run().await? {
            0 => tracing::info!("stopped; everything accepted was answered"),
            requests => tracing::warn!(requests, "stopped; some requests were not answered"),
        }
        Ok(())
    })
}

/// The first line is for programs that wait for the service; the rest is for people who try it.
fn greet(application: &Application, settings: &Settings) {
    let address = application.address();
    say(&format!("ingest-api {} listening on http://{address}", env!("CARGO_PKG_VERSION")));
    say(&format!("metrics: http://{}/metrics", application.metrics_address()));
    say(&format!("database: {}", settings.database.url));
    let Some(development) = application.development() else { return };
    let key = match development.file() {
        Some(file) => format!("$(cat {})", file.display()),
        None => development.key().to_owned(),
    };
    say(&format!(
        r#"development key: {} (works on loopback only)

Try it, in another terminal:

  KEY="{key}"
  HOTEL=6f1f64b4-0000-4000-8000-000000000001   # any UUID

  # an import counts against the plan's quota: three a month on the standard plan
  curl -s http://{address}/v1/hotels/$HOTEL/imports -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' -d '{{"job_id": "job-1", "user_id": "6f1f64b4-0000-4000-8000-0000000000aa"}}'

  # how much is used right now
  curl -s http://{address}/v1/hotels/$HOTEL/usage -H "Authorization: Bearer $KEY"

The README goes on from here. Stop with Ctrl-C."#,
        development.key()
    ));
}

#[expect(clippy::print_stdout, reason = "what a person asked for, or sees first")]
fn say(text: &str) {
    println!("{text}");
}

fn complain(error: &Error) {
    note(&format!("ingest-api: {error}"));
}

#[expect(clippy::print_stderr, reason = "what is said besides the answer")]
fn note(text: &str) {
    eprintln!("{text}");
}
