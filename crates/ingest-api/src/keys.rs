//! `ingest-api keys`: makes, lists and revokes service keys, in the database of the settings.

use crate::access::key;
use chrono::Utc;
use clap::{Args, Subcommand};
use plg_core::access::{Grant, Scope};
use plg_core::ids::HotelId;
use plg_service::Settings;
use plg_store::api_keys::{self, ACTIVE_MAX, ApiKey};
use sea_orm::DatabaseConnection;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use uuid::Uuid;

/// Longest name of a key, in characters.
const NAME_MAX_CHARS: usize = 128;
/// Most hotels that a key may be bound to.
const HOTELS_MAX: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key, and print it: once, since only a hash is stored
    Create(Create),
    /// List all keys, newest first
    List,
    /// Revoke a key: services refuse it within access.refresh_seconds
    Revoke {
        /// The key's id, as `list` shows it, or the key itself
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Who it is for
    #[arg(long)]
    name: String,
    /// What it may do: events:write, actions:write, usage:read, admin
    #[arg(long = "scope", value_name = "SCOPE,…", value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,
    /// Bind it to this hotel; may be given several times
    #[arg(long = "hotel", value_name = "UUID")]
    hotels: Vec<Uuid>,
}

type Error = Box<dyn std::error::Error>;

pub(crate) async fn run(command: KeysCommand, settings: &Settings) -> Result<String, Error> {
    let url = &settings.database.url;
    let is_there = url.file().is_none_or(|file| file.exists());
    if !is_there && !matches!(command, KeysCommand::Create(_)) {
        return Err(
            format!("there is no database at {url}: say where it is, in DATABASE_URL").into()
        );
    }
    let db = crate::app::open(settings).await?;
    let answer = match command {
        KeysCommand::Create(create) => make(&db, create).await,
        KeysCommand::List => list(&db).await,
        KeysCommand::Revoke { key } => revoke(&db, &key).await,
    };
    db.close().await?;
    answer
}

async fn make(db: &DatabaseConnection, create: Create) -> Result<String, Error> {
    let Create { name, scopes, hotels } = create;
    let name = name.trim().to_owned();
    if !(1..=NAME_MAX_CHARS).contains(&name.chars().count()) || name.contains(char::is_control) {
        return Err(format!("--name must be 1 to {NAME_MAX_CHARS} characters").into());
    }
    if hotels.len() > HOTELS_MAX {
        return Err(format!("a key may be bound to at most {HOTELS_MAX} hotels").into());
    }
    if api_keys::count_active(db).await? >= ACTIVE_MAX {
        return Err(format!("{ACTIVE_MAX} keys are valid, which is the most: revoke some").into());
    }
    let hotels: BTreeSet<HotelId> = hotels.into_iter().map(HotelId).collect();
    let (key_id, key) = key::generate()?;
    let stored = ApiKey {
        key_id,
        name,
        secret_hash: key::hash(&key),
        grant: Grant {
            scopes: scopes.into_iter().collect(),
            hotels: (!hotels.is_empty()).then_some(hotels),
        },
        created_at: Utc::now(),
        revoked_at: None,
        last_used_at: None,
    };
    api_keys::insert(db, &stored).await?;
    Ok(key)
}

async fn list(db: &DatabaseConnection) -> Result<String, Error> {
    let mut text =
        format!("{:36}  {:8}  {:20}  {:20}  name\n", "key", "state", "made", "last used");
    let at = |at: Option<chrono::DateTime<Utc>>| {
        at.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    for key in api_keys::list(db).await? {
        let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
        let scopes: Vec<_> = key.grant.scopes.iter().map(|scope| scope.name()).collect();
        let hotels = key.grant.hotels.map_or_else(
            || "all hotels".to_owned(),
            |hotels| hotels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {state:8}  {:20}  {:20}  {} ({}; {hotels})",
            key.key_id,
            at(Some(key.created_at)),
            at(key.last_used_at),
            key.name,
            scopes.join(","),
        );
    }
    Ok(text.trim_end().to_owned())
}

async fn revoke(db: &DatabaseConnection, text: &str) -> Result<String, Error> {
    let id = key::id_of(text).or_else(|| text.parse().ok());
    let id = id.ok_or("say the key's id, as `keys list` shows it")?;
    if api_keys::revoke(db, id, Utc::now()).await? {
        Ok(format!("revoked {id}"))
    } else {
        Err(format!("no valid key has the id {id}").into())
    }
}
