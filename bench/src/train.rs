//! What a service does much of, for a profile of it (`scripts/profile.sh`): nothing is measured.

use crate::Effort;
use crate::compare::{CONNECTIONS, HOTELS, load};
use crate::load::{Ids, Load, What, run as run_load};
use crate::server::{Kind, Place, serve, stop_and_check};
use plg_testkit::process;
use std::process::Command;

pub(crate) async fn run(effort: &Effort) {
    let place = Place::new(effort).await;
    for round in 1..=effort.rounds {
        println!("round {round} of {}", effort.rounds);
        for kind in [Kind::Postgres, Kind::Sqlite] {
            for log in ["human", "json"] {
                rehearse(&place, kind, log, effort).await;
            }
        }
    }
}

/// Everything on one database, each for so long; imports in several ways, as what is sent most.
async fn rehearse(place: &Place, kind: Kind, log: &str, effort: &Effort) {
    let url = place.database(kind).await;
    let server = serve(&url, &[("PLG__LOG__FORMAT", log)]);
    let usual = || load(server.address, CONNECTIONS, HOTELS, effort.duration());
    for load in [
        usual(),
        Load { ids: Ids::Random, ..usual() },
        Load { hotels: 1, ..usual() },
        Load { connections: 1, ..usual() },
        Load { what: What::Array, connections: 8, ..usual() },
        Load { what: What::Mixed, ..usual() },
        Load { what: What::QuotaCheck, ..usual() },
        Load { what: What::Usage, ..usual() },
        Load { what: What::Livez, ..usual() },
    ] {
        let outcome = run_load(&load).await;
        println!("  {kind:?}, {:?}: {:.0} requests/s", load.what, outcome.rate);
    }
    stop_and_check(server, &url).await;
    for arguments in [&[][..], &["--full"]] {
        let mut worker = Command::new(process::program("rollup-worker"));
        let done = worker.args(arguments).env("DATABASE_URL", &url).output();
        assert!(done.expect("rollup-worker starts").status.success(), "rollup-worker fails");
    }
}
