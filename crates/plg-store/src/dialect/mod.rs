//! Where PostgreSQL and SQLite differ. Everything else in this crate is written once.
//!
//! | | PostgreSQL | SQLite |
//! |---|---|---|
//! | many rows as a source | one array per column, through `unnest` | `VALUES` |
//! | rows that may be there | looked for first | `ON CONFLICT` |
//! | row locks | `FOR UPDATE` | the write transaction is the lock |
//! | what an update changed | columns by alias | columns by name |
//! | several writes | one statement of several CTEs | several statements, sent as one |
//! | placeholders | `$1` | `?` |
//! | JSON | `jsonb` | text |
//! | a statement that fails | is taken back | is left half done: the transaction is rolled back |
//! | counts beside each row | `LATERAL` | one JSON array, taken apart |
//! | by whom a row was written | `xmin` | not noted |
//! | whether others are at work | `pg_stat_activity` | `data_version` |

mod activity;
mod function;
mod rows;

pub(crate) use activity::{COMMITS_OF_OTHERS, activity};
pub(crate) use function::{Call, Function};
pub(crate) use rows::Rows;

use plg_core::ids::HotelId;
use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use std::borrow::Cow;
use std::fmt::Write as _;
use uuid::Uuid;

/// A statement under construction: text and bound values in their order.
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    backend: DbBackend,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(Cow<'static, str>),
    Bind(Value),
    /// Many rows (SQLite).
    Values(Rows),
}

impl Sql {
    pub(crate) fn new(db: &impl ConnectionTrait, text: impl Into<Cow<'static, str>>) -> Self {
        let parts = vec![Part::Text(text.into())];
        Self { backend: db.get_database_backend(), parts }
    }

    pub(crate) fn text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.parts.push(Part::Bind(value.into()));
        self
    }

    /// Goes on with another one's text and values.
    pub(crate) fn then(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// The rows as a table named `t`.
    pub(crate) fn rows(mut self, rows: Rows) -> Self {
        match self.backend {
            DbBackend::Postgres => rows.push_unnest(&mut self.parts),
            _ => rows.push_values(&mut self.parts),
        }
        self
    }

    /// Inserts rows into a table with its columns, `hotel (hotel_id, plan)`: a value for each, as an
    /// expression of what the rows have, `t.name`.
    ///
    /// A single one is inserted as `VALUES`. Citus sends that to its node, but carries rows that come from a
    /// SELECT by way of the coordinator, which takes it five times as long.
    pub(crate) fn insert(db: &impl ConnectionTrait, into: &str, values: &str, rows: Rows) -> Self {
        if rows.len() == 1 {
            let mut insert = Self::insert_into(db, into).text("values (");
            rows.push_into_expression(values, &mut insert.parts);
            return insert.text(")");
        }
        Self::insert_all(db, into, values, rows)
    }

    /// Inserts as [`insert`](Self::insert) does, and from a SELECT always.
    pub(crate) fn insert_all(
        db: &impl ConnectionTrait,
        into: &str,
        values: &str,
        rows: Rows,
    ) -> Self {
        let select = format!("select {values} from ");
        // SQLite would read the ON of ON CONFLICT as a join's, were there no WHERE before it.
        Self::insert_into(db, into).text(select).rows(rows).text(" where true")
    }

    fn insert_into(db: &impl ConnectionTrait, into: &str) -> Self {
        Self::new(db, format!("insert {}into {into} ", or_fail(db)))
    }

    /// Inserts those of the rows that the table does not have, by an id and `hotel_id`. Their hotels are locked:
    /// nobody else inserts one of them meanwhile.
    ///
    /// So PostgreSQL can look for them first. For `ON CONFLICT` it looks, too, and then puts each row there on
    /// trial, with a lock of its own and one more record of the log. `VALUES` cannot look.
    pub(crate) fn insert_absent(
        db: &impl ConnectionTrait,
        table: &str,
        columns: &[&str],
        rows: Rows,
        id: &str,
        hotels: impl Iterator<Item = HotelId>,
    ) -> Self {
        let look = rows.len() > 1 && db.get_database_backend() == DbBackend::Postgres;
        let values = columns.iter().map(|name| format!("t.{name}")).collect::<Vec<_>>().join(", ");
        let into = format!("{table} ({})", columns.join(", "));
        let insert = Self::insert(db, &into, &values, rows);
        if !look {
            return insert.text(format!(" on conflict ({id}, hotel_id) do nothing"));
        }
        let present = format!("{table} g where g.{id} = t.{id} and g.hotel_id = t.hotel_id");
        insert
            .text(format!(" and not exists (select from {present}"))
            .of_one_hotel("g.hotel_id", hotels)
            .text(")")
    }

    /// Updates a table with its alias and what is set, `usage_monthly as u set imports = t.imports`, from rows.
    pub(crate) fn update(db: &impl ConnectionTrait, what: &str, rows: Rows) -> Self {
        Self::new(db, format!("update {}{what} from ", or_fail(db))).rows(rows)
    }

    /// `column` is one of `ids`, which are not empty. A single one is compared with `=`: of an array, Citus
    /// does not know that the rows joined by that column lie in one shard.
    pub(crate) fn any_of(mut self, column: &str, ids: impl IntoIterator<Item = Uuid>) -> Self {
        let ids: Vec<Value> = ids.into_iter().map(Value::from).collect();
        if let [id] = ids.as_slice() {
            return self.text(format!("{column} = ")).bind(id.clone());
        }
        if self.backend == DbBackend::Postgres {
            let array = Value::Array(ArrayType::Uuid, Some(Box::new(ids)));
            return self.text(format!("{column} = any(")).bind(array).text(")");
        }
        for (index, id) in ids.into_iter().enumerate() {
            let before = if index == 0 { format!("{column} in (") } else { ", ".to_owned() };
            self = self.text(before).bind(id);
        }
        self.text(")")
    }

    /// Says that `column` is this hotel, if all rows that the statement looks for are of one. Citus sends it
    /// to one node then. Otherwise each of them would work on it, one such statement after the other.
    pub(crate) fn of_one_hotel(
        self,
        column: &str,
        mut hotels: impl Iterator<Item = HotelId>,
    ) -> Self {
        match hotels.next() {
            Some(first) if hotels.all(|hotel| hotel == first) => {
                self.text(format!(" and {column} = ")).bind(first.0)
            }
            _ => self,
        }
    }

    /// Locks the rows of the table with this alias until the transaction ends.
    pub(crate) fn for_update_of(self, alias: &str) -> Self {
        match self.backend {
            DbBackend::Postgres => self.text(format!(" for update of {alias}")),
            _ => self,
        }
    }

    /// Answers an `update … from` with columns of the rows that it changed.
    pub(crate) fn returning(self, alias: &str, columns: &[&str]) -> Self {
        let column = |name: &&str| match self.backend {
            DbBackend::Postgres => format!("{alias}.{name}"),
            // Here it knows no other table, and this one not by its alias.
            _ => (*name).to_owned(),
        };
        let columns = columns.iter().map(column).collect::<Vec<_>>().join(", ");
        self.text(" returning ").text(columns)
    }

    /// `select columns… from source`, and behind them aggregates over the rows of `table` (alias `e`) that meet the
    /// condition, one set of aggregates for each row of the source. Columns are those of the source's table `u`.
    ///
    /// SQLite would sort what it groups, and keep all of that in memory. A subquery counts as it reads, but has one
    /// value: so that is an array. It is made once, not once for each of its elements, as the CTE is materialized.
    pub(crate) fn aggregates_beside(
        db: &impl ConnectionTrait,
        columns: &str,
        aggregates: &[String],
        source: impl FnOnce(Self) -> Self,
        (table, condition): (&str, &str),
    ) -> Self {
        if db.get_database_backend() == DbBackend::Postgres {
            let named = aggregates.iter().enumerate().map(|(n, count)| format!("{count} as a{n}"));
            let named = named.collect::<Vec<_>>().join(", ");
            source(Self::new(db, format!("select {columns}, a.* from ")))
                .text(format!(" cross join lateral (select {named} from {table} e "))
                .text(format!("where {condition}) a"))
        } else {
            let counts = format!("json_array({})", aggregates.join(", "));
            let counts = format!("(select {counts} from {table} e where {condition}) as counts");
            let apart = (0..aggregates.len()).map(|n| format!("counts ->> {n}"));
            let apart = apart.collect::<Vec<_>>().join(", ");
            source(Self::new(db, format!("with u as materialized (select u.*, {counts} from ")))
                .text(format!(") select {columns}, {apart} from u"))
        }
    }

    pub(crate) fn statement(self) -> Statement {
        let (mut text, mut values) = (String::new(), Vec::new());
        render(self.backend, self.parts, &mut text, &mut values);
        Statement::from_sql_and_values(self.backend, text, values)
    }
}

/// What a statement does when it cannot go on. SQLite would take back what it has done so far, and writes an undo log
/// of each for that. Whoever sees an error rolls the transaction back.
fn or_fail(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => "",
        _ => "or fail ",
    }
}

/// The number of the transaction that has written a row of this alias. SQLite notes none.
pub(crate) fn writer_of(db: &impl ConnectionTrait, alias: &str) -> String {
    match db.get_database_backend() {
        DbBackend::Postgres => format!("cast(cast({alias}.xmin as text) as bigint)"),
        _ => "0".to_owned(),
    }
}

/// A text expression, stored as JSON.
pub(crate) fn json(db: &impl ConnectionTrait, expression: &str) -> String {
    match db.get_database_backend() {
        DbBackend::Postgres => format!("cast({expression} as jsonb)"),
        _ => expression.to_owned(),
    }
}

/// SQLite's placeholders stay anonymous: the driver looks up the name of each numbered one, which
/// takes time with the square of their number.
fn render(backend: DbBackend, parts: Vec<Part>, text: &mut String, values: &mut Vec<Value>) {
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(&part),
            Part::Values(rows) => rows.render(text, values),
            Part::Bind(value) => {
                values.push(value);
                if backend == DbBackend::Postgres {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "${}", values.len());
                } else {
                    text.push('?');
                }
            }
        }
    }
}

/// Runs writes that do not depend on each other's effects, in one round trip.
pub(crate) async fn execute_all(db: &impl ConnectionTrait, writes: Vec<Sql>) -> Result<(), DbErr> {
    if !writes.is_empty() {
        db.execute_raw(as_one(db.get_database_backend(), writes)).await?;
    }
    Ok(())
}

/// Writes that do not depend on each other's effects, as one statement; on SQLite any, in their order.
pub(crate) fn as_one(backend: DbBackend, writes: Vec<Sql>) -> Statement {
    let (mut text, mut values) = (String::new(), Vec::new());
    let last = writes.len().saturating_sub(1);
    for (index, write) in writes.into_iter().enumerate() {
        let is_cte = backend == DbBackend::Postgres && index < last;
        if is_cte {
            text.push_str(if index == 0 { "with " } else { ", " });
            let _ = write!(text, "w{index} as (");
        }
        render(backend, write.parts, &mut text, &mut values);
        text.push_str(match (backend, is_cte) {
            (DbBackend::Postgres, true) => ") ",
            (DbBackend::Postgres, false) => "",
            _ => "; ",
        });
    }
    Statement::from_sql_and_values(backend, text, values)
}
