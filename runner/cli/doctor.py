"""`pipe doctor`: what this machine has, what it lacks, and what was left behind."""

import json
import platform
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from runner.cli.opening import opened_store
from runner.cli.sharing import mount_of, why_not_shared
from runner.cli.storage import open_storage
from runner.errors import EXIT_ENVIRONMENT, EnvironmentMissingError, InvalidInputError
from runner.project import home_folder, storage_folder
from runner.terminal.words import size

if TYPE_CHECKING:
    from runner.storage import Storage

#: Less free disk than this is worth a warning, in bytes.
LITTLE_DISK = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis."""

    name: str
    level: Literal["ok", "warning", "error"]
    text: str
    hint: str = ""


@click.command("doctor", short_help="Check engine, versions, disk and leftovers.")
@click.option("--clean", is_flag=True, help="Remove what runs left behind, kept boxes too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(context: click.Context, /, clean: bool, as_json: bool) -> None:
    """Check what runs need on this machine. Exits with 4 when something essential is missing."""
    home = home_folder()
    engine, storage = _engine(home, clean), _storage(home)
    findings = [*_versions(), _git(), _disk(home), *engine, _store(home), *storage]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            _print(finding)
    if any(finding.level == "error" for finding in findings):
        context.exit(EXIT_ENVIRONMENT)


def _print(finding: Finding) -> None:
    colour = {"ok": "green", "warning": "yellow", "error": "red"}[finding.level]
    click.echo(f"{click.style(finding.level, fg=colour):<8} {finding.name}: {finding.text}")
    if finding.hint:
        click.echo(f"         {finding.hint}")


def _versions() -> Iterator[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("pipe", "ok", f"{version('pipe-runner')}, {python}, {platform.platform()}")
    yield Finding("sqlite", "ok", sqlite3.sqlite_version)


def _git() -> Finding:
    try:
        found = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        text = "not found: runs see all files of a folder, and no history"
        return Finding("git", "warning", text, "install git")
    return Finding("git", "ok", found.stdout.removeprefix("git version ").strip())


def _disk(home: Path) -> Finding:
    usage = shutil.disk_usage(home)
    text = f"{usage.free >> 20} MiB free at {home}"
    if usage.free < LITTLE_DISK:
        return Finding("disk", "warning", text, "set PIPE_HOME to a folder on a larger disk")
    return Finding("disk", "ok", text)


def _engine(home: Path, clean: bool) -> Iterator[Finding]:
    from runner.engines.docker import DockerEngine, EngineError

    engine = DockerEngine(home)
    try:
        facts = engine.describe()
    except EnvironmentMissingError as error:
        yield Finding("engine", "error", error.message, error.hint)
        return
    yield Finding("engine", "ok", ", ".join(f"{name} {value}" for name, value in facts.items()))
    try:
        mode = engine.probe()
    except EngineError as error:
        yield Finding("mode", "warning", f"unknown: {error.message}", error.hint)
    else:
        yield Finding("mode", "ok", mode)
    yield _leftovers(home, engine.clean(kept=True) if clean else None)
    engine.finish()


def _leftovers(home: Path, cleaned: list[str] | None) -> Finding:
    from runner.engines.folders import boxes

    if cleaned is not None:
        return Finding("leftovers", "ok", f"removed {len(cleaned)}")
    kept = list(boxes(home).glob("*/kept"))
    if kept:
        text = f"{len(kept)} boxes were kept for you"
        return Finding("leftovers", "warning", text, "`pipe doctor --clean` removes them")
    return Finding("leftovers", "ok", "none")


def _store(home: Path) -> Finding:
    try:
        with opened_store(home) as store:
            return Finding("store", "ok", str(store.location))
    except (EnvironmentMissingError, InvalidInputError) as error:
        return Finding("store", "error", error.message, error.hint)


def _storage(home: Path) -> Iterator[Finding]:
    try:
        folder = storage_folder()
        if folder != home:
            yield _shared(folder)
        yield _kept(open_storage())
    except EnvironmentMissingError as error:
        yield Finding("storage", "error", error.message, error.hint)


def _shared(folder: Path) -> Finding:
    problem, mount = why_not_shared(folder), mount_of(folder)
    if problem:
        hint = "set PIPE_STORAGE to a folder in which `flock` works on all machines"
        return Finding("storage", "error", f"{folder}: {problem}", hint)
    free = f"{shutil.disk_usage(folder).free >> 20} MiB free"
    return Finding("storage", "ok", f"{folder}, {mount.kind if mount else 'locks work'}, {free}")


def _kept(storage: "Storage") -> Finding:
    storage.tidy()
    sizes = storage.sizes()
    text = f"{size(sizes.logs)} of logs, {size(sizes.stored)} of artifacts and caches"
    return Finding("kept", "ok", text)
