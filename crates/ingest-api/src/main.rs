//! `ingest-api` by itself; what is shipped is the package `plg`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ingest_api::program::execute(std::env::args_os())
}
