//! `rollup-worker` by itself; what is shipped is the package `plg`.

fn main() -> std::process::ExitCode {
    rollup_worker::program::execute(std::env::args_os())
}
