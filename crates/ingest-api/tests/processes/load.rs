//! Many clients that import at once, and remember what they were told.

use futures_util::future::join_all;
use plg_testkit::app::{Answer, Api, hotel};
use plg_testkit::ledger;
use sea_orm::{ConnectionTrait, Statement};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;

pub(crate) const CLIENTS: usize = 32;
/// Imports of each client whose work has an end.
const JOBS: usize = 40;
/// All imports.
pub(crate) const ALL_JOBS: usize = CLIENTS * JOBS;
/// Few enough that every batch holds several imports of each.
const HOTELS: usize = 4;
/// How often an import is sent before the test has failed.
const ATTEMPTS_MAX: usize = 1_000;
/// Of clients that work for as long as the test does, before they send again what was not acknowledged.
const PAUSE: Duration = Duration::from_millis(20);

/// What a client does when an import is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    UntilAcknowledged,
    Never,
    /// Half of them do this, half of them that.
    ByHalf,
}

impl Retry {
    const fn of_client(self, number: usize) -> Self {
        match self {
            Self::ByHalf if number.is_multiple_of(2) => Self::UntilAcknowledged,
            Self::ByHalf => Self::Never,
            retry => retry,
        }
    }
}

/// When a client has done its work.
#[derive(Debug, Clone)]
enum Work {
    Jobs,
    Until(watch::Receiver<bool>),
}

impl Work {
    fn is_done(&self, job: usize) -> bool {
        match self {
            Self::Jobs => job == JOBS,
            Self::Until(ended) => *ended.borrow(),
        }
    }
}

/// What the clients were told about their imports.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// 201 or 200.
    pub(crate) acknowledged: BTreeSet<String>,
    /// A 503 which says that nothing was recorded, as the last word.
    pub(crate) refused: BTreeSet<String>,
    /// That the outcome is unknown, or nothing at all, as the last word.
    pub(crate) unknown: BTreeSet<String>,
    /// Attempts that were not acknowledged.
    pub(crate) failures: usize,
}

/// The clients, before they start.
pub(crate) struct Load {
    service: watch::Receiver<Api>,
    retry: Retry,
    work: Work,
    acknowledged: watch::Sender<usize>,
    failures: watch::Sender<usize>,
}

/// Gives the hotels of the load a plan without limits.
pub(crate) async fn register_hotels(api: &Api) {
    for number in 0..HOTELS {
        assert_eq!(api.register(hotel(number as u128), "suite", "UTC").await.status, 200);
    }
}

impl Load {
    /// Clients of the service that the channel names: after a crash it names another.
    pub(crate) fn new(service: watch::Receiver<Api>, retry: Retry) -> Self {
        let (acknowledged, failures) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { service, retry, work: Work::Jobs, acknowledged, failures }
    }

    /// The same, with as many imports as there is time for until the channel says so.
    pub(crate) fn until(self, ended: watch::Receiver<bool>) -> Self {
        Self { work: Work::Until(ended), ..self }
    }

    /// How many imports have been acknowledged so far.
    pub(crate) fn progress(&self) -> watch::Receiver<usize> {
        self.acknowledged.subscribe()
    }

    /// How many attempts have not been acknowledged so far.
    pub(crate) fn trouble(&self) -> watch::Receiver<usize> {
        self.failures.subscribe()
    }

    /// Runs all clients until their work is done, or until nobody answers them any more.
    pub(crate) async fn run(self) -> Told {
        let mut all = Told::default();
        for told in join_all((0..CLIENTS).map(|number| self.client(number))).await {
            all.acknowledged.extend(told.acknowledged);
            all.refused.extend(told.refused);
            all.unknown.extend(told.unknown);
            all.failures += told.failures;
        }
        all
    }

    async fn client(&self, number: usize) -> Told {
        let mut told = Told::default();
        let mut service = self.service.clone();
        let mut job = 0;
        while !self.work.is_done(job) {
            let job_id = format!("client {number} job {job}");
            let in_reach = self.import(number, &job_id, &mut service, &mut told).await;
            if !in_reach {
                break;
            }
            job += 1;
        }
        told
    }

    /// One import; `false` when the service is gone for good.
    async fn import(
        &self,
        client: usize,
        job_id: &str,
        service: &mut watch::Receiver<Api>,
        told: &mut Told,
    ) -> bool {
        for _ in 0..ATTEMPTS_MAX {
            let api = service.borrow_and_update().clone();
            let answer = import(&api, client, job_id).await;
            let answered = answer.is_some();
            let word = match last_word(answer) {
                Word::Acknowledged => {
                    told.acknowledged.insert(job_id.to_owned());
                    self.acknowledged.send_modify(|count| *count += 1);
                    return true;
                }
                Word::Refused => &mut told.refused,
                Word::Unknown => &mut told.unknown,
            };
            told.failures += 1;
            self.failures.send_modify(|count| *count += 1);
            if matches!(self.work, Work::Until(_)) {
                tokio::time::sleep(PAUSE).await;
            }
            if self.retry.of_client(client) == Retry::Never {
                word.insert(job_id.to_owned());
                return answered;
            }
            if !answered {
                // Until another one is there; an error says that none will follow.
                let _ = service.changed().await;
            }
        }
        panic!("{job_id} was not acknowledged in {ATTEMPTS_MAX} attempts");
    }
}

/// Whoever waits so long has been forgotten. How soon answers come is asked in `outage`, where a
/// machine that is busy with killing and restarting does not answer too.
const NEVER: Duration = Duration::from_secs(60);

async fn import(api: &Api, client: usize, job_id: &str) -> Option<Answer> {
    let hotel = hotel((client % HOTELS) as u128);
    let body = serde_json::json!({ "job_id": job_id, "user_id": plg_testkit::app::USER });
    let request = api.request(reqwest::Method::POST, &format!("/v1/hotels/{hotel}/imports"));
    let answer = tokio::time::timeout(NEVER, Api::try_send(request.json(&body))).await;
    answer.unwrap_or_else(|_| panic!("{job_id}: no answer at all"))
}

enum Word {
    Acknowledged,
    Refused,
    Unknown,
}

fn last_word(answer: Option<Answer>) -> Word {
    let Some(answer) = answer else { return Word::Unknown };
    match (answer.status, answer.code()) {
        (200 | 201, _) => Word::Acknowledged,
        (503, "outcome_unknown") => Word::Unknown,
        (503, _) => Word::Refused,
        _ => panic!("{answer:?}"),
    }
}

impl Told {
    /// Checks what the clients were told against what is stored: everything that was acknowledged
    /// stands there, once; nothing that was refused does; and the counters say so.
    pub(crate) async fn assert_true(&self, db: &impl ConnectionTrait) {
        let stored = stored_imports(db).await;
        let distinct: BTreeSet<String> = stored.iter().cloned().collect();
        assert_eq!(distinct.len(), stored.len(), "an import is stored twice");

        let lost = self.lost(db).await;
        assert!(lost.is_empty(), "acknowledged, but not stored: {lost:?}");
        let hidden: Vec<_> = self.refused.intersection(&distinct).collect();
        assert!(hidden.is_empty(), "refused, but stored: {hidden:?}");
        ledger::assert_balanced(db).await;
    }

    /// What was acknowledged, and is not stored.
    pub(crate) async fn lost(&self, db: &impl ConnectionTrait) -> Vec<&String> {
        let stored: BTreeSet<String> = stored_imports(db).await.into_iter().collect();
        self.acknowledged.iter().filter(|job| !stored.contains(*job)).collect()
    }

    /// Checks that whoever got no answer was never let in.
    pub(crate) async fn assert_unanswered_is_not_stored(&self, db: &impl ConnectionTrait) {
        let stored: BTreeSet<String> = stored_imports(db).await.into_iter().collect();
        let dropped: Vec<_> = self.unknown.intersection(&stored).collect();
        assert!(dropped.is_empty(), "recorded, but not answered: {dropped:?}");
    }
}

async fn stored_imports(db: &impl ConnectionTrait) -> Vec<String> {
    let sql = "select dedup_key from product_event where event_type = 'import_success'";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", "dedup_key").unwrap()).collect()
}
