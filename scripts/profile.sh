#!/usr/bin/env bash
# Renews crates/plg/plg.profdata, by which releases are compiled: how often each branch of the program was taken while
# it did much of what it does (`bench train`). What has changed since is compiled as if there were none. Takes a quarter
# of an hour, and needs PostgreSQL's server programs and the llvm-profdata of rustc's LLVM.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'scripts/profile.sh: %s\n' "$*" >&2; exit 1; }

llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
profdata=$(PATH=$tools:/usr/lib/llvm-$llvm/bin command -v llvm-profdata) ||
    die "llvm-profdata of LLVM $llvm is missing: rustup component add llvm-tools, or Debian's llvm-$llvm"

work=$PWD/target/profile
rm -rf "$work/raw"
cargo build --release --locked -p plg-bench
RUSTFLAGS=-Cprofile-generate=$work/raw CARGO_TARGET_DIR=$work scripts/build-release.sh
# Compiling has run some of it, too.
rm -rf "$work/raw"
PLG_PROGRAMS=$work/release target/release/bench train --seconds 3 --rounds 1
"$profdata" merge -sparse -o crates/plg/plg.profdata "$work"/raw/*.profraw
ls -l crates/plg/plg.profdata
