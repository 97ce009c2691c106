//! Checks the books of a database from outside: every counter against the events that stand there,
//! with a statement of its own for each promise.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

/// What makes a hotel-month's books wrong, as SQL over `usage_monthly u` and its events `e`.
const CHECKS: [(&str, &str); 5] = [
    (
        "imports are not the import_success events",
        "select count(*) as n from usage_monthly u where u.imports <> (select count(*) from \
         product_event e where e.hotel_id = u.hotel_id and e.month = u.month \
         and e.event_type = 'import_success')",
    ),
    (
        "exports are not the export_success events",
        "select count(*) as n from usage_monthly u where u.exports <> (select count(*) from \
         product_event e where e.hotel_id = u.hotel_id and e.month = u.month \
         and e.event_type = 'export_success')",
    ),
    (
        "seats are not the opening balance and the seat events",
        "select count(*) as n from usage_monthly u where u.active_users - u.opening_active_users <> \
         (select count(case when e.event_type = 'seat_added' then 1 end) \
               - count(case when e.event_type = 'seat_removed' then 1 end) \
          from product_event e where e.hotel_id = u.hotel_id and e.month = u.month)",
    ),
    (
        "the sequence has a gap",
        "select count(*) as n from usage_monthly u where u.last_seq <> \
         (select count(*) from product_event e where e.hotel_id = u.hotel_id \
          and e.month = u.month and e.seq between 1 and u.last_seq) or u.last_seq <> \
         (select coalesce(max(e.seq), 0) from product_event e where e.hotel_id = u.hotel_id \
          and e.month = u.month)",
    ),
    (
        "seats held are not the seats counted",
        "select count(*) as n from usage_monthly u where not u.closed and u.active_users <> \
         (select count(*) from seat s where s.hotel_id = u.hotel_id)",
    ),
];

/// What is wrong with a database's books; empty when nothing is.
pub async fn errors(db: &impl ConnectionTrait) -> Vec<String> {
    let mut errors = Vec::new();
    for (what, sql) in CHECKS {
        let wrong = number(db, sql).await;
        if wrong > 0 {
            errors.push(format!("{what} in {wrong} hotel-months"));
        }
    }
    errors
}

/// Panics when something is wrong with a database's books.
///
/// # Panics
/// With what is wrong.
pub async fn assert_balanced(db: &impl ConnectionTrait) {
    let errors = errors(db).await;
    assert!(errors.is_empty(), "{errors:?}");
}

/// The number `n` that a statement selects.
pub async fn number(db: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.expect("reads").expect("a row");
    row.try_get("", "n").expect("a number n")
}

/// Changes something behind the service's back.
pub async fn damage(db: &impl ConnectionTrait, sql: &str) -> u64 {
    db.execute_unprepared(sql).await.expect("damages").rows_affected()
}

/// A UUID as a literal in SQL, which each database writes in its own way.
pub fn uuid(db: &impl ConnectionTrait, id: Uuid) -> String {
    match db.get_database_backend() {
        DbBackend::Sqlite => format!("x'{}'", id.simple()),
        _ => format!("'{id}'::uuid"),
    }
}

/// The month that it is in UTC, as the database writes it.
pub fn current_month() -> String {
    chrono::Utc::now().format("%Y%m").to_string()
}
