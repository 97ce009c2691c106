"""The Dockerfile as a list of instructions, and what it has to be."""

import fnmatch
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import source
from rules import Rules

DOCKERFILE = source.ROOT / "deploy/Dockerfile"
FRONTEND = source.ROOT / "deploy/frontend/Dockerfile"
IGNORE = source.ROOT / ".dockerignore"
IMAGE_RULES = Rules()
PINNED = r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}"


@dataclass(frozen=True)
class Step:
    """An instruction, and its arguments on one line."""

    word: str
    arguments: str


def stages(text: str) -> list[list[Step]]:
    """The instructions of each stage, the last one being the image."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    steps = [Step(*line.split(maxsplit=1)) for line in lines if line.strip()]
    starts = [index for index, step in enumerate(steps) if step.word == "FROM"]
    return [steps[a:b] for a, b in zip(starts, [*starts[1:], len(steps)], strict=True)]


def of(stage: list[Step], word: str) -> list[str]:
    """The arguments of each such instruction."""
    return [step.arguments for step in stage if step.word == word]


@IMAGE_RULES.add
def bases_are_pinned(text: str) -> Iterator[str]:
    names: set[str] = set()
    for stage in stages(text):
        base, *alias = stage[0].arguments.split(" AS ")
        if base not in names and not re.fullmatch(PINNED, base):
            yield f"{base} is not pinned by tag and digest"
        names.update(alias)


@IMAGE_RULES.add
def is_distroless_and_non_root(text: str) -> Iterator[str]:
    final = stages(text)[-1]
    if not re.match(r"gcr\.io/distroless/\S+:nonroot@", final[0].arguments):
        yield f"the final stage is {final[0].arguments}"
    # A name would not do: Kubernetes cannot tell whether it is root.
    if of(final, "USER")[-1:] != ["65532:65532"]:
        yield f"it runs as {of(final, 'USER')}"
    if of(final, "RUN"):
        yield "the final stage has no shell to RUN with"


@IMAGE_RULES.add
def dependencies_are_locked_and_cached(text: str) -> Iterator[str]:
    """They are built in a layer that our sources do not touch, with the packages that are built then."""
    builds = [step for stage in stages(text) for step in stage if step.word in ("RUN", "COPY")]
    for step in builds:
        for command in re.findall(r"cargo (?:chef cook|build|install)[^&]*", step.arguments):
            if "--locked" not in command:
                yield f"not reproducible: {command}"
    build = next((s for s in stages(text) if any("cargo build" in run for run in of(s, "RUN"))), [])
    order = [step.arguments.split("--recipe")[0][:16].strip() for step in build if step.word in ("RUN", "COPY")]
    if order[:5] != ["--from=plan /src", "crates/plg/plg.p", "cargo chef cook", ". .", "cargo build --re"]:
        yield f"dependencies are not built before the sources are copied: {order}"
    packages = [re.findall(r" -p ([a-z]\S*)", run) for run in of(build, "RUN")]
    if not packages or packages[0] != packages[1]:
        yield f"two different builds: {packages}"


@IMAGE_RULES.add
def is_built_by_the_profile(text: str) -> Iterator[str]:
    """As scripts/build-release.sh does: what is shipped is what is measured."""
    build = next((s for s in stages(text) if any("cargo build" in run for run in of(s, "RUN"))), [])
    used = re.findall(r"^RUSTFLAGS=-Cprofile-use=/src/(\S+)$", "\n".join(of(build, "ENV")), re.M)
    if [f"{path} {path}" for path in used] != [copy for copy in of(build, "COPY") if "profdata" in copy]:
        yield f"built by {used or 'no profile'}"
    for path in used:
        if not (source.ROOT / path).is_file():
            yield f"there is no {path}"


@IMAGE_RULES.add
def toolchain_is_the_workspace_s(text: str) -> Iterator[str]:
    base = stages(text)[0][0].arguments
    if not base.startswith(f"rust:{source.rust_version()}."):
        yield f"{base} is not Rust {source.rust_version()}"


@IMAGE_RULES.add
def releases_share_one_debian(text: str) -> Iterator[str]:
    """A program that was linked with a newer glibc than the image has does not start."""
    first, last = stages(text)[0][0].arguments, stages(text)[-1][0].arguments
    if "bookworm" not in first or "debian12" not in last:
        yield f"built on {first}, runs on {last}"


@IMAGE_RULES.add
def has_all_programs(text: str) -> Iterator[str]:
    build = " ".join(run for stage in stages(text)[:-1] for run in of(stage, "RUN"))
    if "cp target/release/plg /out/bin/" not in build:
        yield "no program"
    links = re.search(r'for name in ([^;]*); do ln -s plg "/out/bin/\$name"; done', build)
    for program in source.PROGRAMS:
        if links is None or program not in links[1].split():
            yield f"no {program}"
    if not any(copy.endswith(f"/out/bin/ {source.BINARIES}/") for copy in of(stages(text)[-1], "COPY")):
        yield "the programs are not where the manifests look for them"


@IMAGE_RULES.add
def entry_point_is_exec_form(text: str) -> Iterator[str]:
    """A shell in between would swallow SIGTERM; there is none anyway."""
    final = stages(text)[-1]
    checks = [re.sub(r"^(--\S+ +)*CMD +", "", check) for check in of(final, "HEALTHCHECK")]
    wanted = [[f"{source.BINARIES}/ingest-api"], [f"{source.BINARIES}/ingest-api", "healthcheck"]]
    for given, command in zip((of(final, "ENTRYPOINT"), checks), wanted, strict=True):
        try:
            found = [json.loads(arguments) for arguments in given]
        except ValueError:
            found = []
        if found != [command]:
            yield f"{given} is not {command}"


@IMAGE_RULES.add
def has_labels(text: str) -> Iterator[str]:
    labels = " ".join(of(stages(text)[-1], "LABEL"))
    for key in ("title", "description", "licenses", "version", "revision"):
        if f"org.opencontainers.image.{key}=" not in labels:
            yield f"no label {key}"


def included_files() -> list[str]:
    """What our sources take in when they are compiled, from the root of the repository."""
    found = []
    for path in source.ROOT.glob("*/**/src/**/*.rs"):
        for name in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', path.read_text()):
            found.append(str((path.parent / name).resolve().relative_to(source.ROOT)))
    return found


def is_sent(path: str, ignore: str) -> bool:
    """Whether the build sees a path, as .dockerignore decides: the last line that matches does."""
    sent = True
    for line in ignore.splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        anywhere = "**/" in line and any(fnmatch.fnmatch(part, pattern) for part in parts)
        if line and not line.startswith("#") and (anywhere or fnmatch.fnmatch(parts[0], pattern)):
            sent = line.startswith("!")
    return sent
