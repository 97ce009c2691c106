#!/usr/bin/env bash
# Builds what is shipped into target/release: one program, and a link to it for each of its names, as in the
# image. Arguments go to `cargo build` (scripts/build-release.sh -p plg-bench).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked -p plg "$@"
for name in ingest-api rollup-worker migrate; do
    ln -sf plg "target/release/$name"
done
