//! `ingest-api copy-from`: moves from the embedded database to PostgreSQL.

use migrations::SchemaState;
use plg_store::connect::{self, Planning};
use plg_store::{DatabaseUrl, transfer};
use std::fmt::Write as _;
use std::path::Path;

type Error = Box<dyn std::error::Error>;

/// Copies a file of the embedded database into an empty PostgreSQL, and says what that was.
pub(crate) async fn run(file: &Path, into: &DatabaseUrl) -> Result<String, Error> {
    if !file.is_file() {
        return Err(format!("there is no file {}", file.display()).into());
    }
    let from = DatabaseUrl::of_file(file)?;
    for url in [&from, into] {
        ensure_current(url).await?;
    }
    let copied = transfer::copy(&from, into).await?;
    let mut said = format!("copied {} into {into}, rows:\n", file.display());
    for (table, rows) in copied {
        writeln!(said, "  {table:<17}{rows:>10}")?;
    }
    said.push_str("`rollup-worker --full` proves all of it, event by event");
    Ok(said)
}

async fn ensure_current(url: &DatabaseUrl) -> Result<(), Error> {
    let cannot = |error: &_| format!("cannot open {url}: {}", connect::reason(error));
    let db = connect::single_for_long_statements(url, None, Planning::Fresh).await;
    let db = db.map_err(|error| cannot(&error))?;
    let schema = migrations::schema_state(&db).await.map_err(|error| cannot(&error))?;
    db.close().await?;
    match schema {
        SchemaState::Current => Ok(()),
        SchemaState::Behind(pending) => {
            let pending = pending.len();
            Err(format!("{url} lacks {pending} migrations: run `migrate up` on it (DATABASE_URL)")
                .into())
        }
    }
}
