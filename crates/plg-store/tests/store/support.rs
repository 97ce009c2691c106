//! What the tests share: a store on a database of its own, and everything that stands in it.

use chrono::{DateTime, Utc};
use plg_core::catalogue::Counter;
use plg_core::decide::{Answer, Outcome};
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::{LimitOverrides, Plans};
use plg_service::Clock as _;
use plg_store::connect::Planning;
use plg_store::schema::{product_event, seat, usage_monthly};
use plg_store::{HotelMemory, Recorder, hotels};
use plg_testkit::{Backend, TestClock, TestDatabase, citus, ledger};
use sea_orm::prelude::Uuid;
use sea_orm::{DatabaseConnection, EntityTrait, FromQueryResult, QueryOrder, Statement};
use std::sync::Arc;

/// When a test begins that does not care.
pub(crate) const NOON: &str = "2026-11-15T12:00:00Z";

/// A migrated database with a clock beside it.
pub(crate) struct Store {
    pub(crate) database: TestDatabase,
    pub(crate) db: DatabaseConnection,
    pub(crate) plans: Plans,
    pub(crate) clock: TestClock,
}

impl Store {
    /// An empty one.
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::of(TestDatabase::new(backend).await).await
    }

    /// On a database that is there.
    pub(crate) async fn of(database: TestDatabase) -> Self {
        let db = database.connect().await;
        let plans = database.settings().plans;
        Self { database, db, plans, clock: TestClock::at(NOON) }
    }

    /// One connection of its own, as a replica has it.
    pub(crate) async fn connection(&self) -> DatabaseConnection {
        let url = self.database.url().parse().unwrap();
        plg_store::connect::single(&url, Planning::Keyed).await.unwrap()
    }

    /// On a connection of its own, as a lane has it.
    pub(crate) async fn recorder(&self) -> Recorder {
        let remembered_hotels = self.database.settings().writer.remembered_hotels;
        let memory = Arc::new(HotelMemory::of_at_most(remembered_hotels));
        self.recorder_with(memory).await
    }

    /// The same, beside others that share what is remembered.
    pub(crate) async fn recorder_with(&self, memory: Arc<HotelMemory>) -> Recorder {
        let plans = Arc::new(self.plans.clone());
        Recorder::new(self.connection().await, plans, memory).await.unwrap()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Records in a transaction of the store's own.
    pub(crate) async fn record(&self, commands: &[Command]) -> Vec<Outcome> {
        let answers = citus::record(&self.db, &self.plans, self.now(), commands).await;
        outcomes(&answers.expect("recorded"))
    }

    /// Registers hotels on a plan.
    pub(crate) async fn register(&self, ids: &[HotelId], plan: &str) {
        self.register_in(ids, plan, "UTC").await;
    }

    /// Registers hotels on a plan, in a time zone.
    pub(crate) async fn register_in(&self, ids: &[HotelId], plan: &str, time_zone: &str) {
        for hotel in ids {
            let profile = (plan, time_zone.parse().unwrap(), LimitOverrides::default());
            hotels::put(&self.db, *hotel, profile, self.now()).await.unwrap();
        }
    }

    /// What is used of a counter.
    pub(crate) async fn used(&self, hotel: HotelId, counter: Counter) -> i64 {
        let (_, open) = plg_store::usage::current_of(&self.db, hotel).await.unwrap();
        open.map_or(0, |month| month.counters[counter])
    }

    /// The types of a hotel's events, oldest first.
    pub(crate) async fn event_types(&self, hotel: HotelId) -> Vec<&'static str> {
        let page = plg_store::events::list(&self.db, hotel, None, None, 1_000).await.unwrap();
        page.events.iter().rev().map(|event| event.event_type.name()).collect()
    }

    pub(crate) async fn contents(&self) -> Contents {
        Contents::read(&self.db).await
    }

    pub(crate) async fn assert_balanced(&self) {
        ledger::assert_balanced(&self.db).await;
    }
}

/// What became of each command.
pub(crate) fn outcomes(answers: &[Answer]) -> Vec<Outcome> {
    answers.iter().map(|answer| answer.outcome).collect()
}

/// Everything that recording writes, row by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) usage: Vec<usage_monthly::Model>,
    pub(crate) events: Vec<product_event::Model>,
    pub(crate) seats: Vec<seat::Model>,
    pub(crate) gates: Vec<GateRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(crate) struct GateRow {
    pub(crate) gate_id: Uuid,
    pub(crate) hotel_id: Uuid,
    pub(crate) kind: String,
    pub(crate) last_at: DateTime<Utc>,
    pub(crate) passed: i64,
}

impl Contents {
    async fn read(db: &DatabaseConnection) -> Self {
        use {product_event::Column as E, seat::Column as S, usage_monthly::Column as U};

        let usage = usage_monthly::Entity::find().order_by_asc(U::HotelId).order_by_asc(U::Month);
        let events = product_event::Entity::find()
            .order_by_asc(E::HotelId)
            .order_by_asc(E::Month)
            .order_by_asc(E::Seq);
        let seats = seat::Entity::find().order_by_asc(S::HotelId).order_by_asc(S::SeatUserId);
        let gates = "select gate_id, hotel_id, 'once' as kind, passed_at as last_at, \
                     cast(1 as bigint) as passed from event_gate union all \
                     select gate_id, hotel_id, 'window' as kind, last_at, passed from event_window \
                     order by 1, 2";
        let gates = Statement::from_string(db.get_database_backend(), gates);
        Self {
            usage: usage.all(db).await.unwrap(),
            events: events.all(db).await.unwrap(),
            seats: seats.all(db).await.unwrap(),
            gates: GateRow::find_by_statement(gates).all(db).await.unwrap(),
        }
    }
}
