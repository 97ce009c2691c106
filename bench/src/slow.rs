//! A thousand sockets that send as slowly as they can, beside a client that works.

use crate::Effort;
use crate::compare::load;
use crate::load::{Load, run as run_load};
use crate::report::{Figures, Target, print};
use crate::server::{Kind, Place, serve, stop_and_check};
use plg_testkit::access::ROOT_KEY;
use plg_testkit::process;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Sockets that send slowly.
const SOCKETS: usize = 1000;
/// How long they wait between bytes.
const PAUSE: Duration = Duration::from_millis(500);
/// What the client that works sends, a second.
const RATE: f64 = 500.0;

/// What a slow socket sends at once, before it becomes slow.
#[derive(Debug, Clone, Copy)]
enum Slow {
    Head,
    Body,
}

/// Measures the client alone, beside slow heads, and beside slow bodies, in each round.
pub(crate) async fn run(effort: &Effort) {
    let (duration, rounds) = (effort.duration(), effort.rounds);
    let place = Place::new(effort).await;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        for (slow, p99, memory) in [
            (None, "p99 ms alone", "MiB alone"),
            (Some(Slow::Head), "p99 ms beside slow heads", "MiB beside slow heads"),
            (Some(Slow::Body), "p99 ms beside slow bodies", "MiB beside slow bodies"),
        ] {
            let url = place.only_database(Kind::Postgres).await;
            let server = serve(&url, &[]);
            let mut sockets = JoinSet::new();
            if let Some(slow) = slow {
                for _ in 0..SOCKETS {
                    sockets.spawn(send_slowly(server.address, slow));
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let outcome = run_load(&client(server.address, duration)).await;
            assert_eq!(
                outcome.failures + outcome.refused.len(),
                0,
                "every request of the client that works succeeds"
            );
            figures.note(p99, outcome.quantile_ms(0.99));
            figures.note(memory, process::peak_mib(server.id()).expect("it runs"));
            sockets.shutdown().await;
            stop_and_check(server, &url).await;
        }
    }
    let line = |what, ours, theirs, bound| figures.line(what, ours, theirs, Target::AtMost(bound));
    print(&[
        line("1,000 slow heads", "p99 ms beside slow heads", "p99 ms alone", 2.0),
        line("1,000 slow bodies", "p99 ms beside slow bodies", "p99 ms alone", 2.0),
    ]);
}

fn client(address: SocketAddr, duration: Duration) -> Load {
    Load { rate: Some(RATE), ..load(address, 32, 100, duration) }
}

/// Until it is aborted; comes back whenever it is thrown out.
async fn send_slowly(address: SocketAddr, slow: Slow) {
    let start = match slow {
        Slow::Head => "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_owned(),
        Slow::Body => format!(
            "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {ROOT_KEY}\r\nContent-Length: 100000\r\n\r\n"
        ),
    };
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let mut sent = stream.write_all(start.as_bytes()).await;
        while sent.is_ok() {
            tokio::time::sleep(PAUSE).await;
            sent = stream.write_all(b" ").await;
        }
    }
}
