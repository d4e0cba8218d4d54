"""The engine for containers, and what boxes left behind."""

from collections.abc import Iterator
from pathlib import Path

from runner.errors import EnvironmentMissingError
from runner.store.finding import Finding


def engine(home: Path, clean: bool) -> Iterator[Finding]:
    """What it is, how near it is, and what is left; `clean` removes that."""
    from runner.engines.docker import DockerEngine, EngineError

    docker = DockerEngine(home)
    try:
        facts = docker.describe()
    except EnvironmentMissingError as error:
        yield Finding("engine", "error", error.message, error.hint)
        return
    yield Finding("engine", "ok", ", ".join(f"{name} {value}" for name, value in facts.items()))
    try:
        mode = docker.probe()
    except EngineError as error:
        yield Finding("mode", "warning", f"unknown: {error.message}", error.hint)
    else:
        yield Finding("mode", "ok", mode)
    yield _leftovers(home, docker.clean(kept=True) if clean else None)
    docker.finish()


def _leftovers(home: Path, cleaned: list[str] | None) -> Finding:
    from runner.engines.folders import boxes

    if cleaned is not None:
        return Finding("leftovers", "ok", f"removed {len(cleaned)}")
    kept = list(boxes(home).glob("*/kept"))
    if kept:
        text = f"{len(kept)} boxes were kept for you"
        return Finding("leftovers", "warning", text, "`pipe doctor --clean` removes them")
    return Finding("leftovers", "ok", "none")
