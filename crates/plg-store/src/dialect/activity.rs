//! What tells that others were at work on the database.

use super::Sql;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

/// How often all other connections have committed something (SQLite): each counts for itself.
pub(crate) const COMMITS_OF_OTHERS: &str = "PRAGMA data_version";

/// Asks for a number that changes when other programs have worked, and not by what sessions of these names do.
///
/// PostgreSQL tells when their sessions last began or ended a statement, to whoever has the same role or is a member
/// of `pg_read_all_stats`. What Citus's nodes do among themselves they do for a session that is there, too; some of it
/// for our own. SQLite counts, for each connection, the commits of all others: ask on the one that writes.
pub(crate) fn activity(db: &impl ConnectionTrait, quiet_names: [&str; 2]) -> Statement {
    match db.get_database_backend() {
        DbBackend::Postgres => Sql::new(
            db,
            "select cast(extract(epoch from max(state_change)) * 1000000 as bigint) \
             from pg_stat_activity where datname = current_database() \
             and backend_type = 'client backend' \
             and application_name not like 'citus\\_%' and application_name not in (",
        )
        .bind(quiet_names[0])
        .text(", ")
        .bind(quiet_names[1])
        .text(")")
        .statement(),
        _ => Sql::new(db, COMMITS_OF_OTHERS).statement(),
    }
}
