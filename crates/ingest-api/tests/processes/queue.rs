//! A lane that stands still behind a full queue.

use crate::support::Environment;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use plg_store::connect::begin_write;
use plg_testkit::app::{Answer, Api, event, hotel};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend};
use serde_json::{Value, json};

/// The smallest queue there is.
pub(crate) const SMALL_QUEUE: &Environment =
    &[("PLG__WRITER__QUEUE", "1000"), ("PLG__WRITER__LANES", "1")];
/// Two arrays of so many items fill it.
pub(crate) const ITEMS: usize = 500;

/// While this is held, no lane records anything, for as long as a statement may take.
pub(crate) enum StandingStill {
    /// Whoever writes is the only one.
    Sqlite(DatabaseTransaction),
    /// A lock would be waited for for less long.
    Postgres(DatabaseConnection),
}

impl StandingStill {
    pub(crate) async fn new(api: &Api, db: &DatabaseConnection) -> Self {
        const STAND_STILL: &str = "create table standing_still (); insert into standing_still default values; \
             create function stand_still() returns trigger language plpgsql as $$ begin \
             while exists (select from standing_still) loop perform pg_sleep(0.001); end loop; \
             return null; end $$; \
             create trigger stand_still before insert on product_event for each statement \
             execute function stand_still()";

        // Nobody is to wait for a month to be opened.
        assert_eq!(api.event(hotel(1), "upgrade_click", json!({})).await.status, 200);
        if db.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared(STAND_STILL).await.unwrap();
            return Self::Postgres(db.clone());
        }
        Self::Sqlite(begin_write(db).await.unwrap())
    }

    pub(crate) async fn release(self) {
        match self {
            Self::Sqlite(txn) => txn.rollback().await.unwrap(),
            Self::Postgres(db) => {
                db.execute_unprepared("delete from standing_still").await.unwrap();
            }
        }
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
