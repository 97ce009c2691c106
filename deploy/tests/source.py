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
    "ingest-api": API_SOURCES / "program.rs",
    "rollup-worker": ROOT / "crates/rollup-worker/src/arguments.rs",
    "migrate": ROOT / "migrations/src/program.rs",
}


@cache
def settings() -> dict[str, object]:
    """Every setting as its environment variable, with its default."""
    found: dict[str, object] = {}

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
    return {path for text in sources for path in re.findall(r'"(/[a-z0-9_{}./-]+)"', text)}


@cache
def words(program: str) -> set[str]:
    """What may stand on a program's command line: its subcommands, and its options without their values."""
    text = PROGRAMS[program].read_text()
    enums = re.findall(r"derive\([^)]*Subcommand[^)]*\)\]\s*(?:pub )?enum \w+ \{(.*?)\n\}", text, re.DOTALL)
    variants = {name for body in enums for name in re.findall(r"^    ([A-Z]\w*)", body, re.MULTILINE)}
    flags = re.findall(r"#\[arg\(long(?:,[^\]]*)?\)\]\s*(?:pub )?(\w+):", text)
    subcommands = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in variants}
    return subcommands | {"--" + name.replace("_", "-") for name in flags}


def rust_version() -> str:
    """The toolchain that the workspace asks for."""
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    return str(workspace["package"]["rust-version"])
