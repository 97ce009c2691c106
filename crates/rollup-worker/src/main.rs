//! `rollup-worker` by itself, with the C library's memory; what is shipped is the package `plg`, with that of mimalloc.

fn main() -> std::process::ExitCode {
    rollup_worker::program::execute(std::env::args_os())
}
