//! Plans of the operator's own need no build.

use crate::support::Service;
use plg_testkit::app::hotel;
use plg_testkit::{Backend, TestDatabase};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_the_operator_is_known_by_its_name() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let boutique = [
        ("PLG__PLANS__BOUTIQUE__IMPORTS", "7"),
        ("PLG__PLANS__BOUTIQUE__EXPORTS", "unlimited"),
        ("PLG__PLANS__BOUTIQUE__ACTIVE_USERS", "2"),
        ("PLG__PLANS__DEFAULT", "boutique"),
    ];
    let service = Service::start(database.url(), &boutique);
    assert_eq!(service.api.register(hotel(1), "suite", "UTC").await.status, 200);
    for (number, plan, limits) in
        [(1, "suite", None), (2, "boutique", Some([json!(7), Value::Null, json!(2)]))]
    {
        let usage = service.api.get(&format!("/v1/hotels/{}/usage", hotel(number))).await;
        assert_eq!(usage.body["plan"], plan, "{usage:?}");
        let limit = |quota: &str| usage.body["quotas"][quota]["limit"].clone();
        if let Some(limits) = limits {
            assert_eq!(["imports", "exports", "active_users"].map(limit), limits);
        }
    }
    assert!(service.terminate().success());
}
