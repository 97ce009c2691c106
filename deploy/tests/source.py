"""What the programs know, read from their sources: settings, routes, subcommands.

The manifests are compared with this, so that a renamed setting or route shows here and not in a cluster.
"""

import re
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = ROOT / "crates/plg-service/src/default.toml"
API_SOURCES = ROOT / "crates/ingest-api/src"
BINARIES = "/usr/local/bin"
# Where each program's command line is defined.
PROGRAMS = {
    "ingest-api": API_SOURCES / "main.rs",
    "rollup-worker": ROOT / "crates/rollup-worker/src/arguments.rs",
    "migrate": ROOT / "migrations/src/main.rs",
}

# Agreed, and written against, before the code has it: used only until the sources name it.
PENDING_SETTINGS = {
    "PLG__METRICS__HOST": "127.0.0.1",
    "PLG__METRICS__PORT": 9090,
    "PLG__SERVER__READY_GRACE_SECONDS": 0,
}
PENDING_ROUTES = {"/metrics"}
PENDING_STEP = "distribute"


@cache
def has_metrics() -> bool:
    """Whether the settings that are pending have come."""
    return "metrics" in tomllib.loads(DEFAULTS.read_text())


@cache
def settings() -> dict[str, object]:
    """Every setting as its environment variable, with its default."""
    found: dict[str, object] = {} if has_metrics() else dict(PENDING_SETTINGS)

    def walk(table: dict[str, object], prefix: str) -> None:
        for key, value in table.items():
            name = f"{prefix}__{key.upper()}"
            if isinstance(value, dict):
                walk(value, name)
            else:
                found[name] = value

    walk(tomllib.loads(DEFAULTS.read_text()), "PLG")
    return found


def knows_setting(name: str) -> bool:
    """Plans are a table that operators extend: their names are free, their counters are not."""
    counters = {key.rsplit("__", 1)[1] for key in settings() if key.startswith("PLG__PLANS__STANDARD__")}
    plan = re.fullmatch(r"PLG__PLANS__[A-Z0-9_]+?__([A-Z_]+)", name)
    return name in settings() or (plan is not None and plan[1] in counters)


@cache
def routes() -> set[str]:
    """Every path that the API's sources name."""
    sources = (path.read_text() for path in API_SOURCES.rglob("*.rs"))
    found = {path for text in sources for path in re.findall(r'"(/[a-z0-9_{}./-]+)"', text)}
    return found if has_metrics() else found | PENDING_ROUTES


@cache
def words(program: str) -> set[str]:
    """What may come first on a program's command line: its subcommands, and its long flags."""
    text = PROGRAMS[program].read_text()
    enums = re.findall(r"derive\([^)]*Subcommand[^)]*\)\]\s*(?:pub )?enum \w+ \{(.*?)\n\}", text, re.DOTALL)
    variants = {name for body in enums for name in re.findall(r"^    ([A-Z]\w*)", body, re.MULTILINE)}
    flags = re.findall(r"#\[arg\(long\)\]\s*(?:pub )?(\w+): bool", text)
    pending = program == "migrate" and PENDING_STEP not in text.lower()
    return (
        {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in variants}
        | {"--" + name.replace("_", "-") for name in flags}
        | ({PENDING_STEP} if pending else set())
    )


def rust_version() -> str:
    """The toolchain that the workspace asks for."""
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    return str(workspace["package"]["rust-version"])
