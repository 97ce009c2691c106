//! How PostgreSQL finds the rows of a batch: by their keys, whatever it believes of the tables.
//!
//! PostgreSQL only: SQLite has one way to look up a key.

use crate::support::Store;
use plg_core::calendar::TimeZone;
use plg_core::ids::HotelId;
use plg_store::connect::{self, Planning};
use plg_store::record_batch;
use plg_store::rollup::{self, HotelMonth};
use plg_testkit::commands::{add_seat, click, export, hotel, import, remove_seat, view};
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm::ConnectionTrait as _;

/// Every table that a batch looks rows up in, planned for while it was empty.
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
             relname in ('hotel', 'usage_monthly', 'event_gate', 'event_window', 'seat')"
        )
    };
    assert!(ledger::number(&store.db, &scans("idx_scan")).await > 0, "the counting works");
    assert_eq!(ledger::number(&store.db, &scans("seq_scan")).await, 0);
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
