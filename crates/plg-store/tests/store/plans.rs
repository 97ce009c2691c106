//! How PostgreSQL finds the rows of a batch: by their keys, whatever it believes of the tables. SQLite has one way to
//! look up a key; how it counts is looked at, too.

use crate::support::Store;
use plg_core::calendar::TimeZone;
use plg_core::ids::HotelId;
use plg_store::connect::{self, Planning};
use plg_store::record_batch;
use plg_store::rollup::{self, HotelMonth};
use plg_testkit::commands::{add_seat, click, export, hotel, import, remove_seat, view};
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm::prelude::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};
use std::sync::Mutex;

/// Every table that a batch looks rows up in.
const TABLES: [&str; 5] = ["hotel", "usage_monthly", "event_gate", "event_window", "seat"];

/// Planned for while it was empty.
#[tokio::test]
async fn no_table_is_read_from_end_to_end() {
    let store = Store::of(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    let lane = store.connection().await;
    let hotels = [hotel(1), hotel(2), hotel(3)];
    for round in 0..3 {
        let of_one = |hotel: HotelId, key: &str| {
            let key = format!("{round}-{key}");
            [
                import(hotel, &key),
                export(hotel, &key),
                click(hotel),
                view(hotel, &key),
                add_seat(hotel, 1),
                remove_seat(hotel, 1),
            ]
        };
        let of_all = hotels.into_iter().flat_map(|hotel| of_one(hotel, "all"));
        // A batch of one hotel sends other statements.
        for commands in [of_all.collect(), of_one(hotels[0], "alone").to_vec()] {
            record_batch(&lane, &store.plans, || store.now(), &commands).await.unwrap();
        }
        if round == 0 {
            // Months are opened once.
            lane.execute_unprepared("select pg_stat_force_next_flush()").await.unwrap();
            lane.execute_unprepared("select pg_stat_reset()").await.unwrap();
        }
    }
    lane.execute_unprepared("select pg_stat_force_next_flush()").await.unwrap();
    lane.execute_unprepared("select 1").await.unwrap();
    let scans = |column: &str| {
        format!(
            "select cast(coalesce(sum({column}), 0) as bigint) as n from pg_stat_user_tables where \
             relname = any('{{{}}}')",
            TABLES.join(",")
        )
    };
    assert!(ledger::number(&store.db, &scans("idx_scan")).await > 0, "the counting works");
    assert_eq!(ledger::number(&store.db, &scans("seq_scan")).await, 0);
}

/// Plans are kept that were made when there was a hotel or two.
#[tokio::test]
async fn tables_that_were_small_are_not_read_whole_when_they_are_large() {
    let store = Store::of(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    let lane = store.connection().await;
    let record = async |key: &str| {
        let of_one = |hotel| [import(hotel, key), view(hotel, key), add_seat(hotel, 1)];
        let commands: Vec<_> = [hotel(1), hotel(2)].into_iter().flat_map(of_one).collect();
        record_batch(&lane, &store.plans, || store.now(), &commands).await.unwrap();
    };
    store.register(&[hotel(1)], "suite").await;
    record("before").await;
    for table in TABLES {
        // From here on the server learns nothing more of them by itself.
        let still = format!("alter table {table} set (autovacuum_enabled = off)");
        store.db.execute_unprepared(&still).await.unwrap();
        store.db.execute_unprepared(&format!("analyze {table}")).await.unwrap();
    }
    record("small").await;
    for rows in [
        "hotel select gen_random_uuid(), 'suite', 'UTC', '{}', now(), now()",
        "usage_monthly (hotel_id, month) select gen_random_uuid(), 202611",
        "event_gate select gen_random_uuid(), gen_random_uuid(), now()",
        "event_window select gen_random_uuid(), gen_random_uuid(), now(), 1",
        "seat select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now()",
    ] {
        let grow = format!("insert into {rows} from generate_series(1, 5000)");
        store.db.execute_unprepared(&grow).await.unwrap();
    }

    let reads = async |key: &str, table: &str| {
        lane.execute_unprepared("select pg_stat_force_next_flush()").await.unwrap();
        lane.execute_unprepared("select pg_stat_reset()").await.unwrap();
        record(key).await;
        lane.execute_unprepared("select pg_stat_force_next_flush()").await.unwrap();
        lane.execute_unprepared("select 1").await.unwrap();
        let read = format!(
            "select cast(sum(idx_tup_read) as bigint) as n from pg_stat_user_indexes \
             where relname = '{table}'"
        );
        ledger::number(&store.db, &read).await
    };
    // No plan reads all hotels and keeps them.
    assert_eq!(reads("large", "hotel").await, 1);

    connect::plan_anew(&lane).await.unwrap();

    for table in TABLES {
        // Two hotels' rows, each found once to be locked and once to be written.
        let read = reads(table, table).await;
        assert!(read <= 4, "{read} entries of {table}");
    }
}

/// The log's key answers how many events there are, of which types: its rows are many more pages.
#[tokio::test]
async fn counting_reads_no_rows_of_the_log() {
    let store = Store::of(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    let lane = store.connection().await;
    let commands = [import(hotel(1), "a"), import(hotel(1), "b"), click(hotel(1))];
    record_batch(&lane, &store.plans, || store.now(), &commands).await.unwrap();
    // What the server does by itself in a while.
    lane.execute_unprepared("vacuum product_event").await.unwrap();
    let fetched = "select cast(sum(idx_tup_fetch + seq_tup_read) as bigint) as n \
                   from pg_stat_user_tables where relname like 'product_event_%'";
    let scanned = "select cast(sum(idx_scan) as bigint) as n from pg_stat_user_tables \
                   where relname like 'product_event_%'";
    let month = TimeZone::default().month_of(store.now());
    let key = HotelMonth { hotel_id: hotel(1), month };
    for full in [false, true] {
        lane.execute_unprepared("select pg_stat_reset()").await.unwrap();

        let readings = rollup::read(&lane, &[key], full).await.unwrap();

        assert_eq!((readings[0].facts.new.events, readings[0].facts.new.net.imports), (3, 2));
        lane.execute_unprepared("select pg_stat_force_next_flush()").await.unwrap();
        lane.execute_unprepared("select 1").await.unwrap();
        assert!(ledger::number(&store.db, scanned).await > 0, "the counting works");
        assert_eq!(ledger::number(&store.db, fetched).await, 0, "full: {full}");
    }
}

/// Statements that look for more than keys are planned for what they find.
#[tokio::test]
async fn reads_are_planned_anew() {
    let store = Store::new(Backend::Postgres).await;
    let url = store.database.url();
    let two_servers = url.replace('@', "@127.0.0.1:1,").parse().unwrap();
    let url = url.parse().unwrap();
    for db in [
        connect::pool(&url, 1).await.unwrap(),
        connect::pool(&two_servers, 1).await.unwrap(),
        connect::single(&url, Planning::Fresh).await.unwrap(),
        connect::single_for_long_statements(&url, None, Planning::Fresh).await.unwrap(),
    ] {
        let mode = "select case current_setting('plan_cache_mode') \
                    when 'force_custom_plan' then 1 else 0 end::bigint as n";
        assert_eq!(ledger::number(&db, mode).await, 1);
    }
}

/// Tells how SQLite would answer, and that there is nothing.
struct Explain<'a> {
    db: &'a DatabaseConnection,
    plan: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl ConnectionTrait for Explain<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.db.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.db.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.db.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, mut statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        statement.sql.insert_str(0, "explain query plan ");
        for row in self.db.query_all_raw(statement).await? {
            self.plan.lock().unwrap().push(row.try_get("", "detail")?);
        }
        Ok(Vec::new())
    }
}

/// What SQLite sorts it keeps in memory, all of it.
#[tokio::test]
async fn sqlite_counts_without_sorting() {
    let store = Store::new(Backend::Sqlite).await;
    let month = TimeZone::default().month_of(store.now());
    let keys = [1, 2].map(|number| HotelMonth { hotel_id: hotel(number), month });
    for full in [false, true] {
        let explain = Explain { db: &store.db, plan: Mutex::default() };
        rollup::read(&explain, &keys, full).await.unwrap();

        let plan = explain.plan.into_inner().unwrap();
        let searches = plan.iter().filter(|step| step.starts_with("SEARCH e USING PRIMARY KEY"));
        assert_eq!(searches.count(), 1, "{plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:#?}");
    }
}
