//! More requests at once than the queue holds: those that are accepted keep their latency, the rest are
//! refused at once, and afterwards everything is as before.

use crate::compare::{CONNECTIONS, HOTELS, load};
use crate::load::run as run_load;
use crate::report::{Figures, Target, print};
use crate::server::{Kind, Place, peak_mib, serve, stop_and_check};
use std::time::Duration;

/// The smallest queue that may be set; four times as many clients as it holds.
const QUEUE: &str = "1000";
const CROWD: usize = 4_000;
/// How long after the burst everything has to be as before.
const AFTERWARDS: Duration = Duration::from_secs(5);

pub(crate) async fn run(duration: Duration, rounds: u32) {
    let place = Place::new().await;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        let url = place.database(Kind::Postgres).await;
        let server = serve(&url, &[("PLG__WRITER__QUEUE", QUEUE)]);
        let usual = load(server.address, CONNECTIONS, HOTELS, duration);
        let before = run_load(&usual).await;
        figures.note("p99 ms before", before.quantile_ms(0.99));
        let burst = run_load(&load(server.address, CROWD, HOTELS, duration)).await;
        assert_eq!(burst.failures, 0, "everyone is answered, with success or with 503");
        figures.note("accepted/s in the burst", burst.rate);
        figures.note("p99 ms of the accepted", burst.quantile_ms(0.99));
        figures.note("refused/s", burst.refused.len() as f64 / duration.as_secs_f64());
        figures.note("p99 ms of the refused", burst.refused_quantile_ms(0.99));
        figures.note("MiB", peak_mib(server.id()));
        // A quarter of it warms up: what is measured begins within five seconds.
        let after = run_load(&load(server.address, CONNECTIONS, HOTELS, AFTERWARDS)).await;
        assert_eq!((after.failures, after.refused.len()), (0, 0), "nobody is refused any more");
        figures.note("p99 ms within five seconds", after.quantile_ms(0.99));
        stop_and_check(server, &url).await;
    }
    let line = |what, ours, theirs, bound| figures.line(what, ours, theirs, Target::AtMost(bound));
    print(&[
        // A thousand wait instead of 256.
        line("accepted in the burst", "p99 ms of the accepted", "p99 ms before", 5.0),
        line("refused, at once", "p99 ms of the refused", "p99 ms of the accepted", 1.0),
        line("after the burst", "p99 ms within five seconds", "p99 ms before", 1.5),
    ]);
}
