//! What the tests share: hotels with events, a way to damage their counters, and the worker.

use chrono::{DateTime, Utc};
use plg_core::calendar::Month;
use plg_core::decide::Outcome;
use plg_core::event::Command;
use plg_core::ids::HotelId;
use plg_core::plan::{LimitOverrides, Plans};
use plg_core::quota::Counters;
use plg_core::reconcile::Verdict;
use plg_service::Clock as _;
use plg_store::rollup::runs::{self, Adjustment, Figures, Run};
use plg_store::rollup::{Reading, Scope};
use plg_store::schema::usage_monthly::{self, Model as Usage};
use plg_testkit::commands::{add_seat, click, export, import};
use plg_testkit::{Backend, TestClock, TestDatabase, citus, ledger};
use rollup_worker::{Connections, Options, Progress, RunError, Stop, reconcile};
use sea_orm::{DatabaseConnection, EntityTrait, QueryOrder};
use std::time::Duration;

/// When a test begins that does not care.
pub(crate) const NOON: &str = "2026-11-15T12:00:00Z";
pub(crate) const OCTOBER: &str = "2026-10";
pub(crate) const NOVEMBER: &str = "2026-11";
pub(crate) const DECEMBER: &str = "2026-12";

/// Far longer than anything takes that is waited for.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(30);

/// A service's database, and a clock.
pub(crate) struct Books {
    pub(crate) database: TestDatabase,
    pub(crate) db: DatabaseConnection,
    pub(crate) plans: Plans,
    pub(crate) clock: TestClock,
}

/// Small chunks, so that a run of few hotels has many.
pub(crate) fn options() -> Options {
    Options {
        scope: Scope::default(),
        dry_run: false,
        read_chunk: 4,
        write_chunk: 2,
        pause: Duration::ZERO,
        beside_traffic: None,
    }
}

/// What is new.
pub(crate) fn incremental() -> Options {
    options()
}

/// Everything, from the first event.
pub(crate) fn full() -> Options {
    Options { scope: Scope { full: true, ..Scope::default() }, ..options() }
}

impl Books {
    /// Empty ones.
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::on(TestDatabase::new(backend).await).await
    }

    /// Empty ones on a database that is there.
    pub(crate) async fn on(database: TestDatabase) -> Self {
        let db = database.connect().await;
        let plans = database.settings().plans;
        Self { database, db, plans, clock: TestClock::at(NOON) }
    }

    /// Of hotels without limits that have recorded two imports, an export, two seats and a click.
    pub(crate) async fn of(backend: Backend, hotels: &[HotelId]) -> Self {
        let books = Self::new(backend).await;
        books.spend_a_day(hotels).await;
        books
    }

    /// Hotels get the plan without limits, and record [`a_day_of`] each.
    pub(crate) async fn spend_a_day(&self, hotels: &[HotelId]) {
        self.unlimit(hotels).await;
        for chunk in hotels.chunks(100) {
            self.record(&chunk.iter().flat_map(|id| a_day_of(*id)).collect::<Vec<_>>()).await;
        }
    }

    /// Gives hotels the plan without limits.
    pub(crate) async fn unlimit(&self, hotels: &[HotelId]) {
        for hotel in hotels {
            let profile = ("suite", "UTC".parse().unwrap(), LimitOverrides::default());
            plg_store::hotels::put(&self.db, *hotel, profile, self.now()).await.unwrap();
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Records, and everything is recorded.
    pub(crate) async fn record(&self, commands: &[Command]) {
        let answers = citus::record(&self.db, &self.plans, self.now(), commands).await;
        for answer in answers.unwrap() {
            assert_eq!(answer.outcome, Outcome::Recorded);
        }
    }

    /// Sets columns of a hotel-month behind everybody's back, as in SQL.
    pub(crate) async fn damage(&self, hotel: HotelId, month: &str, set: &str) {
        let update = format!("update usage_monthly set {set} where {}", self.row(hotel, month));
        assert_eq!(ledger::damage(&self.db, &update).await, 1, "{update}");
    }

    /// Loses an event's row.
    pub(crate) async fn lose_event(&self, hotel: HotelId, month: &str, seq: i64) {
        let row = self.row(hotel, month);
        let delete = format!("delete from product_event where {row} and seq = {seq}");
        assert_eq!(ledger::damage(&self.db, &delete).await, 1, "{delete}");
    }

    fn row(&self, hotel: HotelId, month: &str) -> String {
        let hotel = ledger::uuid(&self.db, hotel.0);
        format!("hotel_id = {hotel} and month = {}", self::month(month).number())
    }

    /// A run that is to succeed.
    pub(crate) async fn reconcile(&self, options: &Options) -> Run {
        self.try_reconcile(options, &mut (), &Stop::default()).await.unwrap()
    }

    /// A run.
    pub(crate) async fn try_reconcile(
        &self,
        options: &Options,
        progress: &mut impl Progress,
        stop: &Stop,
    ) -> Result<Run, RunError> {
        let connections = self.connections().await;
        let result = reconcile(&connections, options, &self.clock, progress, stop).await;
        connections.close().await;
        result
    }

    /// A worker's own connections.
    pub(crate) async fn connections(&self) -> Connections {
        Connections::open(&self.database.url().parse().unwrap()).await.unwrap()
    }

    /// Waits for the worker's sessions, which tell the server what they have read when they end.
    pub(crate) async fn sessions_ended(&self) {
        let sessions = "select count(*) as n from pg_stat_activity \
                        where datname = current_database() and application_name = 'plg-rollup'";
        let ended = async { while ledger::number(&self.db, sessions).await > 0 {} };
        tokio::time::timeout(STANDSTILL, ended).await.expect("the sessions end");
    }

    /// All hotel-months, in order.
    pub(crate) async fn usage(&self) -> Vec<Usage> {
        let all = usage_monthly::Entity::find();
        let ordered = all
            .order_by_asc(usage_monthly::Column::HotelId)
            .order_by_asc(usage_monthly::Column::Month);
        ordered.all(&self.db).await.unwrap()
    }

    /// One of them.
    pub(crate) async fn month(&self, hotel: HotelId, month: &str) -> Usage {
        let key = (hotel.0, self::month(month).number());
        usage_monthly::Entity::find_by_id(key).one(&self.db).await.unwrap().expect("a hotel-month")
    }

    /// The counters of a hotel-month: imports, exports, seats.
    pub(crate) async fn counters(&self, hotel: HotelId, month: &str) -> [i64; 3] {
        live(&self.month(hotel, month).await)
    }

    /// The corrections that a run has left in the audit.
    pub(crate) async fn adjustments(&self, run: &Run) -> Vec<Adjustment> {
        runs::adjustments(&self.db, run.run_id, None, 10_000).await.unwrap().corrections
    }

    /// How many corrections the audit has.
    pub(crate) async fn audited(&self) -> i64 {
        ledger::number(&self.db, "select count(*) as n from usage_adjustment").await
    }

    /// The newest runs first, as their rows say.
    pub(crate) async fn runs(&self) -> Vec<Run> {
        runs::list(&self.db, 1_000).await.unwrap()
    }

    pub(crate) async fn assert_balanced(&self) {
        ledger::assert_balanced(&self.db).await;
    }
}

/// The counters of a row: imports, exports, seats.
pub(crate) fn live(usage: &Usage) -> [i64; 3] {
    [usage.imports, usage.exports, usage.active_users]
}

/// What [`Books::of`] records of a hotel: six events.
pub(crate) fn a_day_of(id: HotelId) -> Vec<Command> {
    let imports = [import(id, "job-1"), import(id, "job-2"), export(id, "export-1")];
    imports.into_iter().chain([add_seat(id, 1), add_seat(id, 2), click(id)]).collect()
}

/// The counters that follow from [`a_day_of`].
pub(crate) const A_DAY: [i64; 3] = [2, 1, 2];
/// Its events.
pub(crate) const EVENTS_OF_A_DAY: i64 = 6;

pub(crate) fn month(text: &str) -> Month {
    text.parse().unwrap()
}

/// A correction as one compares it: month, counter, before, expected, after, delta, carried from.
pub(crate) type Correction = (String, String, i64, i64, i64, i64, Option<String>);

/// What stands in the audit, without hotel and instant.
pub(crate) fn correction(adjustment: &Adjustment) -> Correction {
    let Adjustment { month, counter, before, expected, after, delta, carried_from, .. } =
        adjustment;
    let carried_from = carried_from.map(|month| month.to_string());
    (month.to_string(), counter.clone(), *before, *expected, *after, *delta, carried_from)
}

/// A correction of a month's own counter that nobody moved meanwhile.
pub(crate) fn own(month: &str, counter: &str, before: i64, expected: i64) -> Correction {
    let delta = expected - before;
    (month.to_owned(), counter.to_owned(), before, expected, expected, delta, None)
}

/// A correction that a month has inherited.
pub(crate) fn carried(from: &str, month: &str, before: i64, expected: i64) -> Correction {
    let (month, counter, .., delta, _) = own(month, "active_users", before, expected);
    (month, counter, before, expected, expected, delta, Some(from.to_owned()))
}

/// Does something after each transaction, told how many there have been.
pub(crate) struct AfterEach<F>(pub(crate) F, pub(crate) usize);

impl<F: FnMut(usize)> Progress for AfterEach<F> {
    fn advanced(&mut self, _so_far: &Figures, _verified: &[&(Reading, Verdict)]) {
        self.1 += 1;
        (self.0)(self.1);
    }
}

/// Calls back after each transaction.
pub(crate) fn after_each<F: FnMut(usize)>(callback: F) -> AfterEach<F> {
    AfterEach(callback, 0)
}

/// Waits for work that is asynchronous where the worker cannot.
pub(crate) fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

/// Counters by name.
pub(crate) fn as_counters([imports, exports, active_users]: [i64; 3]) -> Counters {
    Counters { imports, exports, active_users }
}
