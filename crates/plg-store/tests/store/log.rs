//! Finding what a sending has recorded.

use crate::support::Store;
use plg_core::catalogue::EventType;
use plg_core::event::Command;
use plg_core::event::RecordedEvent;
use plg_core::ids::{EventId, HotelId};
use plg_store::events;
use plg_testkit::commands::{command, event, hotel};
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;

const HOTEL: HotelId = hotel(1);

fn click_with(id: &str) -> Command {
    let id = Some(EventId::parse(id.to_owned()).unwrap());
    command(plg_core::event::NewEvent { event_id: id, ..event(HOTEL, EventType::UpgradeClick) })
}

impl Store {
    async fn of_sending(&self, id: &str) -> Option<RecordedEvent> {
        events::of_sending(&self.db, &click_with(id)).await.unwrap()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_sending_has_recorded_is_found_wherever_it_is(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let store = Store::new(backend).await;
    // Its December begins in November.
    store.register_in(&[HOTEL], "suite", "Pacific/Auckland").await;
    let times = [
        "2026-11-29T23:59:59.999999Z",
        "2026-11-30T10:59:59Z",
        "2026-11-30T11:00:00Z",
        "2026-11-30T11:00:00.000001Z",
        // A clock that is behind: its events are recorded at the time before.
        "2026-11-30T10:30:00Z",
        "2026-12-01T00:00:00Z",
    ];
    let mut sent = Vec::new();
    for (batch, time) in times.iter().enumerate() {
        store.clock.set_to(time);
        let ids: Vec<String> = (0..=batch * 3).map(|n| format!("{batch}-{n}")).collect();
        store.record(&ids.iter().map(|id| click_with(id)).collect::<Vec<_>>()).await;
        sent.extend(ids);
    }
    for id in &sent {
        let found = store.of_sending(id).await.expect("it was recorded");
        assert_eq!(found.event_id.unwrap().as_str(), id);
    }
    assert!(store.of_sending("another").await.is_none());

    // What is lost is not found, and stands in nobody's way.
    let (lost, left): (Vec<_>, Vec<_>) = sent.iter().partition(|id| id.ends_with(['0', '2', '7']));
    for id in &lost {
        ledger::damage(&store.db, &format!("delete from product_event where event_id = '{id}'"))
            .await;
    }
    for id in lost {
        assert!(store.of_sending(id).await.is_none(), "{id}");
    }
    for id in left {
        assert!(store.of_sending(id).await.is_some(), "{id}");
    }
}

/// SQLite keeps no account of what is read.
#[tokio::test]
async fn it_is_found_in_a_long_month_without_reading_it() {
    let store = Store::of(TestDatabase::on_one_machine(Backend::Postgres).await).await;
    store.record(&[click_with("first")]).await;
    for sql in [
        "insert into product_event (hotel_id, month, seq, event_type, user_id, event_id, day, recorded_at) \
         select hotel_id, month, n, event_type, user_id, 'filler-' || n, day, \
         recorded_at + n * interval '1 millisecond' \
         from product_event, generate_series(2, 50000) n where seq = 1",
        "update usage_monthly set last_seq = 50000, \
         last_recorded_at = last_recorded_at + interval '50 seconds'",
        "vacuum (analyze) product_event",
    ] {
        ledger::damage(&store.db, sql).await;
    }
    store.clock.set_to("2026-11-15T13:00:00Z");
    store.record(&[click_with("last")]).await;
    let reader = store.connection().await;
    for id in ["first", "last"] {
        reader.execute_unprepared("select pg_stat_force_next_flush()").await.unwrap();
        reader.execute_unprepared("select pg_stat_reset()").await.unwrap();

        let again = click_with(id);
        let found = events::of_sending(&reader, &again).await.unwrap();

        assert_eq!(found.unwrap().event_id, again.event().event_id);
        reader.execute_unprepared("select pg_stat_force_next_flush()").await.unwrap();
        reader.execute_unprepared("select 1").await.unwrap();
        let read = "select cast(sum(idx_tup_fetch + seq_tup_read) as bigint) as n \
                    from pg_stat_user_tables where relname like 'product_event_%'";
        let read = ledger::number(&store.db, read).await;
        assert!((1..100).contains(&read), "{read} rows for {id}");
    }
}
