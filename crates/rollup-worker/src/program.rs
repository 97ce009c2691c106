//! `rollup-worker`, as a command.

use crate::arguments::{Arguments, Reconcile, Retain, Task};
use crate::report::{self, Terminal};
use crate::{Bites, Connections, Options, Stop, reconcile, retain};
use clap::Parser as _;
use plg_service::logging::{self, Log};
use plg_service::settings::DatabaseSettings;
use plg_service::{Clock as _, Settings, Signals, SystemClock};
use plg_store::clock;
use plg_store::connect;
use plg_store::rollup::runs::Run;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Drift was found, and left as it is.
const DRIFT_FOUND: u8 = 2;

/// Runs it. The first of the arguments is the name it was called by.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn execute(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap would exit with 2, which means drift here.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let result = match &arguments.task {
        None => run(&arguments.reconcile).await.map(|run| run.dry_run && run.figures.drifted > 0),
        Some(Task::Retain(keep)) => forget(keep).await.map(|()| false),
        Some(Task::Config) => tell_settings().map(|()| false),
    };
    match result {
        Ok(true) => ExitCode::from(DRIFT_FOUND),
        Ok(false) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn forget(keep: &Retain) -> Result<(), String> {
    let (settings, _log) = start()?;
    let mut signals = Signals::listen()?;
    let db = open(&settings.database).await?;
    let forgotten = tokio::select! {
        forgotten = retain::retain(&db, keep, &SystemClock) => forgotten.map_err(|e| e.to_string())?,
        // As if it were killed.
        () = signals.next() => return Err("stopped by a signal: the next run goes on".to_owned()),
    };
    db.close().await;
    say(&if keep.json {
        serde_json::to_string(&forgotten).map_err(|e| e.to_string())?
    } else {
        retain::summary(&forgotten)
    });
    Ok(())
}

fn tell_settings() -> Result<(), String> {
    let settings = Settings::describe().map_err(|e| e.to_string())?;
    say(settings.trim_end());
    Ok(())
}

/// How often a run looks whether the services are at work.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

fn start() -> Result<(Settings, Log), String> {
    let settings = Settings::load().map_err(|e| e.to_string())?;
    let log = logging::start(&settings.log)?;
    Ok((settings, log))
}

/// Opens the database, if this machine's clock may be believed.
async fn open(settings: &DatabaseSettings) -> Result<Connections, String> {
    let db = Connections::open(&settings.url).await.map_err(|e| e.to_string())?;
    if let Some(tolerance) = settings.clock_tolerance() {
        let clocks = clock::compare(&db.work, || SystemClock.now()).await;
        if let Some(clocks) = clocks.map_err(|error| connect::reason(&error))? {
            clocks.ensure_not_ahead(tolerance).map_err(|e| e.to_string())?;
        }
    }
    Ok(db)
}

async fn run(arguments: &Reconcile) -> Result<Run, String> {
    let (settings, _log) = start()?;
    let stop = Stop::default();
    stop_on(Signals::listen()?, &stop);
    let db = open(&settings.database).await?;

    let options = Options {
        scope: arguments.scope(),
        dry_run: arguments.dry_run,
        read_chunk: settings.rollup.read_chunk,
        write_chunk: settings.rollup.write_chunk,
        pause: Duration::from_millis(settings.rollup.pause_ms),
        beside_traffic: Some(Bites {
            size: settings.rollup.busy_chunk,
            pause: Duration::from_millis(settings.rollup.busy_pause_ms),
            look_every: LOOK_PAUSE,
        }),
    };
    let mut terminal = Terminal::default();
    let result = reconcile(&db, &options, &SystemClock, &mut terminal, &stop).await;
    terminal.close();
    db.close().await;

    let (run, failure) = match result {
        Ok(run) => (run, None),
        Err(error) => (*error.run.clone(), Some(error.to_string())),
    };
    say(&if arguments.json {
        report::json(&run).map_err(|e| e.to_string())?
    } else {
        report::summary(&run)
    });
    failure.map_or(Ok(run), Err)
}

/// The first signal asks the run to stop; a second one does not wait for it.
fn stop_on(mut signals: Signals, stop: &Stop) {
    let stop = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        stop.request();
        signals.next().await;
        std::process::exit(1);
    });
}

/// Unlike `println!`, it does not mind when nobody reads.
fn say(message: &str) {
    let _ = writeln!(std::io::stdout(), "{message}");
}

fn complain(failure: &str) {
    let _ = writeln!(std::io::stderr(), "rollup-worker: {failure}");
}
