"""Valid pipelines, changed at random: whatever comes of it, problems are reported, never raised."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import InvalidInputError, Problem
from runner.lint import Brought, review
from runner.model import Path as Place
from runner.source import load

ROOT = Path(__file__).parents[1]
FILES = sorted(
    file
    for folder in ("pipelines", "examples", "tests/cases/lint", "tests/cases/run")
    for file in (ROOT / folder).rglob("*.y*ml")
    if "jobs:" in file.read_text(encoding="utf-8")
)
TEXTS = [file.read_text(encoding="utf-8") for file in FILES]
DATA = [load(text, "p.yaml").data for text in TEXTS]
STEPS: dict[str, dict[str, Any]] = {"template": {"type": "object", "required": ["source"]}}
BROUGHT = Brought(STEPS)
JUNK: tuple[Any, ...] = (None, True, 0, -1.5, "", "x", "${{ x", "${{ needs.x.outputs.y }}", [], {})


def places(data: Any, path: Place = ()) -> Iterator[Place]:
    """The path of each value in `data`, the whole of it first."""
    yield path
    if isinstance(data, dict | list):
        for part, item in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(item, (*path, part))


def at(data: Any, path: Place) -> Any:
    for part in path:
        data = data[part]
    return data


def changed(data: Any, chance: random.Random) -> Any:
    """`data` with one value dropped, doubled, renamed or replaced by another of it or by junk."""
    data = copy.deepcopy(data)
    *parents, last = chance.choice([*places(data)][1:] or [("",)])
    if not isinstance(data, dict | list) or last == "":
        return data
    owner = at(data, tuple(parents))
    other = copy.deepcopy(at(data, chance.choice([*places(data)])))
    match chance.choice(("drop", "double", "rename", "replace", "junk")):
        case "drop":
            del owner[last]
        case "double" if isinstance(owner, list):
            owner.insert(int(last), owner[int(last)])
        case "double" | "rename" if isinstance(owner, dict):
            owner[f"{last}"[:-1] + "x"] = owner[last]
        case "replace":
            owner[last] = other
        case _:
            owner[last] = chance.choice(JUNK)
    return data


def reported(text: str) -> tuple[Problem, ...]:
    try:
        document = load(text, "p.yaml")
    except InvalidInputError as error:
        return error.problems
    return review(document, BROUGHT).problems


def stands_in(problem: Problem, lines: list[str]) -> bool:
    """Whether a problem points at characters that exist, or right behind the last of a line."""
    place = problem.position
    if place is None or not 1 <= place.line <= len(lines):
        return False
    return 1 <= place.column <= len(lines[place.line - 1]) + 1


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 8), st.randoms(use_true_random=False))
def test_changed_values_are_reported_where_they_stand(
    file: int, changes: int, chance: random.Random
) -> None:
    data = DATA[file]
    for _ in range(changes):
        data = changed(data, chance)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    found = reported(text)
    lines = text.split("\n")
    assert [problem for problem in found if not stands_in(problem, lines)] == []
    assert len({(str(problem.position), problem.message) for problem in found}) == len(found)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TEXTS) - 1), st.integers(1, 5), st.randoms(use_true_random=False))
def test_changed_lines_are_reported_where_they_stand(
    file: int, changes: int, chance: random.Random
) -> None:
    lines = TEXTS[file].split("\n")
    for _ in range(changes):
        at_line = chance.randrange(len(lines))
        lines[at_line : at_line + 1] = chance.choice(
            ([], [lines[at_line]] * 2, [lines[at_line][2:]], [lines[at_line].replace(":", "", 1)])
        ) or [""]
    found = reported("\n".join(lines))
    assert [problem for problem in found if not stands_in(problem, lines)] == []


@pytest.mark.parametrize(
    ("data", "text"), [*zip(DATA, TEXTS, strict=True)], ids=[file.stem for file in FILES]
)
def test_what_the_schema_refuses_hides_nothing_that_the_checks_find(data: Any, text: str) -> None:
    """One unknown key at the top adds one problem, and takes none away."""
    before = [problem.message for problem in reported(text)]
    after = [problem.message for problem in reported(f"{text.rstrip()}\nzzz: 1\n")]
    assert sorted(after) == sorted([*before, "the pipeline has no key `zzz`"])
