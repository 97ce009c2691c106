//! Each connection is an open file.

use crate::support::assert_answers;
use plg_testkit::{Backend, Process, TestDatabase};
use std::fs;
use std::path::Path;
use tokio::net::TcpStream;
use tokio::task::block_in_place;

/// Starts `$PROGRAM` with a soft limit of 128 and a hard one of 4,096.
const FEW_OPEN_FILES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/few_open_files.sh");
/// More than the soft limit.
const CONNECTIONS: usize = 160;

#[tokio::test(flavor = "multi_thread")]
async fn a_low_soft_limit_is_raised_and_there_is_room_for_all_connections_from_the_start() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let settings = [
        ("PROGRAM", env!("CARGO_BIN_EXE_ingest-api")),
        ("PLG__SERVER__CONNECTIONS", "1000"),
        ("PLG__SERVER__THREADS", "2"),
    ];
    let service =
        block_in_place(|| Process::serve(Path::new(FEW_OPEN_FILES), database.url(), &settings));
    let room_at_start = room(&service);
    assert!(room_at_start >= 2000, "room for {room_at_start} files");

    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = TcpStream::connect(service.address).await.unwrap();
        assert_answers(&mut connection).await;
        open.push(connection);
    }
    assert_eq!(room(&service), room_at_start);
    assert!(block_in_place(|| service.terminate()).success());
}

/// Slots in the kernel's table of the process's open files.
fn room(service: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
    line.expect("Linux says it").trim().parse().unwrap()
}
