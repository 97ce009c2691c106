//! Traces of the program: what the environment says of them, and that none is lost by a stop.

use crate::support::Service;
use plg_testkit::{Backend, Collector, TestDatabase};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_told_to_stop_sends_its_last_spans() {
    let collector = Collector::start();
    let database = TestDatabase::new(Backend::Sqlite).await;
    let endpoint: &'static str = collector.url().to_owned().leak();
    let environment = [
        ("PLG__TRACES__ENDPOINT", endpoint),
        ("PLG__TRACES__SAMPLE_RATIO", "1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20geheim"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let service = Service::start(database.url(), &environment);
    assert_eq!(service.api.get("/livez").await.status, 200);
    let status = service.terminate();
    assert!(status.success(), "{status}");

    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0].name, "GET /livez");
    assert_eq!(spans[0].service["service.name"], "ingest-api");
    assert_eq!(spans[0].service["deployment.environment.name"], "test");
    assert_eq!(collector.authorizations(), ["Bearer geheim"]);
}
