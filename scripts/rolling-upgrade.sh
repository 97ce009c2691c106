#!/usr/bin/env bash
# Upgrades from an earlier revision to this one under load, on a throw-away PostgreSQL: both are built, and
# serve the same database together while the migrations are applied. scripts/rolling-upgrade.sh REVISION
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 1 ] || { echo "usage: scripts/rolling-upgrade.sh REVISION" >&2; exit 2; }
revision=$(git rev-parse --verify --quiet "$1^{commit}") ||
    { echo "scripts/rolling-upgrade.sh: no revision $1" >&2; exit 2; }

work=$(mktemp -d)
trap 'git worktree remove --force "$work/source" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
git worktree add --quiet --detach "$work/source" "$revision"
# Kept, so that the dependencies need not be built again for the next revision.
old=$PWD/target/rolling-upgrade
cargo build --locked --manifest-path "$work/source/Cargo.toml" --target-dir "$old" \
    -p ingest-api -p migrations --bins
cargo build --locked --workspace --bins
target/debug/rolling-upgrade --from "$old/debug" --to target/debug
