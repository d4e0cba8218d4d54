"""The commands that a user waits for with a finger on the key load nothing heavy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "yaml",
    "jsonschema",
    "docker",
    "requests",
    "sqlmodel",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "rich",
    "jinja2",
    "pydantic",
    "asyncio",
    "pluggy",
    "watchfiles",
}
PIPELINE = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: make "${{ github.ref_name }}"
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_nothing_heavy_is_loaded(option: str) -> None:
    loaded = modules_loaded_by(option)
    assert "runner.cli" in loaded
    assert sorted(loaded & HEAVY) == []


#: What decides what a run would look like or do, and not whether it can be queued.
NOT_TO_SUBMIT = (HEAVY - {"yaml"}) | {
    "importlib.metadata",
    "runner.actions.definition",
    "runner.execute.task",
    "runner.lint",
    "runner.plugins",
    "runner.queue.fingerprint",
    "runner.terminal.live",
    "runner.terminal.view",
}


@pytest.mark.parametrize("options", [(), ("--priority", "80", "--key", "one")])
def test_who_submits_what_was_checked_before_waits_for_nothing_heavy(
    options: tuple[str, ...], tmp_path: Path, pipe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ci.yaml").write_text(PIPELINE)
    assert "runner.lint" in modules_loaded_by("submit", "ci.yaml")
    loaded = modules_loaded_by("submit", "ci.yaml", *options)
    assert "runner.queue.entering" in loaded
    assert sorted(loaded & NOT_TO_SUBMIT) == []


def modules_loaded_by(*arguments: str) -> set[str]:
    """Names of all modules that one call of the installed command imports."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", Path(sys.executable).with_name("pipe"), *arguments],
        env=os.environ | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        line.rpartition("|")[2].strip()
        for line in ended.stderr.splitlines()
        if line.startswith("import time:")
    }
