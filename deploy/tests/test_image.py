"""The Dockerfile keeps its rules, and each of them can fail. No image is built: there is no engine."""

import pytest

from image import DOCKERFILE, FRONTEND, IGNORE, IMAGE_RULES, included_files, is_sent, of, stages
from rules import Rule, ids
from source import ROOT

TEXT = DOCKERFILE.read_text()
DIGEST = "@sha256:be40c00dfabd86576d92666e87e406714d5618342de1a0c213ad232de255172e"
# Rule, what is in the file, what a careless edit makes of it.
FAULTS = [
    ("bases_are_pinned", DIGEST, ""),
    ("bases_are_pinned", "rust:1.95.0-slim-bookworm@", "rust@"),
    ("is_distroless_and_non_root", "gcr.io/distroless/base-nossl-debian12:nonroot", "debian:12-slim"),
    ("is_distroless_and_non_root", "USER 65532:65532", "USER nonroot"),
    ("is_distroless_and_non_root", "USER 65532:65532\n", ""),
    ("is_distroless_and_non_root", "EXPOSE 8080 9090", "RUN true"),
    ("dependencies_are_locked_and_cached", "cargo build --release --locked", "cargo build --release"),
    ("dependencies_are_locked_and_cached", "cargo-chef --locked", "cargo-chef"),
    ("dependencies_are_locked_and_cached", "recipe.json recipe.json\n", "recipe.json recipe.json\nCOPY . .\n"),
    ("dependencies_are_locked_and_cached", "--locked -p plg ", "--locked --workspace "),
    ("toolchain_is_the_workspace_s", "rust:1.95.0", "rust:1.94.0"),
    ("is_built_by_the_profile", "RUSTFLAGS=-Cprofile-use", "RUSTFLAGS=-Cprofile-generate"),
    ("is_built_by_the_profile", "COPY crates/plg/plg.profdata crates/plg/plg.profdata\n", ""),
    ("is_built_by_the_profile", "plg.profdata", "old.profdata"),
    ("releases_share_one_debian", "slim-bookworm", "slim-trixie"),
    ("has_all_programs", "cp target/release/plg", "cp target/debug/plg"),
    ("has_all_programs", "ingest-api rollup-worker migrate;", "ingest-api rollup-worker;"),
    ("has_all_programs", "ln -s plg ", "ln -s plugin "),
    ("has_all_programs", "/out/bin/ /usr/local/bin/", "/out/bin/ /usr/bin/"),
    ("entry_point_is_exec_form", 'ENTRYPOINT ["/usr/local/bin/ingest-api"]', "ENTRYPOINT ingest-api"),
    ("entry_point_is_exec_form", '"healthcheck"]', '"health"]'),
    ("entry_point_is_exec_form", 'CMD ["/usr/local/bin/ingest-api", "healthcheck"]', "CMD ingest-api healthcheck"),
    ("has_labels", "org.opencontainers.image.revision", "revision"),
]


@pytest.mark.parametrize("rule", IMAGE_RULES, ids=ids(IMAGE_RULES))
def test_image_keeps_rule(rule: Rule) -> None:
    assert list(rule(TEXT)) == []


@pytest.mark.parametrize(("rule", "before", "after"), FAULTS)
def test_planted_fault_is_seen(rule: str, before: str, after: str) -> None:
    assert TEXT.count(before) >= 1
    assert list(IMAGE_RULES.named(rule)(TEXT.replace(before, after)))


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _, _ in FAULTS} == set(ids(IMAGE_RULES))


SENT = ["Cargo.toml", "Cargo.lock", "LICENSE-MIT", "crates/plg-core/src/lib.rs", "migrations/src/main.rs", "bench/src"]
KEPT = [".git/config", "target/release/plg", "data/plg.db", "crates/plg-core/.env", "examples/next-app/package.json",
        "bench/node_modules/x", "deploy/k8s/secrets.yaml"]  # fmt: skip


def test_frontend_is_pinned_and_not_root() -> None:
    text = FRONTEND.read_text()
    assert list(IMAGE_RULES.named("bases_are_pinned")(text)) == []
    assert of(stages(text)[-1], "USER") == ["1000:1000"]


def test_build_sees_what_sources_include() -> None:
    files = included_files()
    assert "crates/plg-service/src/default.toml" in files
    assert [file for file in files if not is_sent(file, IGNORE.read_text())] == []


# What the final stage adds to the program, put together from its packages (deploy/README.md).
BASE_BYTES = 15_467_129
# A quarter less than what was asked for: three programs are one file.
MOST_BYTES = 45_000_000


def test_the_sum_of_what_is_in_it_is_small() -> None:
    program = ROOT / "target/release/plg"
    assert program.is_file(), "scripts/build-release.sh"
    assert BASE_BYTES + program.stat().st_size <= MOST_BYTES


@pytest.mark.parametrize("path", SENT + KEPT)
def test_build_sees_sources_only(path: str) -> None:
    assert is_sent(path, IGNORE.read_text()) == (path in SENT)
