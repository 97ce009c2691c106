//! What the API tells of runs and their corrections.

use crate::months::{HOTEL, damaged_before_the_turn};
use crate::support::{Books, NOVEMBER, incremental};
use chrono::TimeDelta;
use plg_testkit::commands::hotel;
use plg_testkit::{Backend, TestApp};
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_corrections_of_a_run_are_read_page_by_page(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let books = damaged_before_the_turn(backend).await;
    books.damage(HOTEL, NOVEMBER, "imports = 9, exports = 9").await;
    let run = books.reconcile(&incremental()).await;
    let app = TestApp::start(&books.database, &books.clock).await;
    let all = serde_json::to_value(books.adjustments(&run).await).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 5, "{all}");

    let path = format!("/v1/rollups/{}", run.run_id);
    let whole = app.api.get(&path).await.body;
    assert_eq!((&whole["corrections"], &whole["next_cursor"]), (&all, &Value::Null));
    for limit in 1..=5 {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        while pages.len() < 6 {
            let page = app.api.get(&format!("{path}?limit={limit}{cursor}")).await;
            assert_eq!((page.status, &page.body["corrected"]), (200, &json!(5)), "{page:?}");
            pages.push(page.body["corrections"].as_array().unwrap().clone());
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(pages.len(), 5_usize.div_ceil(limit), "pages of {limit}");
        assert_eq!(Value::Array(pages.concat()), all, "pages of {limit}");
    }
    for query in ["cursor=MjAyNjExLjE", "limit=0", "limit=1001", "month=2026-11"] {
        assert_eq!(
            app.api.get(&format!("{path}?{query}")).await.code(),
            "invalid_field",
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_runs_are_listed_unless_told() {
    let books = Books::of(Backend::Sqlite, &[hotel(1)]).await;
    let mut newest_first = Vec::new();
    for _ in 0..31 {
        books.clock.advance(TimeDelta::minutes(1));
        newest_first.insert(0, json!(books.reconcile(&incremental()).await.run_id));
    }
    let app = TestApp::start(&books.database, &books.clock).await;
    for (query, count) in [("", 30), ("?limit=1", 1), ("?limit=31", 31), ("?limit=1000", 31)] {
        let listed = app.api.get(&format!("/v1/rollups{query}")).await.body;
        let listed = listed["rollups"].as_array().unwrap().iter().map(|run| run["run_id"].clone());
        assert_eq!(listed.collect::<Vec<_>>(), newest_first[..count], "{query}");
    }
}
