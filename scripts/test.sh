#!/usr/bin/env bash
# Installs what the tests need, and passes them all: formatting, lints, documentation, every test on
# SQLite and on PostgreSQL, the HTTP contract, the manifests, and the clients in a real browser. Arguments go to `cargo test` (scripts/test.sh -p plg-core).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
die() { printf 'scripts/test.sh: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

command -v cargo >/dev/null || die "Rust is missing: install it from https://rustup.rs"
command -v cc >/dev/null || die "a C compiler is missing (Debian: apt-get install build-essential)"

if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null; then
    say "installing PostgreSQL (its programs only; the tests start servers of their own)"
    command -v apt-get >/dev/null || die "PostgreSQL's server programs (initdb, postgres) are missing"
    as_root apt-get update -qq
    # Without the cluster that Debian's package would make and start.
    as_root mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
fi

if [ $# -eq 0 ] && ! cmp -s scripts/requirements.txt target/python/requirements.txt; then
    say "installing Schemathesis (into target/python)"
    command -v python3 >/dev/null || die "Python 3 is missing (Debian: apt-get install python3-venv)"
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        command -v apt-get >/dev/null || die "Python's venv is missing"
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
    fi
    rm -rf target/python
    python3 -m venv target/python
    target/python/bin/pip install -q --disable-pip-version-check -r scripts/requirements.txt
    cp scripts/requirements.txt target/python/
fi

say "formatting"
cargo fmt --all --check
say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
say "tests"
if [ $# -gt 0 ]; then
    exec cargo test --locked "$@"
fi
# Tests start programs, also those of other packages.
cargo build --workspace --bins --locked
cargo test --workspace --locked
say "the program as it is shipped"
scripts/build-release.sh
PLG_PROGRAMS=$PWD/target/release cargo test --locked -p plg-testkit --test deployed
say "the HTTP contract, by Schemathesis"
target/debug/contract --schemathesis target/python/bin/st
say "deployment"
scripts/check-deploy.sh
say "clients"
scripts/test-clients.sh
