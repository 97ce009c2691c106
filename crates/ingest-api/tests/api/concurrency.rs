//! Counted once and never too often, while two replicas are asked for the same at the same time.

use crate::support::{HOTEL, NOON, Service, seat};
use futures_util::future::join_all;
use plg_testkit::Backend;
use plg_testkit::app::{Answer, Api};
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

const CLIENTS: u32 = 64;
const QUOTA: usize = 10;

/// In small transactions, so that the replicas really meet.
async fn start(backend: Backend) -> Service {
    Service::start_with(backend, NOON, |settings| settings.writer.batch = 4).await
}

/// Sends 64 requests at once, half of them to each of two replicas on one database.
async fn at_once<F>(t: &Service, request: impl Fn(Api, u32) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let replicas = [(**t).clone(), t.replica().await];
    let tasks = (0..CLIENTS).map(|number| {
        let api = replicas[number as usize % 2].clone();
        tokio::spawn(request(api, number))
    });
    let answers = join_all(tasks.collect::<Vec<_>>()).await;
    answers.into_iter().map(|answer| answer.expect("no panic")).collect()
}

fn how_many(answers: &[Answer], status: u16, outcome: &str) -> usize {
    let like = |a: &&Answer| (a.status, a.outcome()) == (status, outcome);
    answers.iter().filter(like).count()
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Import,
    Export,
    Seat,
}

impl Action {
    async fn of(self, api: Api, hotel: Uuid, number: u32) -> Answer {
        match self {
            Self::Import => api.import(hotel, &format!("job-{number}")).await,
            Self::Export => api.export(hotel, &format!("export-{number}")).await,
            Self::Seat => api.add_seat(hotel, seat(number.into())).await,
        }
    }
}

#[rstest]
#[case::imports(Action::Import, "imports", "import_success", None)]
#[case::exports(Action::Export, "exports", "export_success", Some("export_blocked"))]
#[case::seats(Action::Seat, "active_users", "seat_added", Some("invite_attempt_blocked"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_n_admits_exactly_n(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] action: Action,
    #[case] quota: &str,
    #[case] success: &str,
    #[case] blocked: Option<&str>,
) {
    let t = start(backend).await;
    t.limit(HOTEL, json!({ quota: QUOTA })).await;

    let answers = at_once(&t, |api, number| action.of(api, HOTEL, number)).await;

    let refused = CLIENTS as usize - QUOTA;
    assert_eq!(how_many(&answers, 201, "recorded"), QUOTA, "{answers:?}");
    let is_refused = |a: &&Answer| a.status == 402 && a.body["quota"] == quota;
    assert_eq!(answers.iter().filter(is_refused).count(), refused, "{answers:?}");
    assert_eq!(t.used(HOTEL, quota).await, QUOTA as i64);
    assert_eq!(t.count(HOTEL, success).await, QUOTA);
    let logged = match blocked {
        Some(event_type) => t.count(HOTEL, event_type).await,
        None => 0,
    };
    assert_eq!(logged, blocked.map_or(0, |_| refused));
    assert_eq!(t.events(HOTEL).await.len(), QUOTA + logged);
    t.assert_balanced().await;
}

#[rstest]
#[case::imports(Action::Import, [1, 0, 0])]
#[case::exports(Action::Export, [0, 1, 0])]
#[case::seats(Action::Seat, [0, 0, 1])]
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_action_count_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] action: Action,
    #[case] used: [i64; 3],
) {
    let t = start(backend).await;
    t.unlimit(HOTEL).await;

    let answers = at_once(&t, |api, _| action.of(api, HOTEL, 1)).await;

    assert_eq!(how_many(&answers, 201, "recorded"), 1, "{answers:?}");
    assert_eq!(how_many(&answers, 200, "duplicate"), CLIENTS as usize - 1, "{answers:?}");
    assert_eq!(t.all_used(HOTEL).await, used);
    assert_eq!(t.events(HOTEL).await.len(), 1);
    t.assert_balanced().await;
}

/// An event without a counter, and what becomes of 64 copies of it: how many are recorded, and the
/// outcome of the others.
#[rstest]
#[case::session("paywall_view", json!({ "session_id": "s-1" }), 1, "suppressed_session")]
#[case::day("pricing_quote_run", json!({}), 10, "suppressed_daily_cap")]
#[case::id("upgrade_click", json!({ "id": "id-1" }), 1, "duplicate")]
#[case::id_and_session("paywall_view", json!({ "id": "id-1", "session_id": "s" }), 1, "duplicate")]
#[case::each("upgrade_click", json!({}), 64, "")]
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_event_obey_its_rule(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] event_type: &'static str,
    #[case] details: serde_json::Value,
    #[case] recorded: usize,
    #[case] others: &str,
) {
    let t = start(backend).await;

    let answers = at_once(&t, |api, _| {
        let details = details.clone();
        async move { api.event(HOTEL, event_type, details).await }
    })
    .await;

    assert_eq!(how_many(&answers, 200, "recorded"), recorded, "{answers:?}");
    assert_eq!(how_many(&answers, 200, others), CLIENTS as usize - recorded, "{answers:?}");
    assert_eq!(t.events(HOTEL).await.len(), recorded);
    t.assert_balanced().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_comes_and_goes_is_counted_right(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    t.limit(HOTEL, json!({ "active_users": 3 })).await;

    let answers = at_once(&t, |api, number| async move {
        let seat = seat(u128::from(number / 2 % 5));
        match number % 4 {
            0 | 1 => api.add_seat(HOTEL, seat).await,
            _ => api.remove_seat(HOTEL, seat).await,
        }
    })
    .await;

    assert!(answers.iter().all(|answer| [200, 201, 402].contains(&answer.status)), "{answers:?}");
    let held = t.get(&format!("/v1/hotels/{HOTEL}/seats")).await.body["seats"].clone();
    let held = held.as_array().expect("a list").len() as i64;
    assert_eq!(t.used(HOTEL, "active_users").await, held);
    assert!(held <= 3, "{held}");
    t.assert_balanced().await;
}

/// Reads share statements: everyone has to get the answer to the own question, and find the own action
/// counted that was acknowledged before it was asked.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn everyone_reads_their_own_hotel_and_their_own_writes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = start(backend).await;
    let clients = (0..CLIENTS).map(|number| {
        let api = (*t).clone();
        // As many imports as the hotel's number modulo four: the standard plan has three.
        let hotel = plg_testkit::app::hotel(1_000 + u128::from(number));
        tokio::spawn(async move {
            for used in 1..=i64::from(number % 4) {
                assert_eq!(api.import(hotel, &format!("job-{used}")).await.status, 201);
                assert_eq!(api.used(hotel, "imports").await, used);
            }
            for _ in 0..8 {
                assert_eq!(api.used(hotel, "imports").await, i64::from(number % 4));
                let usage = api.get(&format!("/v1/hotels/{hotel}/usage")).await;
                assert_eq!(usage.body["hotel_id"], hotel.to_string());
                assert_eq!(usage.body["quotas"]["imports"]["used"], number % 4);
            }
        })
    });
    for client in join_all(clients.collect::<Vec<_>>()).await {
        client.expect("its own");
    }
}
