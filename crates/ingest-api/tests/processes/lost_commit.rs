//! The connection is lost at a COMMIT: the service finds out what became of it before it answers.
//!
//! PostgreSQL only: SQLite has no connection to lose.

use crate::proxy::{Loss, Proxy};
use crate::support::{ANSWER_DEADLINE, Service};
use plg_testkit::app::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use sea_orm::DatabaseConnection;
use serde_json::json;
use std::time::Duration;

/// How an import is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    UnderLocks,
    /// Without a lock first, by one statement that is committed with it.
    AtOnce,
}

/// The job that is imported, also where it stands among values.
const JOB: &str = "the-lost-job";

impl Way {
    /// What is sent when an import is committed.
    const fn commit(self) -> &'static str {
        match self {
            Self::UnderLocks => "COMMIT",
            Self::AtOnce => JOB,
        }
    }
}

struct Setting {
    database: TestDatabase,
    proxy: Proxy,
    service: Service,
    way: Way,
}

impl Setting {
    /// A hotel whose month is open, so that what is committed next is an import.
    async fn new(way: Way) -> Self {
        let setting = Self::of_new_hotel(way).await;
        let click = setting.service.api.event(hotel(1), "upgrade_click", json!({})).await;
        assert_eq!(click.outcome(), "recorded", "{click:?}");
        setting
    }

    async fn of_new_hotel(way: Way) -> Self {
        let (database, remembered) = match way {
            Way::UnderLocks => (TestDatabase::new(Backend::Postgres).await, "0"),
            Way::AtOnce => (TestDatabase::on_one_machine(Backend::Postgres).await, "1000"),
        };
        let proxy = Proxy::before(database.url()).await;
        let service = Self::start(&proxy, remembered);
        Self { database, proxy, service, way }
    }

    fn start(proxy: &Proxy, remembered_hotels: &'static str) -> Service {
        Service::start(&proxy.url(), &[("PLG__WRITER__REMEMBERED_HOTELS", remembered_hotels)])
    }

    /// The status of an import that meets losses when it is committed, and whether it is known what became of it.
    async fn import(&self, losses: &[Loss]) -> (u16, bool) {
        self.proxy.lose(self.way.commit(), losses);
        let answer = tokio::time::timeout(ANSWER_DEADLINE, self.service.api.import(hotel(1), JOB));
        let answer = answer.await.expect("an answer in time");
        (answer.status, answer.code() != "outcome_unknown")
    }

    async fn assert_imports(&self, expected: i64) {
        let db = self.database.connect().await;
        ledger::assert_balanced(&db).await;
        let sql = "select count(*) as n from product_event where event_type = 'import_success'";
        assert_eq!(ledger::number(&db, sql).await, expected);
        assert_eq!(self.service.api.used(hotel(1), "imports").await, expected);
    }

    /// It may be sent again.
    async fn assert_not_recorded(&self) {
        self.assert_imports(0).await;
        assert_eq!(self.service.api.import(hotel(1), JOB).await.status, 201);
        self.assert_imports(1).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_committed_is_recorded_once_more(
    #[values(Way::UnderLocks, Way::AtOnce)] way: Way,
) {
    let setting = Setting::new(way).await;
    assert_eq!(setting.import(&[Loss::Before]).await, (201, true));
    setting.assert_imports(1).await;
    assert_eq!(setting.service.api.import(hotel(1), JOB).await.outcome(), "duplicate");
}

/// The month is opened by a transaction before that of the import.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_whose_opening_was_lost_is_opened_the_next_time(
    #[values(Loss::Before, Loss::After)] loss: Loss,
) {
    let setting = Setting::of_new_hotel(Way::UnderLocks).await;
    assert_eq!(setting.import(&[loss]).await, (503, true));
    setting.assert_not_recorded().await;
}

#[rstest]
#[case(Way::UnderLocks, Loss::After)]
#[case::by_citus_that_lost_a_node(Way::UnderLocks, Loss::Denied("XX000"))]
#[case::by_a_pooler_that_lost_the_server(Way::AtOnce, Loss::Denied("08006"))]
#[case::by_a_server_that_shut_down_behind_its_commit(Way::UnderLocks, Loss::ShutOut("57P01"))]
#[case::by_a_server_that_shut_down_behind_its_commit(Way::AtOnce, Loss::ShutOut("57P01"))]
#[case(Way::AtOnce, Loss::After)]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_acknowledged(#[case] way: Way, #[case] loss: Loss) {
    let setting = Setting::new(way).await;
    assert_eq!(setting.import(&[loss]).await, (201, true));
    setting.assert_imports(1).await;
    let metrics = setting.service.metrics().await;
    let counted = r#"plg_events_total{event_type="import_success",outcome="recorded"} 1"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert_eq!(setting.service.api.import(hotel(1), JOB).await.outcome(), "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_still_under_way_is_waited_for() {
    let setting = Setting::new(Way::UnderLocks).await;
    let db = setting.database.connect().await;
    let deliver = async {
        assert_somebody_waits(&db).await;
        setting.proxy.deliver().await;
    };
    let (answered, ()) = tokio::join!(setting.import(&[Loss::Late]), deliver);
    assert_eq!(answered, (201, true));
    setting.assert_imports(1).await;
}

/// As from a network that was cut for a while.
#[rstest]
#[case::of_what_was_recorded_once_more(&[Loss::Late], 201, 1)]
#[case::of_what_was_refused(&[Loss::Late, Loss::Before], 503, 0)]
#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_when_it_was_answered_is_not_recorded_any_more(
    #[case] losses: &[Loss],
    #[case] answered: u16,
    #[case] recorded: i64,
) {
    let setting = Setting::new(Way::AtOnce).await;
    assert_eq!(setting.import(losses).await, (answered, true));
    setting.proxy.deliver().await;
    setting.assert_imports(recorded).await;
}

/// Nothing is lost with it, and whether the quota is as it is remembered was not found out.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_would_be_refused_is_told_nothing_that_was_not_found_true() {
    let mut setting = Setting::new(Way::AtOnce).await;
    let body = json!({ "plan": "suite", "time_zone": "UTC", "limits": { "imports": 0 } });
    let registered = setting.service.api.put(&format!("/v1/hotels/{}", hotel(1)), &body).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    // The text is sent once on each connection.
    setting.service = Setting::start(&setting.proxy, "1000");
    setting.proxy.lose("select pg_temp.plg_record", &[Loss::Before]);
    let lost = setting.service.api.import(hotel(1), JOB).await;
    assert_eq!((lost.status, lost.code()), (503, "database_unavailable"));
    assert_eq!(setting.service.api.import(hotel(1), JOB).await.code(), "quota_exceeded");
    setting.assert_imports(0).await;
}

/// The transaction stays open, and nobody can say yet what will become of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_answers_is_reported_in_time_as_unknown() {
    let setting = Setting::new(Way::UnderLocks).await;
    assert_eq!(setting.import(&[Loss::Silence]).await, (503, false));
    setting.assert_imports(0).await;
}

/// Until a transaction waits for another one.
async fn assert_somebody_waits(db: &DatabaseConnection) {
    const ATTEMPTS: u32 = 150;
    const PAUSE: Duration = Duration::from_millis(10);

    let waiting = "select count(*) as n from pg_stat_activity \
                   where wait_event_type = 'Lock' and datname = current_database()";
    for _ in 0..ATTEMPTS {
        if ledger::number(db, waiting).await > 0 {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("nobody waits for the transaction whose COMMIT is under way");
}
