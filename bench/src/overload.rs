//! More than the service can do, as it is shipped: what is accepted keeps its latency, the rest is refused at
//! once, and afterwards everything is as before.
//!
//! *Twice the rate* that it keeps up: requests come at fixed times, whatever became of those before. *A crowd*:
//! clients that come again as soon as they have been refused, which is as much as HTTP alone can take.

use crate::Effort;
use crate::compare::{CONNECTIONS, HOTELS, load};
use crate::load::{Load, Outcome, run as run_load};
use crate::report::{Figures, Target, print};
use crate::server::{Kind, Place, serve, stop_and_check};
use plg_testkit::process;
use std::time::Duration;

/// Connections of the bursts.
const CROWD: usize = 4_000;
/// How long after a burst everything has to be as before.
const AFTERWARDS: Duration = Duration::from_secs(5);

pub(crate) async fn run(effort: &Effort) {
    let (duration, rounds) = (effort.duration(), effort.rounds);
    let place = Place::new(effort).await;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        let url = place.database(Kind::Postgres).await;
        let server = serve(&url, &[]);
        let usual = load(server.address, CONNECTIONS, HOTELS, duration);
        let before = run_load(&usual).await;
        figures.note("requests/s before", before.rate);
        figures.note("p99 ms before", before.quantile_ms(0.99));
        let crowd = load(server.address, CROWD, HOTELS, duration);
        let twice = Load { rate: Some(2.0 * before.rate), ..crowd.clone() };
        for (name, burst) in [("twice the rate", twice), ("a crowd", crowd)] {
            note(&mut figures, name, &run_load(&burst).await, duration);
            // A quarter of it warms up: what is measured begins within five seconds.
            let after = run_load(&load(server.address, CONNECTIONS, HOTELS, AFTERWARDS)).await;
            assert_eq!((after.failures, after.refused.len()), (0, 0), "nobody is refused any more");
            figures.note(&format!("{name}: p99 ms after it"), after.quantile_ms(0.99));
        }
        figures.note("MiB", process::peak_mib(server.id()).expect("it runs"));
        stop_and_check(server, &url).await;
    }
    let line = |what: &str, ours: &str, theirs: &str, bound| {
        figures.line(what, ours, theirs, Target::AtMost(bound))
    };
    let mut lines = Vec::new();
    for name in ["twice the rate", "a crowd"] {
        let of = |what| format!("{name}: {what}");
        let accepted = of("p99 ms of the accepted");
        let refused = of("p99 ms of the refused");
        lines.extend([
            line(&of("accepted"), &accepted, "p99 ms before", 5.0),
            line(&of("refused, at once"), &refused, &accepted, 1.0),
            line(&of("after it"), &of("p99 ms after it"), "p99 ms before", 1.5),
        ]);
    }
    print(&lines);
}

fn note(figures: &mut Figures, name: &str, burst: &Outcome, duration: Duration) {
    assert_eq!(burst.failures, 0, "everyone is answered, with success or with 503");
    let mut note = |what, value| figures.note(&format!("{name}: {what}"), value);
    note("accepted/s", burst.rate);
    note("p99 ms of the accepted", burst.quantile_ms(0.99));
    note("refused/s", burst.refused.len() as f64 / duration.as_secs_f64());
    // Of nobody it is no figure, and no target is met.
    if !burst.refused.is_empty() {
        note("p99 ms of the refused", burst.refused_quantile_ms(0.99));
    }
}
