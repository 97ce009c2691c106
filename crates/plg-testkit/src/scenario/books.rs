//! Usage by hotel and month: what it has to be, what stands in the database, what the API says.

use super::rules::METERS;
use crate::app::Api;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The totals of every hotel-month, by hotel and `YYYY-MM`.
pub type Books = BTreeMap<(Uuid, String), Totals>;

/// What a hotel-month comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Imports, exports, seats.
    pub used: [i64; 3],
    /// Number of events by type.
    pub events: BTreeMap<String, i64>,
}

impl Totals {
    /// All events.
    pub fn event_count(&self) -> i64 {
        self.events.values().sum()
    }
}

/// What stands in the database: the counters, and the event rows, counted.
///
/// # Panics
/// When the database cannot be read.
pub async fn read(db: &impl ConnectionTrait) -> Books {
    #[derive(FromQueryResult)]
    struct Counters {
        hotel_id: Uuid,
        month: i32,
        imports: i64,
        exports: i64,
        active_users: i64,
    }

    #[derive(FromQueryResult)]
    struct Events {
        hotel_id: Uuid,
        month: i32,
        event_type: String,
        n: i64,
    }

    let counters = "select hotel_id, month, imports, exports, active_users from usage_monthly";
    let events = "select hotel_id, month, event_type, count(*) as n from product_event \
                  group by hotel_id, month, event_type";
    let mut books = Books::new();
    for row in Counters::find_by_statement(statement(db, counters)).all(db).await.expect("reads") {
        let used = [row.imports, row.exports, row.active_users];
        books.entry(key(row.hotel_id, row.month)).or_default().used = used;
    }
    for row in Events::find_by_statement(statement(db, events)).all(db).await.expect("reads") {
        let totals = books.entry(key(row.hotel_id, row.month)).or_default();
        totals.events.insert(row.event_type, row.n);
    }
    books
}

fn statement(db: &impl ConnectionTrait, sql: &str) -> Statement {
    Statement::from_string(db.get_database_backend(), sql)
}

fn key(hotel: Uuid, month: i32) -> (Uuid, String) {
    (hotel, format!("{:04}-{:02}", month / 100, month % 100))
}

/// What the API says is used in each month of these hotels.
///
/// # Panics
/// When it says something else.
pub async fn ask(
    api: &Api,
    hotels: impl IntoIterator<Item = Uuid>,
) -> BTreeMap<(Uuid, String), [i64; 3]> {
    let mut used = BTreeMap::new();
    for hotel in hotels {
        let answer = api.get(&format!("/v1/hotels/{hotel}/usage/history")).await;
        for month in answer.body["months"].as_array().expect("months") {
            let name = month["month"].as_str().expect("a month").to_owned();
            let quota = |name: &str| month["quotas"][name]["used"].as_i64().expect("a number");
            used.insert((hotel, name), METERS.map(quota));
        }
    }
    used
}

/// What is used according to books.
pub fn used(books: &Books) -> BTreeMap<(Uuid, String), [i64; 3]> {
    books.iter().map(|(key, totals)| (key.clone(), totals.used)).collect()
}

/// The hotel-months that are not alike.
pub fn differing(expected: &Books, found: &Books) -> Vec<(Uuid, String)> {
    let differs = |key: &&(Uuid, String)| expected.get(*key) != found.get(*key);
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    keys.into_iter().filter(differs).cloned().collect()
}
