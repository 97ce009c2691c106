//! From an embedded database to an empty PostgreSQL: all that is stored, as it is.

use crate::connect::{self, Planning, begin_write};
use crate::dialect::Sql;
use crate::error::StoreError;
use crate::partitions;
use crate::url::DatabaseUrl;
use crate::usage::month_of;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt as _;
use plg_core::calendar::Month;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, StreamTrait as _,
    TransactionTrait as _, Value,
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// All tables but the list of migrations, in the order in which they are copied.
pub const TABLES: [&str; 10] = [
    "hotel",
    "api_key",
    "seat",
    "usage_monthly",
    "product_event",
    "event_gate",
    "event_window",
    "event_retention",
    "rollup_run",
    "usage_adjustment",
];

/// Rows that one statement writes. PostgreSQL takes 65,535 values in one, and no table has more than a hundred columns.
const ROWS: usize = 500;

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// They are not what is copied from, and into.
    #[error("{from} is copied into {into}: that is to be a SQLite file, and PostgreSQL")]
    Kinds {
        /// What was to be read.
        from: DatabaseUrl,
        /// What was to be written.
        into: DatabaseUrl,
    },
    /// The target is in use.
    #[error("{table} of {into} has rows: an empty database is needed, as `migrate up` makes it")]
    NotEmpty {
        /// What was to be written.
        into: DatabaseUrl,
        /// Where there is something.
        table: &'static str,
    },
    /// A schema that this program does not know.
    #[error("cannot copy {table}.{column}: a column of type {kind}")]
    Column {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: String,
        /// What PostgreSQL calls its type.
        kind: String,
    },
    /// Less has arrived than was sent.
    #[error("{table} had {sent} rows, of which {arrived} arrived")]
    Lost {
        /// Which table.
        table: &'static str,
        /// Rows that were read.
        sent: u64,
        /// Rows that are there.
        arrived: u64,
    },
    /// A database does not play along.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for TransferError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Copies everything, in one transaction, and says how many rows of which table. Nobody writes to the embedded database
/// meanwhile. Both have the current schema.
///
/// # Errors
/// Says why not; nothing is copied then.
pub async fn copy(
    from: &DatabaseUrl,
    into: &DatabaseUrl,
) -> Result<Vec<(&'static str, u64)>, TransferError> {
    if !from.is_embedded() || into.is_embedded() {
        return Err(TransferError::Kinds { from: from.clone(), into: into.clone() });
    }
    let open = async |url| connect::single_for_long_statements(url, None, Planning::Fresh).await;
    let (source, target) = (open(from).await?, open(into).await?);
    let reading = begin_write(&source).await?;
    // Before PostgreSQL waits in a transaction: it reads all of the log.
    let months = months(&reading).await?;
    let writing = target.begin().await?;
    for table in TABLES {
        if count(&writing, &format!("(select 1 from {table} limit 1) t")).await? > 0 {
            return Err(TransferError::NotEmpty { into: into.clone(), table });
        }
    }
    partitions::ensure(&writing, &months).await?;
    let mut copied = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let columns = columns(&writing, table).await?;
        let sent = copy_table(&reading, &writing, table, &columns).await?;
        let arrived = count(&writing, table).await?;
        if arrived != sent {
            return Err(TransferError::Lost { table, sent, arrived });
        }
        copied.push((table, sent));
    }
    writing.commit().await?;
    // It is done, whatever becomes of the connections.
    let _ = (reading.rollback().await, source.close().await, target.close().await);
    Ok(copied)
}

async fn count(db: &impl ConnectionTrait, what: &str) -> Result<u64, DbErr> {
    let select = Sql::new(db, format!("select count(*) as n from {what}")).statement();
    let row = db.query_one_raw(select).await?;
    let rows: i64 = row.map_or(Ok(0), |row| row.try_get("", "n"))?;
    Ok(rows.unsigned_abs())
}

/// Those that the log has events of.
async fn months(reading: &DatabaseTransaction) -> Result<BTreeSet<Month>, StoreError> {
    let select = Sql::new(reading, "select distinct month from product_event").statement();
    let rows = reading.query_all_raw(select).await?;
    rows.iter().map(|row| month_of(row.try_get("", "month")?)).collect()
}

/// A column of PostgreSQL's table.
struct Column {
    name: String,
    kind: Kind,
}

/// What is in it.
#[derive(Clone, Copy)]
enum Kind {
    Uuid,
    Integer,
    BigInteger,
    Flag,
    Text,
    Json,
    Day,
    Instant,
}

impl Kind {
    /// By what PostgreSQL calls it.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "integer" => Self::Integer,
            "bigint" => Self::BigInteger,
            "boolean" => Self::Flag,
            "text" => Self::Text,
            "jsonb" => Self::Json,
            "date" => Self::Day,
            "timestamp with time zone" => Self::Instant,
            _ => return None,
        })
    }

    /// As the embedded database has it.
    fn read(self, row: &QueryResult, index: usize) -> Result<Value, DbErr> {
        Ok(match self {
            Self::Uuid => row.try_get_by_index::<Option<Uuid>>(index)?.into(),
            Self::Integer => row.try_get_by_index::<Option<i32>>(index)?.into(),
            Self::BigInteger => row.try_get_by_index::<Option<i64>>(index)?.into(),
            Self::Flag => row.try_get_by_index::<Option<bool>>(index)?.into(),
            Self::Text | Self::Json => row.try_get_by_index::<Option<String>>(index)?.into(),
            Self::Day => row.try_get_by_index::<Option<NaiveDate>>(index)?.into(),
            Self::Instant => row.try_get_by_index::<Option<DateTime<Utc>>>(index)?.into(),
        })
    }
}

async fn columns(
    writing: &DatabaseTransaction,
    table: &'static str,
) -> Result<Vec<Column>, TransferError> {
    let select = "select cast(attname as text) as name, format_type(atttypid, atttypmod) as kind from pg_attribute \
                  where attrelid = cast(cast(";
    let select = Sql::new(writing, select)
        .bind(table)
        .text(" as text) as regclass) and attnum > 0 and not attisdropped order by attnum");
    let rows = writing.query_all_raw(select.statement()).await?;
    let column = |row: &QueryResult| {
        let (column, kind): (String, String) = (row.try_get("", "name")?, row.try_get("", "kind")?);
        match Kind::named(&kind) {
            Some(kind) => Ok(Column { name: column, kind }),
            None => Err(TransferError::Column { table, column, kind }),
        }
    };
    rows.iter().map(column).collect()
}

async fn copy_table(
    reading: &DatabaseTransaction,
    writing: &DatabaseTransaction,
    table: &'static str,
    columns: &[Column],
) -> Result<u64, TransferError> {
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let select = Sql::new(reading, format!("select {} from {table}", names.join(", ")));
    let rows = reading.stream_raw(select.statement()).await?;
    let mut chunks = rows.try_chunks(ROWS);
    let mut sent = 0;
    while let Some(rows) = chunks.try_next().await.map_err(|error| error.1)? {
        let mut insert = Query::insert().into_table(table).columns(names.clone()).to_owned();
        for row in &rows {
            let value = |(index, column): (usize, &Column)| {
                let value = Expr::val(column.kind.read(row, index)?);
                Ok(match column.kind {
                    Kind::Json => value.cast_as("jsonb"),
                    _ => value,
                })
            };
            let values = columns.iter().enumerate().map(value);
            insert.values_panic(values.collect::<Result<Vec<Expr>, DbErr>>()?);
        }
        writing.execute(&insert).await?;
        sent += rows.len() as u64;
    }
    Ok(sent)
}
