"""The import law: a room imports only rooms above it, and each library has one owner."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The order of rooms, and the libraries that each of them alone may import.
ROOMS = {
    "errors": "",
    "source": "yaml",
    "events": "",
    "expressions": "",
    "model": "",
    "parse": "jsonschema referencing",
    "filters": "",
    "matrix": "",
    "inputs": "",
    "cron": "cronsim",
    "lint": "",
    "plan": "",
    "reuse": "",
    "project": "pathspec platformdirs",
    "secrets": "",
    "environments": "",
    "store": "sqlmodel sqlalchemy alembic psycopg",
    "storage": "",
    "plugin": "pluggy",
    "plugins": "",
    "engines": "docker requests urllib3",
    "actions": "",
    "delivery": "",
    "testing": "",
    "execute": "regex",
    "concurrency": "",
    "queue": "",
    "worker": "",
    "triggers": "watchfiles",
    "terminal": "rich",
    "web": "",
    "cli": "click",
}

PLUGINS = {"pipe_template": "jinja2"}

ORDER = list(ROOMS)
OWNERS = {
    library: owner
    for owner, libraries in (ROOMS | PLUGINS).items()
    for library in libraries.split()
}


def violations(root: Path) -> list[str]:
    """Every breach of the law under `root`, as `file:line: what is wrong`."""
    return [
        f"{path.relative_to(root)}:{line}: {problem}"
        for path in sources(root)
        for line, name in imports(path, root)
        if (problem := breach(path.relative_to(root), name))
    ]


def sources(root: Path) -> list[Path]:
    return [path for top in ("runner", "plugins") for path in sorted((root / top).rglob("*.py"))]


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a file imports, wherever in it and in whatever way."""
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = package[: len(package) - level + 1] if level else ()
                name = ".".join([*start, *([module] if module else [])])
                yield from ((node.lineno, f"{name}:{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def breach(file: Path, imported: str) -> str:
    """What is wrong when `file` imports `package.module:name`; empty when nothing is."""
    inside, room = file.parts[0] == "runner", file.with_suffix("").parts[1]
    top, *below = imported.replace(":", ".").split(".")
    if top == "runner":
        return breach_of_order(room, below) if inside else breach_of_boundary(imported)
    if top in sys.stdlib_module_names:
        return ""
    return breach_of_ownership(room, top, inside)


def breach_of_order(room: str, below: list[str]) -> str:
    if room not in ROOMS:
        return f"{room} has no place in the order of rooms"
    if below == ["__version__"]:
        return ""
    if not below or below[0] not in ROOMS:
        return "nobody imports the root"
    if ORDER.index(below[0]) > ORDER.index(room):
        return f"{room} imports {below[0]}, which comes after it"
    return ""


def breach_of_boundary(imported: str) -> str:
    if imported.startswith("runner.plugin:"):
        return ""
    return f"a plugin imports {imported.replace(':', '.')} and not from runner.plugin"


def breach_of_ownership(room: str, library: str, inside: bool) -> str:
    owner = OWNERS.get(library)
    if owner == room:
        return ""
    if inside and owner is None:
        return f"{room} imports {library}, which has no owner"
    if inside or owner in PLUGINS:
        return f"{room} imports {library}, which belongs to {owner}"
    return ""


def test_the_law_holds() -> None:
    assert violations(ROOT) == []


def test_every_module_has_a_place_in_the_order() -> None:
    found = {
        path.relative_to(ROOT).with_suffix("").parts[1] for path in (ROOT / "runner").rglob("*.py")
    }
    assert found - {"__init__"} <= set(ROOMS)
    assert {"errors", "model", "cli"} <= found


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("runner/parse.py", "from runner.model import Pipeline"),
        ("runner/parse.py", "from runner import model"),
        ("runner/parse.py", "import json, runner.errors"),
        ("runner/engines/docker.py", "from runner.engines.box import Box\nimport docker.errors"),
        ("runner/engines/docker.py", "from . import box\nfrom ..errors import PipeError"),
        ("plugins/pipe_template.py", "import jinja2\nfrom runner.plugin import hook"),
        ("plugins/pipe_other/box.py", "import docker\nimport stranger"),
        ("runner/cli/run.py", "from runner import __version__"),
    ],
)
def test_what_is_lawful(tmp_path: Path, file: str, source: str) -> None:
    plant(tmp_path, file, source)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "source", "found"),
    [
        ("runner/model.py", "import runner.cli", ":1: model imports cli, which comes after it"),
        ("runner/model.py", "from runner.cli.run import main", ":1: model imports cli"),
        ("runner/model.py", "from runner import errors, cli", ":1: model imports cli"),
        ("runner/model.py", "from .cli import main", ":1: model imports cli"),
        ("runner/engines/docker.py", "from .. import cli", ":1: engines imports cli"),
        ("runner/engines/docker.py", "from ..cli.run import main", ":1: engines imports cli"),
        ("runner/model.py", "def f():\n    import runner.cli", ":2: model imports cli"),
        (
            "runner/model.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from runner.cli import main",
            ":3: model imports cli",
        ),
        ("runner/model.py", "import importlib\nimportlib.import_module('yaml')", ":2: model"),
        ("runner/model.py", "__import__('runner.cli')", ":1: model imports cli"),
        ("runner/cli/run.py", "import runner", ":1: nobody imports the root"),
        ("runner/extra.py", "import runner.errors", ":1: extra has no place"),
        ("runner/model.py", "import yaml", ":1: model imports yaml, which belongs to source"),
        ("runner/model.py", "from jinja2 import Template", "which belongs to pipe_template"),
        ("runner/model.py", "import stranger", ":1: model imports stranger, which has no owner"),
        ("plugins/pipe_other.py", "import jinja2", ":1: pipe_other imports jinja2"),
        ("plugins/pipe_other.py", "import runner.plugin", ":1: a plugin imports runner.plugin"),
        ("plugins/pipe_other.py", "from runner import plugin", ":1: a plugin imports runner"),
        ("plugins/pipe_other.py", "from runner.plugins import load", ":1: a plugin imports"),
        ("plugins/pipe_other/box.py", "from runner.model import Job", ":1: a plugin imports"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, file: str, source: str, found: str) -> None:
    plant(tmp_path, file, source)
    [violation] = violations(tmp_path)
    assert violation.startswith(file)
    assert found in violation


def plant(root: Path, file: str, source: str) -> None:
    (root / file).parent.mkdir(parents=True)
    (root / file).write_text(source, encoding="utf-8")
