//! More than the service can do: what is accepted keeps its latency, the rest is refused at once, and afterwards
//! everything is as before.
//!
//! *Twice the rate* that it keeps up: requests come at fixed times, whatever became of those before. *A crowd*:
//! clients that come again as soon as they have been refused, which is as much as HTTP alone can take.
//!
//! On PostgreSQL, as it is shipped, the two cores are what is short, and to refuse takes nearly as much of them as to
//! record. On SQLite it is the database, whose one thread writes to pages at random places: the cores have time to refuse.

use crate::Effort;
use crate::compare::{CONNECTIONS, HOTELS, load};
use crate::load::{Ids, Load, Outcome, run as run_load};
use crate::report::{Figures, Target, print};
use crate::server::{Kind, Place, serve, stop_and_check};
use plg_testkit::process;
use std::time::Duration;

/// Connections of the bursts.
const CROWD: usize = 4_000;
/// Those of a burst of which some are refused: more than may wait, and as many as come while those wait.
const REFUSED_CROWD: usize = 7_500;
/// How long after a burst everything has to be as before.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// Nobody is accepted who would have to wait for longer.
const IMPATIENT: (&str, &str) = ("PLG__SERVER__MAX_WAIT_MS", "50");

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
        note_before(&mut figures, "", &before);
        let crowd = Load { connections: CROWD, ..usual.clone() };
        let twice = Load { rate: Some(2.0 * before.rate), ..crowd.clone() };
        for (name, burst) in [("twice the rate", twice), ("a crowd", crowd)] {
            note(&mut figures, name, &run_load(&burst).await, duration);
            // A quarter of it warms up: what is measured begins within five seconds.
            let after = run_load(&Load { duration: AFTERWARDS, ..usual.clone() }).await;
            assert_eq!((after.failures, after.refused.len()), (0, 0), "nobody is refused any more");
            figures.note(&format!("{name}: p99 ms after it"), after.quantile_ms(0.99));
        }
        figures.note("MiB", process::peak_mib(server.id()).expect("it runs"));
        stop_and_check(server, &url).await;

        let url = place.database(Kind::Sqlite).await;
        let server = serve(&url, &[IMPATIENT]);
        let usual =
            Load { ids: Ids::Random, ..load(server.address, CONNECTIONS, HOTELS, duration) };
        let before = run_load(&usual).await;
        note_before(&mut figures, "SQLite: ", &before);
        let rate = Some(2.0 * before.rate);
        let twice = Load { connections: REFUSED_CROWD, rate, ..usual.clone() };
        // What comes afterwards is compared with nothing: it is slower without a burst, too, by what is stored by then.
        note(&mut figures, "SQLite: twice the rate", &run_load(&twice).await, duration);
        stop_and_check(server, &url).await;
    }
    let mut lines = Vec::new();
    for (database, name) in
        [("", "twice the rate"), ("", "a crowd"), ("SQLite: ", "SQLite: twice the rate")]
    {
        let of = |what| format!("{name}: {what}");
        let before = format!("{database}p99 ms before");
        let accepted = of("p99 ms of the accepted");
        let refused = of("p99 ms of the refused");
        for (what, ours, theirs, bound) in [
            ("accepted", &accepted, &before, 5.0),
            ("refused, at once", &refused, &accepted, 1.0),
            ("after it", &of("p99 ms after it"), &before, 1.5),
        ] {
            // Where nobody is refused, nobody is refused late.
            if figures.has(ours) {
                lines.push(figures.line(&of(what), ours, theirs, Target::AtMost(bound)));
            }
        }
    }
    print(&lines);
}

fn note_before(figures: &mut Figures, database: &str, before: &Outcome) {
    figures.note(&format!("{database}requests/s before"), before.rate);
    figures.note(&format!("{database}p99 ms before"), before.quantile_ms(0.99));
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
