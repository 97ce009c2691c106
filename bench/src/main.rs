//! `bench`: measures the service side by side with what one would write instead.
//!
//! Everything runs on this machine: the database, the service and the load share its cores. Compare
//! the ratios inside one run, not figures of different machines.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss)]

mod baselines;
mod compare;
mod history;
mod load;
mod nightly;
mod overload;
mod pace;
mod report;
mod seed;
mod server;
mod slow;
mod train;

use clap::{Args, Parser, Subcommand};
use load::{Ids, Load, What};
use std::net::SocketAddr;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the service side by side with what one would write instead.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything, side by side, in rounds; prints medians and ratios as one table
    All(Effort),
    /// Recording with 20 million events stored, beside recording with none
    History(Effort),
    /// The reconciliation beside what the database alone takes, and beside traffic
    Nightly(Effort),
    /// Twice the rate that it keeps up, and a crowd that comes again at once
    Overload(Effort),
    /// A client that works, beside a thousand sockets that send as slowly as they can
    SlowSockets(Effort),
    /// Everything that a service does much of, measuring nothing (scripts/profile.sh)
    Train(Effort),
    /// Loads a service that runs already
    Load {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:8080")]
        address: SocketAddr,
        /// Open connections
        #[arg(long, default_value_t = 256)]
        connections: usize,
        /// Hotels that take turns
        #[arg(long, default_value_t = 1000)]
        hotels: u64,
        /// Seconds of the measurement
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Requests a second; a closed loop without it
        #[arg(long)]
        rate: Option<f64>,
        /// What to send
        #[arg(long, value_enum, default_value = "import")]
        what: What,
        /// How actions are told apart
        #[arg(long, value_enum, default_value = "numbered")]
        ids: Ids,
        /// A service key that may do it
        #[arg(long, env = "PLG_KEY", hide_env_values = true)]
        key: String,
    },
}

/// How much is measured, and on which server.
#[derive(Debug, Args)]
pub(crate) struct Effort {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Rounds; each measures everything once, in turn
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// A setting of PostgreSQL besides those of the bench: wal_compression=lz4
    #[arg(long = "postgres", value_name = "NAME=VALUE")]
    postgres: Vec<String>,
}

impl Effort {
    const fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// More than the connections of any load.
const LOAD_FILES: usize = 8_192;

fn main() {
    // The load's connections are files, too.
    plg_service::open_files::make_room(LOAD_FILES);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match Arguments::parse().command {
            Command::All(effort) => compare::run(&effort).await,
            Command::History(effort) => history::run(&effort).await,
            Command::Nightly(effort) => nightly::run(&effort).await,
            Command::Overload(effort) => overload::run(&effort).await,
            Command::SlowSockets(effort) => slow::run(&effort).await,
            Command::Train(effort) => train::run(&effort).await,
            Command::Load { address, connections, hotels, seconds, rate, what, ids, key } => {
                let duration = Duration::from_secs(seconds);
                let load = Load { address, connections, hotels, duration, rate, what, ids, key };
                let outcome = load::run(&load).await;
                println!(
                    "{:>9.0} requests/s   p50 {:.2} ms   p99 {:.2} ms   max {:.2} ms   failures {}",
                    outcome.rate,
                    outcome.quantile_ms(0.5),
                    outcome.quantile_ms(0.99),
                    outcome.quantile_ms(1.0),
                    outcome.failures + outcome.refused.len()
                );
            }
        }
    });
}
