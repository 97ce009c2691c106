//! The connection is lost at a COMMIT: the service finds out what became of it before it answers.
//!
//! PostgreSQL only: SQLite has no connection to lose.

use crate::proxy::{Loss, Proxy};
use crate::support::{ANSWER_DEADLINE, Service};
use plg_testkit::app::hotel;
use plg_testkit::{Backend, TestDatabase, ledger};
use sea_orm::DatabaseConnection;
use std::time::Duration;

struct Setting {
    database: TestDatabase,
    proxy: Proxy,
    service: Service,
}

impl Setting {
    async fn new() -> Self {
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

/// The first import opens the hotel's month in the same transaction, the second finds it open.
const JOBS: [&str; 2] = ["first", "second"];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_committed_is_refused_and_may_be_sent_again() {
    let setting = Setting::new().await;
    for (recorded, job_id) in (0..).zip(JOBS) {
        assert_eq!(setting.import(job_id, Loss::Before).await, 503);
        setting.assert_imports(recorded).await;
        assert_eq!(setting.service.api.import(hotel(1), job_id).await.status, 201);
        setting.assert_imports(recorded + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_acknowledged() {
    let setting = Setting::new().await;
    for (recorded, job_id) in (1..).zip(JOBS) {
        assert_eq!(setting.import(job_id, Loss::After).await, 201);
        setting.assert_imports(recorded).await;
        assert_eq!(setting.service.api.import(hotel(1), job_id).await.outcome(), "duplicate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_still_under_way_is_waited_for() {
    let setting = Setting::new().await;
    let db = setting.database.connect().await;
    for (recorded, job_id) in (1..).zip(JOBS) {
        let deliver = async {
            assert_somebody_waits(&db).await;
            setting.proxy.deliver();
        };
        let (status, ()) = tokio::join!(setting.import(job_id, Loss::Meanwhile), deliver);
        assert_eq!(status, 201);
        setting.assert_imports(recorded).await;
    }
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
