//! Large databases, made with bulk SQL instead of with requests. Their books are in order.

use plg_testkit::ledger;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use std::time::Duration;

/// The month that it is, as `YYYYMM`, and the one so many months before.
pub(crate) fn month_before(months: i64) -> i64 {
    let now: i64 = ledger::current_month().parse().expect("a number");
    let count = (now / 100) * 12 + (now % 100) - 1 - months;
    (count / 12) * 100 + count % 12 + 1
}

/// A connection whose statements may take long.
pub(crate) async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).acquire_timeout(Duration::from_secs(60));
    Database::connect(options).await.expect("connects")
}

/// A hotel's id as SQL, from its number.
fn hotel(number: &str) -> String {
    format!("lpad(to_hex({number}), 32, '0')::uuid")
}

pub(crate) async fn partition(db: &DatabaseConnection, month: i64) {
    let create = format!(
        "create table if not exists product_event_{month} partition of product_event \
         for values from ({month}) to ({})",
        month + 1
    );
    ledger::damage(db, &create).await;
}

/// `events` imports of each of `hotels` hotels in a month. With `verified`, the reconciliation has seen
/// them; with `open`, it is the month that is written to.
pub(crate) async fn fill_month(
    db: &DatabaseConnection,
    month: i64,
    (hotels, events): (u64, u64),
    verified: bool,
    open: bool,
) {
    partition(db, month).await;
    let rows = format!(
        "insert into product_event (hotel_id, month, seq, event_type, user_id, dedup_key, day, recorded_at) \
         select {}, {month}, e, 'import_success', '00000000-0000-0000-0000-000000000007', \
         'seed-' || {month} || '-' || e, to_date('{month}01', 'YYYYMMDD'), \
         to_timestamp('{month}01', 'YYYYMMDD') \
         from generate_series(0::bigint, {hotels} - 1) h, generate_series(1::bigint, {events}) e",
        hotel("h")
    );
    ledger::damage(db, &rows).await;
    let seen = if verified { events } else { 0 };
    let usage = format!(
        "insert into usage_monthly (hotel_id, month, closed, imports, last_seq, last_recorded_at, \
         verified_imports, rolled_seq) \
         select {}, {month}, {}, {events}, {events}, to_timestamp('{month}01', 'YYYYMMDD'), {seen}, \
         {seen} from generate_series(0::bigint, {hotels} - 1) h",
        hotel("h"),
        !open
    );
    ledger::damage(db, &usage).await;
}

/// As many gates of jobs that passed long ago.
pub(crate) async fn fill_gates(db: &DatabaseConnection, gates: u64) {
    let sql = format!(
        "insert into event_gate (gate_id, hotel_id, passed_at) \
         select gen_random_uuid(), {}, now() - interval '40 days' \
         from generate_series(1::bigint, {gates}) g order by 1",
        hotel("g % 1000")
    );
    ledger::damage(db, &sql).await;
}

/// What the server would do by itself in a while.
pub(crate) async fn settle(db: &DatabaseConnection) {
    for table in ["product_event", "usage_monthly", "event_gate"] {
        ledger::damage(db, &format!("vacuum (analyze) {table}")).await;
    }
    ledger::damage(db, "checkpoint").await;
}
