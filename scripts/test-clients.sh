#!/usr/bin/env bash
# Installs what the clients' tests need, and passes them all: types, formatting, unit tests, the
# package, and a real browser against the real service (PLG_INGEST_API, or target/debug/ingest-api).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
die() { printf 'scripts/test-clients.sh: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

node_major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
[ "$node_major" -ge 20 ] || die "Node.js 20 or later is missing (Debian: apt-get install npm)"
export PLG_INGEST_API=${PLG_INGEST_API:-$PWD/target/debug/ingest-api}
[ -x "$PLG_INGEST_API" ] ||
    die "the service is not at $PLG_INGEST_API: run \`cargo build\`, or set PLG_INGEST_API"
export NEXT_TELEMETRY_DISABLED=1

packages=()
[ -x /usr/bin/chromium-headless-shell ] || packages+=(chromium-headless-shell)
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || packages+=(libfaketime)
if [ ${#packages[@]} -gt 0 ]; then
    say "installing ${packages[*]}"
    command -v apt-get >/dev/null || die "missing: ${packages[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

# The lock file and what is installed from it are compared, so that a second run starts at once.
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
    say "installing npm packages"
    npm ci --no-audit --no-fund
    cp package-lock.json node_modules/.installed-lock.json
fi

say "formatting"
npm run --silent lint
cd clients/browser
say "types"
npm run --silent typecheck
# Before the build, which would hide that the committed browser core is an old one.
say "unit tests"
npm run --silent test
say "the package"
npm run --silent build
npm run --silent check:package
say "a real browser, the example app, and the service at $PLG_INGEST_API"
npm run --silent test:browser
