//! One bad command does not fail those that share its transaction.

use crate::support::Service;
use plg_testkit::app::{event, hotel};
use plg_testkit::{Backend, TestDatabase, ledger};
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_cannot_be_read_fails_alone(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const HOTELS: u32 = 20;
    const UNREADABLE: u32 = 13;

    let database = TestDatabase::new(backend).await;
    let service = Service::start(database.url(), &[("PLG__LOG__FILTER", "off")]);
    assert_eq!(
        service.api.register(hotel(u128::from(UNREADABLE)), "suite", "UTC").await.status,
        200
    );
    let db = database.connect().await;
    assert_eq!(ledger::damage(&db, "update hotel set time_zone = 'Mars/Olympus'").await, 1);

    // The bad one comes twice, with good ones before, between and behind.
    let hotels: Vec<u32> = (0..HOTELS).chain(0..HOTELS).collect();
    let click = |number: &u32| event(hotel(u128::from(*number)), "upgrade_click", json!({}));
    let clicks: Vec<Value> = hotels.iter().map(click).collect();
    let answer = service.api.post("/v1/events", &Value::Array(clicks)).await;

    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results.len(), hotels.len());
    for (number, result) in hotels.into_iter().zip(results) {
        if number == UNREADABLE {
            assert_eq!(result["problem"]["code"], "internal", "{result}");
        } else {
            assert_eq!(result["outcome"], "recorded", "{result}");
            assert_eq!(result["event"]["hotel_id"], hotel(u128::from(number)).to_string());
        }
    }
    ledger::assert_balanced(&db).await;
    let events = ledger::number(&db, "select count(*) as n from product_event").await;
    assert_eq!(events, i64::from(2 * (HOTELS - 1)));
}
