//! Many rows as a source of a statement, or one as its values.

use super::Part;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::Value;
use sea_orm::sea_query::ArrayType;
use sea_orm::sqlx::Arguments as _;
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::postgres::PgArguments;
use std::fmt::Write as _;
use std::vec;
use uuid::Uuid;

/// Rows to hand to a statement, column by column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    columns: Vec<Column>,
}

#[derive(Debug, Clone)]
struct Column {
    name: &'static str,
    values: Values,
}

/// Kinds of values, with how PostgreSQL calls each, and sea-query an array of it.
macro_rules! kinds {
    ($($kind:ident($type:ty) is $sql_type:literal, $array:ident;)*) => {
        #[derive(Debug, Clone)]
        enum Values {
            $($kind(Vec<$type>),)*
        }

        impl Values {
            const fn sql_type(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $sql_type,)*
                }
            }

            fn len(&self) -> usize {
                match self {
                    $(Self::$kind(values) => values.len(),)*
                }
            }

            fn first(&self) -> Option<Value> {
                match self {
                    $(Self::$kind(values) => values.first().cloned().map(Value::from),)*
                }
            }

            fn into_each(self) -> vec::IntoIter<Value> {
                let each: Vec<Value> = match self {
                    $(Self::$kind(values) => values.into_iter().map(Value::from).collect(),)*
                };
                each.into_iter()
            }

            fn into_array(self) -> Value {
                let array = match self {
                    $(Self::$kind(_) => ArrayType::$array,)*
                };
                Value::Array(array, Some(Box::new(self.into_each().collect())))
            }

            fn push_into(&self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
                match self {
                    $(Self::$kind(values) => arguments.add(values),)*
                }
            }
        }
    };
}

kinds! {
    Uuid(Uuid) is "uuid", Uuid;
    Int(i32) is "int", Int;
    BigInt(i64) is "bigint", BigInt;
    Text(String) is "text", String;
    Date(NaiveDate) is "date", ChronoDate;
    Instant(DateTime<Utc>) is "timestamptz", ChronoDateTimeUtc;
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn column(mut self, name: &'static str, values: Values) -> Self {
        self.columns.push(Column { name, values });
        self
    }

    pub(crate) fn uuid(self, name: &'static str, values: impl Iterator<Item = Uuid>) -> Self {
        self.column(name, Values::Uuid(values.collect()))
    }

    pub(crate) fn int(self, name: &'static str, values: impl Iterator<Item = i32>) -> Self {
        self.column(name, Values::Int(values.collect()))
    }

    pub(crate) fn big_int(self, name: &'static str, values: impl Iterator<Item = i64>) -> Self {
        self.column(name, Values::BigInt(values.collect()))
    }

    pub(crate) fn text(self, name: &'static str, values: impl Iterator<Item = String>) -> Self {
        self.column(name, Values::Text(values.collect()))
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
        self.column(name, Values::Date(values.collect()))
    }

    pub(crate) fn instant(
        self,
        name: &'static str,
        values: impl Iterator<Item = DateTime<Utc>>,
    ) -> Self {
        self.column(name, Values::Instant(values.collect()))
    }

    /// How many columns it has.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
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
            parts.extend(column.and_then(|column| column.values.first()).map(Part::Bind));
            parts.push(Part::Text(rest.to_owned().into()));
        }
    }

    /// Side by side in the list of a SELECT, where PostgreSQL takes a value of each for every row. As functions of a
    /// FROM it would write each column down first, and read it again.
    pub(super) fn push_unnest(self, parts: &mut Vec<Part>) {
        for (index, column) in self.columns.into_iter().enumerate() {
            let before = if index == 0 { "(select unnest(" } else { ", unnest(" };
            parts.push(Part::Text(before.into()));
            let cast = format!("::{}[]) as {}", column.values.sql_type(), column.name);
            parts.push(Part::Bind(column.values.into_array()));
            parts.push(Part::Text(cast.into()));
        }
        parts.push(Part::Text(") as t".into()));
    }

    /// The types of its columns, as arrays (PostgreSQL).
    pub(super) fn array_types(&self) -> impl Iterator<Item = String> {
        self.columns.iter().map(|column| format!("{}[]", column.values.sql_type()))
    }

    /// Its columns, as arrays (PostgreSQL). By themselves: as values of a statement each would be copied twice on its way.
    pub(super) fn push_arrays(&self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        self.columns.iter().try_for_each(|column| column.values.push_into(arguments))
    }

    /// As `VALUES` (SQLite).
    pub(super) fn push_values(self, parts: &mut Vec<Part>) {
        let mut text = String::from("(select ");
        for (index, column) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}column{} as {}", index + 1, column.name);
        }
        text.push_str(" from (values ");
        parts.extend([Part::Text(text.into()), Part::Values(self), Part::Text(")) as t".into())]);
    }

    /// `(?, ?), (?, ?)`, and the values for that.
    pub(super) fn render(self, text: &mut String, values: &mut Vec<Value>) {
        let rows = self.len();
        let row = format!("({})", vec!["?"; self.width()].join(", "));
        text.push_str(&vec![row.as_str(); rows].join(", "));
        values.reserve(rows * self.width());
        let mut columns: Vec<_> = self.columns.into_iter().map(|c| c.values.into_each()).collect();
        for _ in 0..rows {
            values.extend(columns.iter_mut().filter_map(Iterator::next));
        }
    }
}
