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

struct Setting {
    database: TestDatabase,
    proxy: Proxy,
    service: Service,
}

impl Setting {
    /// A hotel whose month is open, so that the next COMMIT is that of an import.
    async fn new() -> Self {
        let setting = Self::of_new_hotel().await;
        let click = setting.service.api.event(hotel(1), "upgrade_click", json!({})).await;
        assert_eq!(click.outcome(), "recorded", "{click:?}");
        setting
    }

    async fn of_new_hotel() -> Self {
        let database = TestDatabase::new(Backend::Postgres).await;
        let proxy = Proxy::before(database.url()).await;
        let service = Service::start(&proxy.url(), &[]);
        Self { database, proxy, service }
    }

    /// The status of an import whose COMMIT meets a loss.
    async fn import(&self, job_id: &str, loss: Loss) -> u16 {
        self.proxy.lose("COMMIT", loss);
        let answer =
            tokio::time::timeout(ANSWER_DEADLINE, self.service.api.import(hotel(1), job_id));
        let answer = answer.await.expect("an answer in time");
        let is_known = answer.code() != "outcome_unknown";
        assert_eq!(is_known, loss != Loss::Silence, "{answer:?}");
        answer.status
    }

    async fn assert_imports(&self, expected: i64) {
        let db = self.database.connect().await;
        ledger::assert_balanced(&db).await;
        let sql = "select count(*) as n from product_event where event_type = 'import_success'";
        assert_eq!(ledger::number(&db, sql).await, expected);
        assert_eq!(self.service.api.used(hotel(1), "imports").await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_committed_is_refused_and_may_be_sent_again() {
    let setting = Setting::new().await;
    assert_eq!(setting.import("job", Loss::Before).await, 503);
    setting.assert_imports(0).await;
    assert_eq!(setting.service.api.import(hotel(1), "job").await.status, 201);
    setting.assert_imports(1).await;
}

/// The month is opened by a transaction before that of the import.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_month_whose_opening_was_lost_is_opened_the_next_time(
    #[values(Loss::Before, Loss::After)] loss: Loss,
) {
    let setting = Setting::of_new_hotel().await;
    assert_eq!(setting.import("job", loss).await, 503);
    setting.assert_imports(0).await;
    assert_eq!(setting.service.api.import(hotel(1), "job").await.status, 201);
    setting.assert_imports(1).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_acknowledged(#[values(Loss::After, Loss::Denied)] loss: Loss) {
    let setting = Setting::new().await;
    assert_eq!(setting.import("job", loss).await, 201);
    setting.assert_imports(1).await;
    let metrics = setting.service.metrics().await;
    let counted = r#"plg_events_total{event_type="import_success",outcome="recorded"} 1"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert_eq!(setting.service.api.import(hotel(1), "job").await.outcome(), "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_still_under_way_is_waited_for() {
    let setting = Setting::new().await;
    let db = setting.database.connect().await;
    let deliver = async {
        assert_somebody_waits(&db).await;
        setting.proxy.deliver();
    };
    let (status, ()) = tokio::join!(setting.import("job", Loss::Meanwhile), deliver);
    assert_eq!(status, 201);
    setting.assert_imports(1).await;
}

/// The transaction stays open, and nobody can say yet what will become of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_answers_is_reported_in_time_as_unknown() {
    let setting = Setting::new().await;
    assert_eq!(setting.import("job", Loss::Silence).await, 503);
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
