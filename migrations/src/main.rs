//! `migrate` by itself; what is shipped is the package `plg`.

fn main() -> std::process::ExitCode {
    migrations::program::execute(std::env::args_os())
}
