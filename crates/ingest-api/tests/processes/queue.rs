//! A lane that stands still behind a full queue.

use crate::support::Environment;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use plg_store::connect::begin_write;
use plg_testkit::app::{Answer, Api, event, hotel};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction};
use serde_json::{Value, json};

/// The smallest queue there is.
pub(crate) const SMALL_QUEUE: &Environment = &[("PLG__WRITER__QUEUE", "1000")];
/// Two arrays of so many items fill it.
pub(crate) const ITEMS: usize = 500;

/// While this is held, no lane records anything.
pub(crate) struct StandingStill(DatabaseTransaction);

impl StandingStill {
    pub(crate) async fn new(api: &Api, db: &DatabaseConnection) -> Self {
        // There has to be a month to hold.
        assert_eq!(api.event(hotel(1), "upgrade_click", json!({})).await.status, 200);
        let txn = begin_write(db).await.unwrap();
        txn.execute_unprepared("update usage_monthly set imports = imports").await.unwrap();
        Self(txn)
    }

    pub(crate) async fn release(self) {
        self.0.rollback().await.unwrap();
    }
}

async fn send_array(api: Api, array: usize) -> Answer {
    let click = |number| {
        let id = json!({ "id": format!("click {array} {number}") });
        event(hotel(1), "upgrade_click", id)
    };
    let clicks: Vec<Value> = (0..ITEMS).map(click).collect();
    api.post("/v1/events", &Value::Array(clicks)).await
}

/// Sends one array more than the queue holds: one is refused at once, so the others, whose answers
/// are still to come, have filled it.
pub(crate) async fn fill_queue(
    api: &Api,
) -> FuturesUnordered<impl Future<Output = Answer> + use<>> {
    let mut arrays: FuturesUnordered<_> =
        (0..3).map(|array| send_array(api.clone(), array)).collect();
    assert_overloaded(&arrays.next().await.unwrap());
    arrays
}

pub(crate) fn assert_overloaded(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (503, "overloaded"), "{answer:?}");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
}

pub(crate) fn assert_all_recorded(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results.len(), ITEMS);
    assert!(results.iter().all(|result| result["outcome"] == "recorded"), "{results:?}");
}
