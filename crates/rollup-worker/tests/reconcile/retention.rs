//! Forgetting what is old: only what is reconciled, and never what a rule may still ask for.

use crate::process::Worker;
use crate::support::{Books, NOON, STANDSTILL, full, incremental};
use futures_util::TryStreamExt as _;
use plg_core::ids::HotelId;
use plg_store::connect::Planning;
use plg_store::rollup::{self, HotelMonth, Scope};
use plg_testkit::commands::{click, hotel, import};
use plg_testkit::{Backend, TestDatabase, ledger};
use rollup_worker::arguments::Retain;
use rollup_worker::retain::{Forgotten, RetainError, retain};
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};
use uuid::Uuid;

const HOTEL: HotelId = hotel(1);

pub(crate) const KEEP_TWO_MONTHS: Retain = Retain { months: 2, gate_months: 13, json: false };
const KEEP_ONE_MONTH: Retain = Retain { months: 1, ..KEEP_TWO_MONTHS };

impl Books {
    pub(crate) async fn retain(&self, keep: &Retain) -> Result<Forgotten, RetainError> {
        let connections = self.connections().await;
        let result = retain(&connections, keep, &self.clock).await;
        connections.close().await;
        result
    }

    /// The tables of the months that have begun, attached or not.
    async fn tables(&self) -> Vec<String> {
        let select = "select cast(relname as text) as name from pg_class where relkind = 'r' and \
                      relname between 'product_event_2' and 'product_event_202701' order by 1";
        let statement = Statement::from_string(self.db.get_database_backend(), select);
        let rows = self.db.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get("", "name").unwrap()).collect()
    }

    pub(crate) async fn count(&self, what: &str) -> i64 {
        ledger::number(&self.db, &format!("select count(*) as n from {what}")).await
    }
}

/// November to January, one month each.
async fn three_months(backend: Backend) -> Books {
    spend_three_months(Books::new(backend).await).await
}

/// The same, reconciled, on a PostgreSQL that is not distributed.
async fn three_months_on_one_machine() -> Books {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let books = spend_three_months(Books::on(database).await).await;
    books.reconcile(&incremental()).await;
    books
}

async fn spend_three_months(books: Books) -> Books {
    books.spend_a_day(&[HOTEL]).await;
    for month in ["2026-12-10T12:00:00Z", "2027-01-10T12:00:00Z"] {
        books.clock.set_to(month);
        books.record(&[click(HOTEL), import(HOTEL, month)]).await;
    }
    books
}

/// In Honolulu it is November for ten hours more, and on the last islands for twelve.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_stays_until_it_has_ended_everywhere(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = Books::of(backend, &[HOTEL]).await;
    for (instant, before) in [
        ("2026-12-01T05:00:00Z", "2026-11"),
        ("2026-12-01T11:59:59Z", "2026-11"),
        ("2026-12-01T12:00:00Z", "2026-12"),
    ] {
        books.clock.set_to(instant);
        books.reconcile(&incremental()).await;
        let forgotten = books.retain(&KEEP_ONE_MONTH).await.unwrap();
        assert_eq!(forgotten.dropped_before.to_string(), before, "{instant}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn old_months_go_and_their_counters_stay(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = three_months(backend).await;
    books.reconcile(&incremental()).await;
    let usage = books.usage().await;

    let forgotten = books.retain(&KEEP_TWO_MONTHS).await.unwrap();

    assert_eq!(forgotten.dropped_before.to_string(), "2026-12");
    match backend {
        Backend::Postgres => assert_eq!((forgotten.months, forgotten.events), (1, 0)),
        Backend::Sqlite => assert_eq!((forgotten.months, forgotten.events), (0, 6)),
    }
    assert_eq!(books.count("product_event where month < 202612").await, 0);
    assert_eq!(books.count("product_event").await, 4);
    assert_eq!(books.usage().await, usage);

    // What was dropped is not missing, and the log goes on.
    let run = books.reconcile(&full()).await;
    assert_eq!((run.figures.hotel_months, run.figures.missing, run.figures.drifted), (2, 0, 0));
    let again = books.retain(&KEEP_TWO_MONTHS).await.unwrap();
    assert_eq!((again.months, again.events), (0, 0));
    books.record(&[click(HOTEL)]).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_goes_while_it_is_recounted_is_not_missing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = three_months(backend).await;
    books.reconcile(&incremental()).await;
    let scope = Scope { full: true, ..Scope::default() };
    let candidates = rollup::candidates(&books.db, &scope).await.unwrap();
    let keys = candidates.map_ok(|candidate| candidate.key);
    let found: Vec<HotelMonth> = keys.try_collect().await.unwrap();
    assert_eq!(found.len(), 3);

    books.retain(&KEEP_TWO_MONTHS).await.unwrap();

    let read = rollup::read(&books.db, &found, true).await.unwrap();
    let mut months: Vec<_> = read.iter().map(|reading| reading.key.month.to_string()).collect();
    months.sort_unstable();
    assert_eq!(months, ["2026-12", "2027-01"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_that_is_not_reconciled(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = three_months(backend).await;
    let refusal = books.retain(&KEEP_TWO_MONTHS).await.unwrap_err().to_string();
    assert!(refusal.contains("1 hotel-months before 2026-12 are not reconciled"), "{refusal}");
    assert_eq!(books.count("product_event").await, 10);

    books.reconcile(&incremental()).await;
    books.damage(HOTEL, "2026-11", "exports = exports + 1").await;
    assert!(books.retain(&KEEP_TWO_MONTHS).await.is_err());
    assert_eq!(books.count("product_event").await, 10);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_remembered_for_its_horizon(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = three_months(backend).await;
    books.reconcile(&incremental()).await;
    let gates = books.count("event_gate").await;
    assert!(gates > 0);

    let months = |months| Retain { months, gate_months: 13, json: false };
    books.clock.set_to("2027-12-09T00:00:00Z");
    books.retain(&months(1)).await.unwrap();
    assert!(books.count("event_gate").await > 0, "December's job is 12 months old");
    books.clock.set_to("2028-02-11T00:00:00Z");
    books.retain(&months(1)).await.unwrap();
    assert_eq!(books.count("event_gate").await, 0);
    assert_eq!(books.count("product_event").await, 0);
}

/// PostgreSQL only: SQLite has no partitions. Citus drops a month at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_while_it_waited_for_readers_goes_on() {
    let books = three_months_on_one_machine().await;
    let reader = books.database.connect().await;
    let reading = reader.begin().await.unwrap();
    ledger::number(&reading, "select count(*) as n from product_event").await;

    let waits = "select pid from pg_stat_activity where datname = current_database() and query like \
                 '%detach partition%concurrently' and wait_event_type = 'Lock'";
    let kill = format!("select count(pg_terminate_backend(pid)) as n from ({waits}) as w");
    let killed = async { while ledger::number(&books.db, &kill).await == 0 {} };
    let killed = tokio::time::timeout(STANDSTILL, killed);
    let (interrupted, killed) = tokio::join!(books.retain(&KEEP_TWO_MONTHS), killed);

    killed.expect("it waits for the reader");
    interrupted.unwrap_err();
    reading.rollback().await.unwrap();
    let half = "pg_inherits where inhdetachpending";
    assert_eq!(books.count(half).await, 1, "a month is half detached");
    let forgotten = books.retain(&KEEP_TWO_MONTHS).await.unwrap();
    assert_eq!(forgotten.months, 1);
    assert_eq!(books.tables().await, ["product_event_202612", "product_event_202701"]);
    books.clock.set_to("2027-02-10T12:00:00Z");
    assert_eq!(books.retain(&KEEP_TWO_MONTHS).await.unwrap().months, 1);
}

/// As the first process of a container it would not even hear of signals.
#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_it_is_asked_to() {
    let database = TestDatabase::on_one_machine(Backend::Postgres).await;
    let books = Books::on(database).await;
    // The process has the system's clock: for it this month has passed.
    books.clock.set_to("2024-01-10T12:00:00Z");
    books.spend_a_day(&[HOTEL]).await;
    books.reconcile(&incremental()).await;
    let reader = books.database.connect().await;
    let reading = reader.begin().await.unwrap();
    ledger::number(&reading, "select count(*) as n from product_event").await;

    let worker = Worker::of(&books).start(&["retain", "--months", "1"]);
    let waits = "pg_stat_activity where datname = current_database() and query like \
                 '%detach partition%concurrently' and wait_event_type = 'Lock'";
    let waiting = async { while books.count(waits).await == 0 {} };
    tokio::time::timeout(STANDSTILL, waiting).await.expect("it waits for the reader");
    let ended = tokio::task::spawn_blocking(|| worker.terminate());
    let ended = tokio::time::timeout(STANDSTILL, ended).await.expect("it stops").unwrap();

    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("the next run goes on"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_was_detached_is_dropped_if_it_was_to_be() {
    let books = three_months_on_one_machine().await;
    // As an operator, who wants to keep it; and as a worker that is killed before it drops it.
    for (month, comment) in
        [("202611", "the archive"), ("202612", "being dropped by rollup-worker retain")]
    {
        for sql in [
            format!("comment on table product_event_{month} is '{comment}'"),
            format!("alter table product_event detach partition product_event_{month}"),
        ] {
            ledger::damage(&books.db, &sql).await;
        }
    }

    // That worker would have kept one month.
    let forgotten = books.retain(&KEEP_TWO_MONTHS).await.unwrap();
    assert_eq!(forgotten.months, 0);
    books.clock.set_to("2027-02-10T12:00:00Z");
    let forgotten = books.retain(&KEEP_TWO_MONTHS).await.unwrap();
    assert_eq!(forgotten.months, 1);
    assert_eq!(books.tables().await, ["product_event_202611", "product_event_202701"]);
}

/// As when more was to be dropped, by mistake, and that was interrupted.
#[tokio::test(flavor = "multi_thread")]
async fn months_that_are_there_are_counted_again_whatever_was_to_be_dropped() {
    let books = three_months_on_one_machine().await;
    let planned = "insert into event_retention (dropped_before, dropped_at) \
                   values (202701, '2027-01-10T12:00:00Z')";
    ledger::damage(&books.db, planned).await;
    assert_eq!(books.reconcile(&full()).await.figures.hotel_months, 1);

    assert_eq!(books.retain(&KEEP_TWO_MONTHS).await.unwrap().months, 1);

    let run = books.reconcile(&full()).await;
    assert_eq!((run.figures.hotel_months, run.figures.missing), (2, 0));
    // A call that had dropped more before it was interrupted is remembered.
    let dropped = "alter table product_event detach partition product_event_202612";
    ledger::damage(&books.db, dropped).await;
    ledger::damage(&books.db, "drop table product_event_202612").await;
    let planned = planned.replace("202701", "202702");
    ledger::damage(&books.db, &planned).await;
    assert_eq!(books.retain(&KEEP_TWO_MONTHS).await.unwrap().months, 0);
    let run = books.reconcile(&full()).await;
    assert_eq!((run.figures.hotel_months, run.figures.missing), (1, 0));
}

/// SQLite has no partitions that show which months are left.
#[tokio::test(flavor = "multi_thread")]
async fn months_that_an_interruption_has_left_are_counted_again() {
    let books = spend_three_months(Books::new(Backend::Sqlite).await).await;
    books.reconcile(&incremental()).await;
    let interrupt = "create trigger interrupt before delete on product_event \
                     begin select raise(abort, 'interrupted'); end";
    ledger::damage(&books.db, interrupt).await;
    books.retain(&KEEP_ONE_MONTH).await.unwrap_err();
    let run = books.reconcile(&full()).await;
    assert_eq!((run.figures.hotel_months, run.figures.missing), (2, 0));

    ledger::damage(&books.db, "drop trigger interrupt").await;
    assert!(books.retain(&KEEP_ONE_MONTH).await.unwrap().events > 0);
    let run = books.reconcile(&full()).await;
    assert_eq!((run.figures.hotel_months, run.figures.missing), (1, 0));
}

/// Where the first schema of the search path is another one than the log's, new months are made there.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_in_another_schema_is_dropped() {
    let books = three_months_on_one_machine().await;
    for sql in ["create schema apart", "alter table product_event_202611 set schema apart"] {
        ledger::damage(&books.db, sql).await;
    }
    assert_eq!(books.retain(&KEEP_TWO_MONTHS).await.unwrap().months, 1);
    assert_eq!(books.tables().await, ["product_event_202612", "product_event_202701"]);
}

/// PostgreSQL only: SQLite has no partitions.
#[tokio::test(flavor = "multi_thread")]
async fn the_partitions_of_the_months_to_come_are_made_ahead() {
    let books = Books::new(Backend::Postgres).await;
    books.reconcile(&incremental()).await;
    let existing = plg_store::partitions::existing(&books.db).await.unwrap();
    let names: Vec<_> = existing.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["2026-11", "2026-12", "2027-01", "2027-02"]);
}

/// More than a statement deletes at once, and what is to stay between it.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_old_goes_however_much_it_is(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const ROWS: i64 = 2_500;

    // It is written as no distributed database takes it.
    let books =
        spend_three_months(Books::on(TestDatabase::on_one_machine(backend).await).await).await;
    let of_month = |month: i64| {
        format!(
            "with recursive n(i) as (select 7 union all select i + 1 from n where i < {ROWS}) \
             insert into product_event (hotel_id, month, seq, event_type, user_id, day, recorded_at) \
             select hotel_id, month, i, 'upgrade_click', user_id, day, recorded_at \
             from product_event, n where month = {month} and seq = 1"
        )
    };
    for month in [202_611, 202_612] {
        ledger::damage(&books.db, &of_month(month)).await;
        let update = format!("update usage_monthly set last_seq = {ROWS} where month = {month}");
        ledger::damage(&books.db, &update).await;
    }
    let new_uuid = match backend {
        Backend::Sqlite => "randomblob(16)",
        Backend::Postgres => "gen_random_uuid()",
    };
    ledger::damage(&books.db, "delete from event_gate").await;
    for day in ["2024-01-01", "2027-01-09"] {
        let gates = format!(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < {ROWS}) \
             insert into event_gate (gate_id, hotel_id, passed_at) \
             select {new_uuid}, {new_uuid}, '{day}T12:00:00.000000+00:00' from n"
        );
        ledger::damage(&books.db, &gates).await;
    }
    books.reconcile(&incremental()).await;
    let left = books.count("product_event where month > 202611").await;

    let forgotten = books.retain(&KEEP_TWO_MONTHS).await.unwrap();

    assert_eq!(forgotten.gates, 2_500);
    assert_eq!(books.count("event_gate").await, ROWS);
    assert_eq!(books.count("product_event").await, left);
    if backend == Backend::Sqlite {
        assert_eq!(forgotten.events, 2_500);
    }
}

/// SQLite has no index by time, and reads all.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_found_without_reading_what_is_new() {
    let books = Books::on(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    // One session, as each tells for itself what it has read.
    let url = books.database.url().parse().unwrap();
    let db = plg_store::connect::single(&url, Planning::Fresh).await.unwrap();
    // The server would do by itself, at any moment, what is done by hand below, and be counted.
    ledger::damage(&db, "alter table event_gate set (autovacuum_enabled = off)").await;
    let insert = async |age: &str, rows: u32| {
        let gates = format!(
            "insert into event_gate select gen_random_uuid(), gen_random_uuid(), \
             timestamptz '{NOON}' - interval '{age}' from generate_series(1, {rows})"
        );
        ledger::damage(&db, &gates).await;
    };
    insert("20 months", 1_000).await;
    // In pieces, each of which a busy machine has done before its deadline.
    for _ in 0..10 {
        insert("1 day", 20_000).await;
    }
    // What the server does by itself in a while.
    ledger::damage(&db, "vacuum (analyze) event_gate").await;
    // What that has read is told now, or after the reset.
    for tell in ["pg_stat_force_next_flush()", "pg_stat_reset()"] {
        ledger::number(&db, &format!("select 1::bigint as n from {tell}")).await;
    }

    let forgotten = books.retain(&KEEP_TWO_MONTHS).await.unwrap();

    assert_eq!(forgotten.gates, 1_000);
    // Two ranges of pages, twice: that of the old ones, and the last, of which the index knows nothing yet.
    books.sessions_ended().await;
    let read = "select idx_tup_fetch + seq_tup_read as n from pg_stat_user_tables \
                where relname = 'event_gate'";
    let read = ledger::number(&db, read).await;
    assert!((1_000..100_000).contains(&read), "{read} rows");
}

/// Not once for each of the statements that delete it; nor what has taken the place of what was old before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_read_once() {
    const ROWS: i64 = 100_000;
    const PIECE: usize = 20_000;

    let books = Books::on(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    let url = books.database.url().parse().unwrap();
    let db = plg_store::connect::single(&url, Planning::Fresh).await.unwrap();
    let tables = [("event_gate", ""), ("event_window", ", 1")];
    for (table, _) in tables {
        // As above.
        ledger::damage(&db, &format!("alter table {table} set (autovacuum_enabled = off)")).await;
    }
    let fill = async |months: u32, rows: i64| {
        for (table, columns) in tables {
            for piece in (0..rows).step_by(PIECE) {
                let insert = format!(
                    "insert into {table} select gen_random_uuid(), gen_random_uuid(), timestamptz '{NOON}' \
                     - interval '{months} months'{columns} from generate_series({piece} + 1, least({rows}, {piece} + {PIECE}))",
                );
                ledger::damage(&db, &insert).await;
            }
        }
    };
    // The last row keeps the table as long as it is, when all before it are gone.
    for (used_again, new) in [(0, 1), (ROWS, 0)] {
        fill(0, used_again).await;
        fill(20, ROWS).await;
        fill(0, new).await;
        for (table, _) in tables {
            ledger::damage(&db, &format!("vacuum (analyze) {table}")).await;
        }
        for tell in ["pg_stat_force_next_flush()", "pg_stat_reset()"] {
            ledger::number(&db, &format!("select 1::bigint as n from {tell}")).await;
        }

        let forgotten = books.retain(&KEEP_TWO_MONTHS).await.unwrap();

        assert_eq!((forgotten.gates, forgotten.windows), (100_000, 100_000));
        books.sessions_ended().await;
        for (table, _) in tables {
            let read = "select idx_tup_fetch + seq_tup_read as n from pg_stat_user_tables";
            let read = ledger::number(&db, &format!("{read} where relname = '{table}'")).await;
            // When they are found, and when they are deleted.
            assert!(read <= 2 * ROWS + used_again + ROWS / 10, "{read} rows of {table}");
            ledger::damage(&db, &format!("vacuum {table}")).await;
        }
    }
}

/// Else all of its events would be missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_noted_of_a_month_that_is_gone_is_never_lost() {
    const KEEP_THREE_MONTHS: Retain = Retain { months: 3, ..KEEP_TWO_MONTHS };

    let books = three_months_on_one_machine().await;
    books.retain(&KEEP_TWO_MONTHS).await.unwrap();
    // As if it was to drop December, too, and was interrupted.
    ledger::damage(&books.db, "update event_retention set dropped_before = 202701").await;
    let interrupt = "create function interrupt() returns trigger language plpgsql as $$ begin \
                     if new.dropped_before = 202612 then raise exception 'interrupted'; end if; \
                     return new; end $$; create trigger interrupt before insert on event_retention \
                     for each row execute function interrupt()";
    ledger::damage(&books.db, interrupt).await;
    books.retain(&KEEP_THREE_MONTHS).await.unwrap_err();
    ledger::damage(&books.db, "drop function interrupt cascade").await;

    books.retain(&KEEP_THREE_MONTHS).await.unwrap();

    let run = books.reconcile(&full()).await;
    assert_eq!((run.figures.hotel_months, run.figures.missing), (2, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_of_all_ids_is_no_exception(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let smallest = HotelId(Uuid::nil());
    let books = Books::of(backend, &[smallest]).await;
    books.clock.set_to("2027-01-10T12:00:00Z");
    books.record(&[click(smallest)]).await;
    books.reconcile(&incremental()).await;

    books.retain(&KEEP_TWO_MONTHS).await.unwrap();

    assert_eq!(books.count("product_event where month < 202612").await, 0);
}
