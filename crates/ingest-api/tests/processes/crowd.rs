//! Many who connect at the same moment.

use crate::support::{Service, assert_answers};
use futures_util::future::join_all;
use plg_testkit::{Backend, TestDatabase};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// More than the standard library lets wait to be accepted.
const CROWD: usize = 256;
/// Far longer than it takes.
const STANDSTILL: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_connects_while_the_service_is_busy_waits_to_be_accepted() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let service = Service::start(database.url(), &[]);
    // Nobody is as busy as one who does not run.
    service.signal("-STOP");
    let crowd = join_all((0..CROWD).map(|_| TcpStream::connect(service.address())));
    let crowd = timeout(STANDSTILL, crowd).await.expect("some are not let in");
    service.signal("-CONT");
    for connection in crowd {
        let mut connection = connection.unwrap();
        assert_answers(&mut connection).await;
    }
    assert!(service.terminate().success());
}
