#!/usr/bin/env bash
# Builds what is shipped into target/release: one program, and a link to it for each of its names, as in the
# image. By the profile of scripts/profile.sh, unless there are RUSTFLAGS (`RUSTFLAGS= scripts/build-release.sh`, where
# rustc has an older LLVM). By itself: built with others, its libraries would have features that the profile does not know.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
if [ -z "${RUSTFLAGS+set}" ]; then
    # By a name of its own: Cargo would not see that it has changed.
    profile=$PWD/target/plg-$(sha256sum <crates/plg/plg.profdata | cut -c 1-16).profdata
    mkdir -p target
    cp crates/plg/plg.profdata "$profile"
    export CARGO_ENCODED_RUSTFLAGS="-Cprofile-use=$profile"
fi
cargo build --release --locked -p plg
for name in ingest-api rollup-worker migrate; do
    ln -sf plg "$target/release/$name"
done
