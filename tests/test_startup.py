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


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_nothing_heavy_is_loaded(option: str) -> None:
    loaded = modules_loaded_by(option)
    assert "runner.cli" in loaded
    assert sorted(loaded & HEAVY) == []


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
