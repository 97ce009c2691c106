//! Many rows as a source of a statement, or one as its values.

use super::Part;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::Value;
use sea_orm::sea_query::ArrayType;
use std::fmt::Write as _;
use uuid::Uuid;

/// Rows to hand to a statement, column by column.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    kind: ArrayType,
    sql_type: &'static str,
    values: Vec<Value>,
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn column(
        mut self,
        name: &'static str,
        (kind, sql_type): (ArrayType, &'static str),
        values: impl Iterator<Item = Value>,
    ) -> Self {
        self.columns.push(Column { name, kind, sql_type, values: values.collect() });
        self
    }

    pub(crate) fn uuid(self, name: &'static str, values: impl Iterator<Item = Uuid>) -> Self {
        self.column(name, (ArrayType::Uuid, "uuid"), values.map(Value::from))
    }

    pub(crate) fn int(self, name: &'static str, values: impl Iterator<Item = i32>) -> Self {
        self.column(name, (ArrayType::Int, "int"), values.map(Value::from))
    }

    pub(crate) fn big_int(self, name: &'static str, values: impl Iterator<Item = i64>) -> Self {
        self.column(name, (ArrayType::BigInt, "bigint"), values.map(Value::from))
    }

    pub(crate) fn text(self, name: &'static str, values: impl Iterator<Item = String>) -> Self {
        self.column(name, (ArrayType::String, "text"), values.map(Value::from))
    }

    /// Arrays hold no NULL here: absent is the empty text, which no identifier is. Read it back
    /// with `nullif(t.column, '')`.
    pub(crate) fn optional_text(
        self,
        name: &'static str,
        values: impl Iterator<Item = Option<String>>,
    ) -> Self {
        self.text(name, values.map(Option::unwrap_or_default))
    }

    pub(crate) fn date(self, name: &'static str, values: impl Iterator<Item = NaiveDate>) -> Self {
        self.column(name, (ArrayType::ChronoDate, "date"), values.map(Value::from))
    }

    pub(crate) fn instant(
        self,
        name: &'static str,
        values: impl Iterator<Item = DateTime<Utc>>,
    ) -> Self {
        let kind = (ArrayType::ChronoDateTimeUtc, "timestamptz");
        self.column(name, kind, values.map(Value::from))
    }

    /// How many columns it has.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn len(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// The expression with the first row's values where it says `t.name`.
    pub(super) fn push_into_expression(&self, expression: &str, parts: &mut Vec<Part>) {
        let mut pieces = expression.split("t.");
        parts.extend(pieces.next().map(|before| Part::Text(before.to_owned().into())));
        for piece in pieces {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = piece.find(|c| !is_name(c)).unwrap_or(piece.len());
            let (name, rest) = piece.split_at(end);
            let column = self.columns.iter().find(|column| column.name == name);
            parts.extend(column.and_then(|column| column.values.first()).cloned().map(Part::Bind));
            parts.push(Part::Text(rest.to_owned().into()));
        }
    }

    /// Side by side in the list of a SELECT, where PostgreSQL takes a value of each for every row. As functions of a
    /// FROM it would write each column down first, and read it again.
    pub(super) fn push_unnest(self, parts: &mut Vec<Part>) {
        for (index, column) in self.columns.into_iter().enumerate() {
            let before = if index == 0 { "(select unnest(" } else { ", unnest(" };
            parts.push(Part::Text(before.into()));
            parts.push(Part::Bind(Value::Array(column.kind, Some(Box::new(column.values)))));
            parts.push(Part::Text(format!("::{}[]) as {}", column.sql_type, column.name).into()));
        }
        parts.push(Part::Text(") as t".into()));
    }

    /// The types of its columns, as arrays (PostgreSQL).
    pub(super) fn array_types(&self) -> impl Iterator<Item = String> {
        self.columns.iter().map(|column| format!("{}[]", column.sql_type))
    }

    /// Its columns, as arrays (PostgreSQL).
    pub(super) fn into_arrays(self) -> impl Iterator<Item = Value> {
        let array = |column: Column| Value::Array(column.kind, Some(Box::new(column.values)));
        self.columns.into_iter().map(array)
    }

    pub(super) fn push_values(self, parts: &mut Vec<Part>) {
        let mut text = String::from("(select ");
        for (index, column) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}column{} as {}", index + 1, column.name);
        }
        text.push_str(" from (values ");
        let rows = self.len();
        let mut columns: Vec<_> = self.columns.into_iter().map(|c| c.values.into_iter()).collect();
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for (index, value) in columns.iter_mut().filter_map(Iterator::next).enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                parts.push(Part::Text(std::mem::take(&mut text).into()));
                parts.push(Part::Bind(value));
            }
            text.push(')');
        }
        text.push_str(")) as t");
        parts.push(Part::Text(text.into()));
    }
}
