//! Two processes on one database behave as one.

use crate::support::{Environment, ONE_HOTEL_A_TRANSACTION, Service};
use futures_util::future::join_all;
use plg_testkit::app::{Answer, Api, event, hotel};
use plg_testkit::{Backend, TestApp, TestClock, TestDatabase, ledger};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// Requests at once.
const CONCURRENT: usize = 64;

/// How hotels share transactions.
#[derive(Debug, Clone, Copy)]
enum Packing {
    AsShipped,
    OneHotelATransaction,
    /// Small batches, so that many of them meet.
    OneArrayATransaction,
}

impl Packing {
    const fn settings(self) -> &'static Environment {
        match self {
            Self::AsShipped => &[],
            Self::OneHotelATransaction => ONE_HOTEL_A_TRANSACTION,
            Self::OneArrayATransaction => &[("PLG__WRITER__BATCH", "50")],
        }
    }
}

/// Two processes on one database.
struct Replicas {
    database: TestDatabase,
    services: [Service; 2],
}

impl Replicas {
    async fn start(backend: Backend, packing: Packing) -> Self {
        Self::start_on(TestDatabase::new(backend).await, packing)
    }

    fn start_on(database: TestDatabase, packing: Packing) -> Self {
        let services = [0, 1].map(|_| Service::start(database.url(), packing.settings()));
        Self { database, services }
    }

    /// The one for the request with this number: one after the other.
    fn api(&self, number: usize) -> &Api {
        &self.services[number % 2].api
    }

    /// Sends many requests at once, half of them to each.
    async fn at_once<'a, F: Future<Output = Answer>>(
        &'a self,
        count: usize,
        send: impl Fn(&'a Api, usize) -> F,
    ) -> Vec<Answer> {
        join_all((0..count).map(|number| send(self.api(number), number))).await
    }

    /// The number `n` that a statement selects from the database, whose books must be right.
    async fn number(&self, sql: &str) -> i64 {
        let db = self.database.connect().await;
        ledger::assert_balanced(&db).await;
        let number = ledger::number(&db, sql).await;
        db.close().await.unwrap();
        number
    }

    /// Ends both, and checks that no transaction had to be sacrificed: whoever waits for several
    /// hotels takes them in the same order. PostgreSQL finds a deadlock after a second, which those
    /// who wait notice even if it is resolved.
    async fn assert_no_deadlock(self) {
        const ATTEMPTS: u32 = 500;
        const PAUSE: Duration = Duration::from_millis(10);

        let Self { database, services } = self;
        services.into_iter().for_each(Service::kill);
        // SQLite has one writer at a time.
        if database.backend == Backend::Postgres {
            let db = database.connect().await;
            // Connections report what they counted when they end.
            for _ in 0..ATTEMPTS {
                if ledger::number(&db, OTHER_CONNECTIONS).await == 0 {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            assert_eq!(ledger::number(&db, DEADLOCKS).await, 0);
        }
    }

    async fn events(&self, event_type: &str) -> i64 {
        let sql =
            format!("select count(*) as n from product_event where event_type='{event_type}'");
        self.number(&sql).await
    }
}

const OTHER_CONNECTIONS: &str = "select count(*) as n from pg_stat_activity \
    where datname = current_database() and pid <> pg_backend_pid()";
const DEADLOCKS: &str =
    "select deadlocks as n from pg_stat_database where datname = current_database()";

fn count(answers: &[Answer], status: u16, outcome: &str) -> usize {
    answers.iter().filter(|a| a.status == status && a.outcome() == outcome).count()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_an_import_count_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Packing::AsShipped, Packing::OneHotelATransaction)] packing: Packing,
) {
    let replicas = Replicas::start(backend, packing).await;
    let answers =
        replicas.at_once(CONCURRENT, |api, _| async { api.import(hotel(1), "job").await }).await;

    assert_eq!(count(&answers, 201, "recorded"), 1, "{answers:?}");
    assert_eq!(count(&answers, 200, "duplicate"), CONCURRENT - 1, "{answers:?}");
    assert_eq!(replicas.api(0).used(hotel(1), "imports").await, 1);
    assert_eq!(replicas.events("import_success").await, 1);
}

/// A billable action, and what it leaves behind.
#[derive(Debug, Clone, Copy)]
enum Action {
    Import,
    Export,
    Seat,
}

impl Action {
    const fn quota(self) -> &'static str {
        match self {
            Self::Import => "imports",
            Self::Export => "exports",
            Self::Seat => "active_users",
        }
    }

    const fn event(self) -> &'static str {
        match self {
            Self::Import => "import_success",
            Self::Export => "export_success",
            Self::Seat => "seat_added",
        }
    }

    /// The event that a refusal logs.
    const fn blocked_event(self) -> Option<&'static str> {
        match self {
            Self::Import => None,
            Self::Export => Some("export_blocked"),
            Self::Seat => Some("invite_attempt_blocked"),
        }
    }

    async fn send(self, api: &Api, number: usize) -> Answer {
        match self {
            Self::Import => api.import(hotel(1), &number.to_string()).await,
            Self::Export => api.export(hotel(1), &number.to_string()).await,
            Self::Seat => api.add_seat(hotel(1), Uuid::from_u128(number as u128)).await,
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_admits_exactly_its_limit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Packing::AsShipped, Packing::OneHotelATransaction)] packing: Packing,
    #[values(Action::Import, Action::Export, Action::Seat)] action: Action,
) {
    const LIMIT: usize = 10;

    let replicas = Replicas::start(backend, packing).await;
    let limits = json!({ "imports": LIMIT, "exports": LIMIT, "active_users": LIMIT });
    let body = json!({ "plan": "standard", "time_zone": "UTC", "limits": limits });
    assert_eq!(replicas.api(0).put(&format!("/v1/hotels/{}", hotel(1)), &body).await.status, 200);

    let answers = replicas.at_once(CONCURRENT, |api, number| action.send(api, number)).await;

    let refused = answers.iter().filter(|a| a.status == 402 && a.code() == "quota_exceeded");
    assert_eq!(count(&answers, 201, "recorded"), LIMIT, "{answers:?}");
    assert_eq!(refused.count(), CONCURRENT - LIMIT, "{answers:?}");
    assert_eq!(replicas.api(1).used(hotel(1), action.quota()).await, LIMIT as i64);
    assert_eq!(replicas.events(action.event()).await, LIMIT as i64);
    if let Some(blocked) = action.blocked_event() {
        assert_eq!(replicas.events(blocked).await, (CONCURRENT - LIMIT) as i64);
    }
}

const HOTELS: usize = 16;

fn hotel_of(number: usize) -> Uuid {
    hotel((number / 2 % HOTELS) as u128)
}

/// Sends each hotel exports through both replicas at once; all must be recorded.
async fn export_everywhere(replicas: &Replicas) {
    let answers = replicas
        .at_once(CONCURRENT, |api, number| async move {
            api.export(hotel_of(number), &number.to_string()).await
        })
        .await;
    assert_eq!(count(&answers, 201, "recorded"), CONCURRENT, "{answers:?}");
    for number in 0..HOTELS {
        let used = replicas.api(number).used(hotel(number as u128), "exports").await;
        assert_eq!(used, (CONCURRENT / HOTELS) as i64);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_first_month_of_a_hotel_is_opened_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Packing::AsShipped, Packing::OneHotelATransaction)] packing: Packing,
) {
    let replicas = Replicas::start(backend, packing).await;
    export_everywhere(&replicas).await;
    let months = replicas.number("select count(*) as n from usage_monthly").await;
    assert_eq!(months, HOTELS as i64);
    replicas.assert_no_deadlock().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_next_month_is_opened_once_and_keeps_the_seats(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Packing::AsShipped, Packing::OneHotelATransaction)] packing: Packing,
) {
    let database = TestDatabase::new(backend).await;
    // The processes live in the present: for them this month has passed.
    let past = TestApp::start(&database, &TestClock::at("2024-01-31T23:59:59Z")).await;
    for number in 0..HOTELS {
        let answer = past.api.add_seat(hotel(number as u128), Uuid::from_u128(1)).await;
        assert_eq!(answer.status, 201);
    }
    past.stop().await;

    let replicas = Replicas::start_on(database, packing);
    export_everywhere(&replicas).await;

    let closed = replicas.number("select count(*) as n from usage_monthly where closed").await;
    assert_eq!(closed, HOTELS as i64);
    let held = "select count(*) as n from usage_monthly \
                where not closed and opening_active_users = 1 and active_users = 1";
    assert_eq!(replicas.number(held).await, HOTELS as i64);
    replicas.assert_no_deadlock().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn arrays_over_the_same_hotels_in_opposite_order_do_not_stop_each_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Packing::OneArrayATransaction, Packing::OneHotelATransaction)] packing: Packing,
) {
    const JOBS: usize = 3;

    // Nobody waits in a queue for longer than a second and a half: where each hotel of an array is a transaction, and
    // one is synced behind the other, there may not be too many of them.
    let (hotels, arrays) = match (backend, packing) {
        (Backend::Sqlite, Packing::OneHotelATransaction) => (20, 12),
        _ => (50, 24),
    };
    let replicas = Replicas::start(backend, packing).await;
    let send = |api, number: usize| async move {
        // Each job comes through both replicas, more than once.
        let job = number / 2 % JOBS;
        let import = |hotel_number: usize| {
            let more = json!({ "dedup_key": format!("job {job}") });
            event(hotel(hotel_number as u128), "import_success", more)
        };
        let mut items: Vec<Value> = (0..hotels).map(import).collect();
        if number % 2 == 1 {
            items.reverse();
        }
        Api::post(api, "/v1/events", &Value::Array(items)).await
    };
    let answers = replicas.at_once(arrays, send).await;

    let results: Vec<&Value> =
        answers.iter().flat_map(|answer| answer.body["results"].as_array().unwrap()).collect();
    let outcomes = |name| results.iter().filter(|result| result["outcome"] == name).count();
    assert_eq!(outcomes("recorded"), hotels * JOBS, "{results:?}");
    assert_eq!(outcomes("duplicate"), hotels * (arrays - JOBS), "{results:?}");
    assert_eq!(replicas.events("import_success").await, (hotels * JOBS) as i64);
    replicas.assert_no_deadlock().await;
}
