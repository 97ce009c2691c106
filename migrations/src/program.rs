//! `migrate`, as a command: brings a database to the schema that the services expect.

use crate::SchemaState;
use crate::distribute::{DistributeError, distribute};
use clap::{Parser, Subcommand};
use config::{Config, File, FileFormat};
use sea_orm_migration::sea_orm::{DbErr, RuntimeErr, SqlxError};
use std::ffi::OsString;
use std::process::ExitCode;

/// Brings a database to the schema that ingest-api and rollup-worker expect.
#[derive(Debug, Parser)]
#[command(name = "migrate", version)]
struct Arguments {
    /// postgres://… or sqlite://…; as the services' unless told: `PLG__DATABASE__URL`, `DATABASE_URL`, or what plg.toml says
    #[arg(long, global = true)]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply every pending migration (safe to run at any time, also several at once)
    Up,
    /// Revert migrations, newest first. Their tables' data is lost
    Down {
        /// How many
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Do so even if the database holds events
        #[arg(long)]
        yes: bool,
    },
    /// Say which migrations are pending; exits with 1 if any is
    Status,
    /// Distribute the tables by hotel, on PostgreSQL with Citus (after `up`; safe to run again)
    Distribute,
    /// Drop all tables and apply every migration
    Fresh {
        /// Do so even if the database holds events
        #[arg(long)]
        yes: bool,
    },
}

/// The services' documented defaults.
const DEFAULTS: &str = include_str!("../../crates/plg-service/src/default.toml");

/// Where the services' database is, by what they read, in their order.
fn database_url() -> Result<String, Failure> {
    let variables = ["PLG__DATABASE__URL", "DATABASE_URL"];
    if let Some(url) = variables.iter().find_map(|variable| std::env::var(variable).ok()) {
        return Ok(url);
    }
    let named = std::env::var("PLG_CONFIG").ok();
    let file = named.clone().unwrap_or_else(|| "plg.toml".to_owned());
    let said = Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .add_source(File::new(&file, FileFormat::Toml).required(named.is_some()))
        .build();
    // What is said about a file that cannot be read may show a password.
    said.and_then(|said| said.get_string("database.url")).map_err(|_| Failure::File(file))
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0} cannot be read: `ingest-api config` says why")]
    File(String),
    #[error("{0}")]
    Database(#[from] DbErr),
    #[error("{0}")]
    Distribute(#[from] DistributeError),
    #[error("the database does not answer: does it run, is the address in DATABASE_URL right?")]
    Silence,
    #[error("there is no database: say where it is, in DATABASE_URL, or make it with `migrate up`")]
    NoFile,
    #[error(
        "the database holds events, which would be lost, or not be recognised when they are sent again: say \
         `migrate {0} --yes` to do it all the same"
    )]
    HoldsEvents(&'static str),
}

/// Runs it. The first of the arguments is the name it was called by.
#[tokio::main(flavor = "current_thread")]
pub async fn execute(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    match run(&arguments).await {
        Ok((code, message)) => {
            say(&message);
            code
        }
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(ExitCode, String), Failure> {
    let url = &arguments.database_url.clone().map_or_else(database_url, Ok)?;
    note(&format!("database: {}", plg_hosts::masked(url)));
    let is_there = crate::sqlite_file(url).is_none_or(|file| file.exists());
    if !is_there && matches!(arguments.command, Command::Status) {
        return Err(Failure::NoFile);
    }
    let db = crate::connect(url).await.map_err(|error| match error {
        // The pool keeps it to itself when nobody listens at the address.
        DbErr::Conn(RuntimeErr::SqlxError(e)) if matches!(*e, SqlxError::PoolTimedOut) => {
            Failure::Silence
        }
        error => Failure::Database(error),
    })?;
    let mut code = ExitCode::SUCCESS;
    match arguments.command {
        Command::Up => crate::up(&db).await?,
        Command::Down { yes, .. } if !yes && crate::has_events(&db).await? => {
            return Err(Failure::HoldsEvents("down"));
        }
        Command::Down { steps, .. } => crate::down(&db, steps).await?,
        Command::Fresh { yes } if !yes && crate::has_events(&db).await? => {
            return Err(Failure::HoldsEvents("fresh"));
        }
        Command::Fresh { .. } => crate::fresh(&db).await?,
        Command::Distribute => {
            let message = match &distribute(&db).await?[..] {
                [] => "every table is distributed by hotel already".to_owned(),
                tables => format!("distributed by hotel: {}", tables.join(", ")),
            };
            db.close().await?;
            return Ok((code, message));
        }
        Command::Status => {}
    }
    let message = match crate::schema_state(&db).await? {
        SchemaState::Current => "schema is current".to_owned(),
        SchemaState::Behind(pending) => {
            if matches!(arguments.command, Command::Status) {
                code = ExitCode::FAILURE;
            }
            let list = pending.join("\n  ");
            format!("{} pending; `migrate up` applies:\n  {list}", pending.len())
        }
    };
    db.close().await?;
    Ok((code, message))
}

#[expect(clippy::print_stdout, reason = "the answer of a command line tool")]
fn say(message: &str) {
    println!("{message}");
}

fn complain(failure: &Failure) {
    note(&format!("migrate: {failure}"));
}

#[expect(clippy::print_stderr, reason = "what a command line tool says besides its answer")]
fn note(text: &str) {
    eprintln!("{text}");
}
