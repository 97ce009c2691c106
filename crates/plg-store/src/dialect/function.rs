//! Several statements that are sent as one, each with rows of its own, and undone together (PostgreSQL).

use super::{Rows, Sql};
use sea_orm::sqlx::postgres::PgArguments;
use sea_orm::{ConnectionTrait, DbErr};
use std::sync::Arc;

/// A function that a session defines for itself, and that is gone with it: whatever program runs has its own, of which
/// the schema knows nothing. Its parameters are the columns of the rows, as arrays.
#[derive(Debug)]
pub(crate) struct Function {
    definition: String,
    call: Arc<str>,
}

/// A function, and what it is called with.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) sql: Arc<str>,
    pub(crate) arguments: PgArguments,
}

impl Function {
    /// Whose body is the text, in which each of its values stands for the parameter at its place.
    pub(crate) fn new(name: &str, returns: &str, rows: &[Rows], body: Sql) -> Self {
        let types: Vec<_> = rows.iter().flat_map(Rows::array_types).collect();
        let places: Vec<_> = (1..=types.len()).map(|place| format!("${place}")).collect();
        let (types, places, body) = (types.join(", "), places.join(", "), body.statement().sql);
        Self {
            definition: format!(
                "create or replace function pg_temp.{name}({types}) returns {returns} language plpgsql as $body$ \
                 {body} $body$"
            ),
            call: format!("select pg_temp.{name}({places})").into(),
        }
    }

    /// Defines it for this session, in a transaction of its own, which waits for no disk and no standby: it is gone with
    /// the session, whatever becomes of that.
    pub(crate) async fn define(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let wait_for_nothing = "select set_config('synchronous_commit', 'off', true)";
        db.execute_unprepared(&format!("{wait_for_nothing}; {}", self.definition)).await.map(drop)
    }

    /// With these rows.
    ///
    /// # Errors
    /// When a column is longer than the protocol can say.
    pub(crate) fn call(&self, rows: &[Rows]) -> Result<Call, DbErr> {
        let mut arguments = PgArguments::default();
        let pushed = rows.iter().try_for_each(|rows| rows.push_arrays(&mut arguments));
        pushed.map_err(|error| DbErr::Custom(error.to_string()))?;
        Ok(Call { sql: Arc::clone(&self.call), arguments })
    }
}
