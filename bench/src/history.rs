//! Twenty million events stored instead of none.

use crate::Effort;
use crate::compare::{CONNECTIONS, HOTELS, load};
use crate::load::{Ids, Load, run as run_load};
use crate::report::{Figures, Target, print};
use crate::seed;
use crate::server::{Kind, Place, serve, stop_and_check};
use plg_testkit::process;

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
        for (ids, which) in [(Ids::Numbered, "numbered ids"), (Ids::Random, "random ids")] {
            let empty = place.database(Kind::Postgres).await;
            for (url, stored) in [(&empty, "nothing"), (&full, "20 million")] {
                let server = serve(url, &[]);
                let load = Load { ids, ..load(server.address, CONNECTIONS, HOTELS, duration) };
                let outcome = run_load(&load).await;
                assert_eq!(outcome.failures + outcome.refused.len(), 0, "every request succeeds");
                let mut note = |what, value| {
                    figures.note(&format!("{what}, {stored} stored, {which}"), value);
                };
                note("actions/s", outcome.rate);
                note("p99 ms", outcome.quantile_ms(0.99));
                note("MiB", process::peak_mib(server.id()).expect("it runs"));
                stop_and_check(server, url).await;
            }
        }
    }
    let line = |what, which, target| {
        let of = |stored| format!("{what}, {stored} stored, {which}");
        figures.line("20 million events stored", &of("20 million"), &of("nothing"), target)
    };
    print(&[
        line("actions/s", "numbered ids", Target::AtLeast(0.9)),
        line("p99 ms", "numbered ids", Target::AtMost(1.5)),
        line("actions/s", "random ids", Target::AtLeast(0.9)),
        line("p99 ms", "random ids", Target::AtMost(1.5)),
    ]);
}
