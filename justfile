# What one does often. `just` lists it; install it with `cargo install just` or `pip install rust-just`.

_list:
    @just --list --unsorted

# Serve the API on the embedded database (http://127.0.0.1:8080)
run *args:
    cargo run -- {{args}}

# Everything that CI checks
check:
    scripts/test.sh

# The tests of everything that reads and writes, on Citus: it has to be installed beside PostgreSQL
test-citus:
    PLG_TEST_CITUS=1 cargo test -p plg-store -p ingest-api -p rollup-worker

# Some tests only: just test -p plg-core
test *args:
    cargo test {{args}}

# Bring the database of DATABASE_URL to the current schema: just migrate status
migrate *args='up':
    cargo run -p migrations --bin migrate -- {{args}}

# Reconcile counters with events: just rollup --dry-run
rollup *args:
    cargo run -p rollup-worker -- {{args}}

# Replay a month of a hotel group, damage counters, reconcile (--postgres for PostgreSQL)
demo *args:
    cargo build --workspace --bins
    cargo run -q -p plg-testkit --bin demo -- {{args}}

# Measure beside pgbench, Redis, bulk SQL and one transaction per request (redis-server is optional);
# just bench history | nightly | overload | slow-sockets
bench *args='all':
    scripts/build-release.sh
    cargo build --release --locked -p plg-bench
    target/release/bench {{args}}

# Renew the profile by which releases are compiled, as every release should
profile:
    scripts/profile.sh

# What the pure rules cost, without a database
bench-core:
    cargo bench -p plg-bench --bench core

# Upgrade from an earlier revision to this one under load: just rolling-upgrade HEAD~1
rolling-upgrade rev:
    scripts/rolling-upgrade.sh {{rev}}

# Format
fmt:
    cargo fmt --all

# Question the API at length: just contract -n 500 --seed 7 (after `just check`, which installs Schemathesis)
contract *args='-n 300':
    cargo build --workspace --bins
    target/debug/contract --schemathesis target/python/bin/st {{args}}

# Write the OpenAPI document of the code to docs/openapi.json
openapi:
    PLG_WRITE_DOCUMENT=1 cargo test -q -p ingest-api --test api committed_document
