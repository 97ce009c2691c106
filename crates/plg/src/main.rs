//! What is shipped: `ingest-api`, `rollup-worker` and `migrate` in one program, which is each of them by the
//! name it is called by. They share most of their code, so three programs would be twice as large.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    // By its own name it is told which by its first argument.
    if name(&arguments) == Some("plg") {
        arguments.remove(0);
    }
    match name(&arguments) {
        Some("ingest-api") => ingest_api::program::execute(arguments),
        Some("rollup-worker") => rollup_worker::program::execute(arguments),
        Some("migrate") => migrations::program::execute(arguments),
        _ => {
            explain();
            ExitCode::FAILURE
        }
    }
}

/// The file's name of what is called.
fn name(arguments: &[OsString]) -> Option<&str> {
    Path::new(arguments.first()?).file_name().and_then(OsStr::to_str)
}

#[expect(clippy::print_stderr, reason = "it was called in vain")]
fn explain() {
    eprintln!(
        "plg: three programs in one. Call it by the name of one of them, as a link to it, or say which:\n\n  \
         plg ingest-api       serves the HTTP API\n  \
         plg rollup-worker    proves the counters against the events, and repairs drift\n  \
         plg migrate          brings a database to the schema that the others expect\n\n\
         Each says more with --help."
    );
}
