//! Twenty million events stored instead of none.

use crate::Effort;
use crate::compare::{CONNECTIONS, HOTELS, load};
use crate::load::run as run_load;
use crate::report::{Figures, Target, print};
use crate::seed;
use crate::server::{Kind, Place, peak_mib, serve, stop_and_check};

/// Months before this one, each with as many events of each hotel.
const MONTHS: i64 = 10;
const EVENTS: u64 = 2_000;

pub(crate) async fn run(effort: &Effort) {
    let (duration, rounds) = (effort.duration(), effort.rounds);
    let place = Place::new(effort).await;
    let full = place.database(Kind::Postgres).await;
    let db = seed::connect(&full).await;
    println!("storing {} events", MONTHS as u64 * HOTELS * EVENTS);
    for before in (1..=MONTHS).rev() {
        let month = seed::month_before(before);
        seed::fill_month(&db, month, (HOTELS, EVENTS), true, before == 1).await;
    }
    seed::fill_gates(&db, MONTHS as u64 * HOTELS * EVENTS).await;
    seed::settle(&db).await;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        let empty = place.database(Kind::Postgres).await;
        for (url, rate, p99, memory) in [
            (&empty, "actions/s, nothing stored", "p99 ms, nothing stored", "MiB, nothing stored"),
            (
                &full,
                "actions/s, 20 million stored",
                "p99 ms, 20 million stored",
                "MiB, 20 million stored",
            ),
        ] {
            let server = serve(url, &[]);
            let outcome = run_load(&load(server.address, CONNECTIONS, HOTELS, duration)).await;
            assert_eq!(outcome.failures + outcome.refused.len(), 0, "every request succeeds");
            figures.note(rate, outcome.rate);
            figures.note(p99, outcome.quantile_ms(0.99));
            figures.note(memory, peak_mib(server.id()));
            stop_and_check(server, url).await;
        }
    }
    let line =
        |ours, theirs, target| figures.line("20 million events stored", ours, theirs, target);
    print(&[
        line("actions/s, 20 million stored", "actions/s, nothing stored", Target::AtLeast(0.9)),
        line("p99 ms, 20 million stored", "p99 ms, nothing stored", Target::AtMost(1.5)),
    ]);
}
