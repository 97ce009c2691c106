//! The command line.

use clap::{Args, Parser, Subcommand};
use plg_core::calendar::Month;
use plg_core::ids::HotelId;
use plg_store::rollup::Scope;

const MORE: &str = "\
It can be run at any time: beside live traffic, several at once, and again after it was killed. It
locks nothing while it counts, adds corrections to the counters instead of overwriting them, records
each one in usage_adjustment, and changes nothing when it is run again.

An event whose row is missing is reported (log, summary, `missing`) and never corrected downward.

Exit codes:
  0  done
  1  failed; the next run goes on where this one ended
  2  drift was found under --dry-run

`rollup-worker retain` forgets what is old: see `rollup-worker retain --help`.

Settings: plg.toml (or the file PLG_CONFIG names), then the environment: DATABASE_URL,
PLG__ROLLUP__READ_CHUNK, PLG__ROLLUP__WRITE_CHUNK, PLG__ROLLUP__PAUSE_MS, PLG__LOG__FILTER,
PLG__LOG__FORMAT (`rollup-worker config` shows all). The summary goes to standard output, everything else to standard error.

Examples:
  rollup-worker                          what is new since the last run (nightly)
  rollup-worker --dry-run --json         only look; exits with 2 if a counter has drifted
  rollup-worker --full --month 2026-11   recount a whole month
  rollup-worker --full --hotel 018f3c5e-9d5c-7c1e-8a51-0f4d6c1b2a3d";

/// Proves the usage counters against the recorded events, and repairs drift.
///
/// Looks at every hotel-month with events that were not counted yet, and at every one whose
/// counters are not what was last verified.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "rollup-worker",
    version,
    after_long_help = MORE,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
    /// Another task than reconciling
    #[command(subcommand)]
    pub task: Option<Task>,
    /// What to reconcile, and how
    #[command(flatten)]
    pub reconcile: Reconcile,
}

/// Another task than reconciling.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Task {
    /// Drop old months of events, and dedup state that can refuse nothing any more
    ///
    /// Counters, corrections and runs stay. Refuses while a month to be dropped is not reconciled.
    /// On PostgreSQL a month is dropped in constant time. May be killed and run again.
    Retain(Retain),
    /// Print the settings in use, and where each comes from; secrets are masked
    Config,
}

/// What to keep.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Retain {
    /// Keep the events of this many months, the current one included
    #[arg(long, default_value_t = 13, value_parser = clap::value_parser!(u32).range(1..=1200))]
    pub months: u32,
    /// Remember jobs, exports and event ids for this many months: sent again later, they count again
    #[arg(long, default_value_t = 13, value_parser = clap::value_parser!(u32).range(13..=1200))]
    pub gate_months: u32,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What to reconcile, and how.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Reconcile {
    /// Correct nothing, only say what has drifted; exits with 2 if anything has
    #[arg(long)]
    pub dry_run: bool,
    /// Recount every hotel-month from its first event, instead of what is new
    #[arg(long)]
    pub full: bool,
    /// Only this hotel; may be given several times
    #[arg(long = "hotel", value_name = "UUID", value_parser = hotel_id)]
    pub hotels: Vec<HotelId>,
    /// Only this month
    #[arg(long, value_name = "YYYY-MM")]
    pub month: Option<Month>,
    /// Print the summary as one JSON object, the last line on standard output
    #[arg(long)]
    pub json: bool,
}

fn hotel_id(text: &str) -> Result<HotelId, String> {
    const EXAMPLE: &str = "must be a UUID, for example 018f3c5e-9d5c-7c1e-8a51-0f4d6c1b2a3d";
    text.parse().map_err(|_| EXAMPLE.to_owned())
}

impl Reconcile {
    /// Which hotel-months are meant.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { hotels: self.hotels.clone(), month: self.month, full: self.full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        let all = std::iter::once(&"rollup-worker").chain(arguments);
        Arguments::try_parse_from(all).map_err(|e| e.to_string())
    }

    #[test]
    fn arguments_are_a_scope() {
        let hotel = "018f3c5e-9d5c-7c1e-8a51-0f4d6c1b2a3d";
        let arguments = parse(&["--full", "--hotel", hotel, "--month", "2026-11"]).unwrap();
        let scope = Scope {
            hotels: vec![hotel.parse().unwrap()],
            month: Some("2026-11".parse().unwrap()),
            full: true,
        };
        assert_eq!(arguments.reconcile.scope(), scope);
        assert_eq!(parse(&[]).unwrap().reconcile.scope(), Scope::default());
    }

    #[test]
    fn retaining_is_a_task_of_its_own() {
        let Some(Task::Retain(retain)) = parse(&["retain", "--months", "24"]).unwrap().task else {
            panic!("not the task");
        };
        assert_eq!((retain.months, retain.gate_months), (24, 13));
        assert!(parse(&["retain", "--gate-months", "12"]).unwrap_err().contains("13..=1200"));
        assert!(parse(&["--full", "retain"]).is_err());
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(parse(&["--hotel", "seven"]).unwrap_err().contains("must be a UUID"));
        assert!(parse(&["--month", "2026-13"]).unwrap_err().contains("YYYY-MM, for example"));
    }
}
