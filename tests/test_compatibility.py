"""The page on compatibility against the program: nothing is missing in it, and it says what holds."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.actions import definition
from runner.errors import InvalidInputError
from runner.execute.commands import COMMANDS
from runner.execute.process import VARIABLES
from runner.expressions import CONTEXTS, FUNCTIONS
from runner.lint.properties import NEED, PROPERTIES, STEP
from runner.parse import parse, schema
from runner.source import load
from tests.conftest import RunPipe
from tests.language import all_keys, used_keys
from tests.test_docs import CONFIGURATIONS, JOB, PAGES, blocks, keys

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
ANSWERS = ("supported", "differs", "refused")
OF_THE_FILE = ("Keys of the file", "Events", "Jobs", "Steps", "Containers and services")
KEYS = (*OF_THE_FILE, "Additions")

#: Keys that no file has, but a test in Python.
ELSEWHERE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Row:
    """A row of a table: what stands in backticks in its first cell, and the other two."""

    section: str
    names: tuple[str, ...]
    what: str
    answer: str
    how: str


def rows() -> Iterator[Row]:
    section = ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)][1:-1]
        if len(cells) != 3 or cells[1] in ("here", "---"):
            continue
        yield Row(section, tuple(re.findall(r"`([^`]+)`", cells[0])), *cells)


ROWS = tuple(rows())


def named(*sections: str) -> set[str]:
    """What has a row in these sections."""
    return {name for row in ROWS if row.section in sections for name in row.names}


# -- the form of the page


def test_every_table_has_three_columns_and_one_of_three_answers() -> None:
    lines = [line for line in PAGE.splitlines() if re.match(r"\| (?!--- )", line)]
    heads = [line for line in lines if "| here |" in line]
    assert len(ROWS) == len(lines) - len(heads)
    assert [row.what for row in ROWS if row.answer not in ANSWERS] == []


def test_nothing_is_ignored() -> None:
    assert re.findall(r"(?i)ignored|silently|no effect", PAGE) == []


def test_what_differs_or_is_refused_says_how() -> None:
    assert [row.what for row in ROWS if row.answer != "supported" and not row.how] == []
    assert [row.what for row in ROWS if row.answer == "refused" and '"' not in row.how] == []


def test_nothing_has_two_rows_in_a_section() -> None:
    seen = [(row.section, name) for row in ROWS for name in row.names if name in row.what]
    assert sorted(one for one in set(seen) if seen.count(one) > 1) == []


# -- what has to be in it

EVENTS = all_keys()["on"]["properties"]


def of_the_page(path: str) -> str:
    """The name that a key has in the page."""
    return re.sub(r"^on\.\w+\.types$", "on.<event>.types", path)


def is_event(path: str) -> bool:
    return path.removeprefix("on.") in EVENTS and path.startswith("on.")


def test_every_key_has_a_row() -> None:
    wanted = {of_the_page(path) for path in all_keys() if not is_event(path)}
    assert sorted(wanted - named(*KEYS)) == []


def test_every_row_of_a_key_is_of_a_key_that_exists() -> None:
    known = {of_the_page(path) for path in all_keys()} | EVENTS.keys()
    assert sorted(named(*KEYS) - known) == []


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_row_with_its_activities(event: str) -> None:
    [row] = [row for row in ROWS if row.section == "Events" and event in row.names]
    types = EVENTS[event].get("properties", {}).get("types", {}).get("items", {})
    assert set(types.get("enum", ())) <= set(re.findall(r"`(\w+)`", row.how))


def test_every_context_and_property_has_a_row() -> None:
    wanted = {*CONTEXTS, *(f"needs.<id>.{name}" for name in NEED)}
    wanted |= {f"steps.<id>.{name}" for name in STEP}
    wanted |= {f"{context}.{name}" for context, names in PROPERTIES.items() for name in names}
    assert sorted(wanted - {name.lower() for name in named("Contexts")}) == []


def test_every_function_has_a_row() -> None:
    assert sorted(FUNCTIONS - {name.lower() for name in named("Expressions")}) == []


def test_every_command_has_a_row() -> None:
    wanted = {f"::{name}::" for name in COMMANDS} | set(VARIABLES.values())
    assert sorted(wanted - named("Command files and workflow commands")) == []


def test_every_key_of_an_action_has_a_row() -> None:
    runs = {*definition._NODE_KEYS, *definition._DOCKER_KEYS, *definition._KEYS["composite"]}
    steps = definition._RUN_KEYS | definition._USES_KEYS
    wanted = {f"runs.{key}" for key in runs} | {f"runs.steps[*].{key}" for key in steps}
    assert sorted(wanted - named("Actions")) == []


@pytest.mark.docker
def test_every_variable_of_a_step_has_a_row(tmp_path: Path, run_pipe: RunPipe) -> None:
    (tmp_path / "pipe.yaml").write_text("images: {small: 'pipe-test/busybox:1'}\n")
    job = {"runs-on": "small", "steps": [{"run": "env"}]}
    (tmp_path / "p.yaml").write_text(json.dumps({"on": "push", "jobs": {"a": job}}))
    finished = run_pipe("run", "p.yaml", "--verbose", cwd=tmp_path)
    assert finished.exit_code == 0, finished.stderr
    found = set(re.findall(r"\b((?:GITHUB|RUNNER|ACTIONS)_\w+|CI)=", finished.stdout))
    assert {"CI", "GITHUB_SHA", "RUNNER_DEBUG"} <= found
    assert sorted(found - named("Variables", "Command files and workflow commands")) == []


# -- what has to be tested


def pipelines() -> Iterator[Any]:
    """All pipelines in files and in the documentation that are valid."""
    folders = (ROOT / "tests" / "cases", ROOT / "examples", ROOT / "pipelines")
    texts = [file.read_text("utf-8") for folder in folders for file in folder.rglob("*.y*ml")]
    for page in PAGES:
        for block in blocks(page.read_text("utf-8")):
            if block.language == "yaml" and block.title not in CONFIGURATIONS:
                texts.append(block.text)
    for text in texts:
        try:
            document = load(text, "pipeline.yaml")
            parse(document)
        except InvalidInputError:
            continue
        yield document.data


def test_every_key_is_in_a_pipeline_that_is_tested() -> None:
    used = {path for data in pipelines() for path in used_keys(data)}
    assert sorted(all_keys().keys() - used - ELSEWHERE.keys()) == []


def test_what_is_tested_elsewhere_exists() -> None:
    for path, test in ELSEWHERE.items():
        assert path in all_keys()
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text("utf-8")


# -- what is refused


def pipeline(**more: Any) -> dict[str, Any]:
    return {"on": "push", "jobs": {"a": JOB}} | more


def with_job(**more: Any) -> dict[str, Any]:
    return pipeline(jobs={"a": JOB | more})


def with_step(**step: Any) -> dict[str, Any]:
    return with_job(steps=[step])


#: For each row that says "refused", by its first cell: a pipeline that is.
REFUSED = {
    "groups of a call": pipeline(jobs={"a": {"uses": "./called.yaml", "concurrency": "x"}}),
    "`jobs.<id>.snapshot`": with_job(snapshot={"image-name": "mine", "version": "2.*", "if": True}),
    "`jobs.<id>.container.build`": with_job(container={"build": {"context": "."}}),
    "`windows-*`": with_job(**{"runs-on": "windows-2025"}),
    "any other label": with_job(**{"runs-on": "moon-base"}),
}


@pytest.mark.parametrize("row", [row for row in ROWS if row.answer == "refused"], ids=str)
def test_what_the_page_says_is_refused_is(row: Row, tmp_path: Path, run_pipe: RunPipe) -> None:
    (tmp_path / "p.yaml").write_text(json.dumps(REFUSED[row.what.partition(",")[0]]))
    (tmp_path / "called.yaml").write_text(json.dumps(pipeline(on="workflow_call")))
    [message] = re.findall('"([^"]+)"', row.how)
    finished = run_pipe("run", "p.yaml", cwd=tmp_path)
    assert finished.exit_code in (2, 4)
    assert message in finished.stderr
    assert finished.stdout == ""


@pytest.mark.parametrize("where", ["top", "job", "step"])
def test_what_is_refused_has_a_row_that_says_so(where: str) -> None:
    place = {"top": "", "job": "jobs.<id>.", "step": "jobs.<id>.steps[*]."}[where]
    said = {
        name for row in ROWS if row.answer == "refused" for name in row.names
    } & all_keys().keys()
    refused = {key for key in keys(where) if is_refused(where, key)}
    assert {place + key for key in refused} == said & {place + key for key in keys(where)}


def is_refused(where: str, key: str) -> bool:
    """Whether this version cannot run a pipeline in which the key has the schema's own example."""
    for data in samples(where, key):
        try:
            built = parse(load(json.dumps(data), "pipeline.yaml"))
        except InvalidInputError:
            continue
        paths = [path for job in built.jobs.values() for path in job.unsupported]
        return any(path[-1] == key for path in paths)
    raise AssertionError(f"no pipeline has {key}")


def samples(where: str, key: str) -> list[dict[str, Any]]:
    """Pipelines with the key: beside what there mostly is, instead of it, and beside a call."""
    value = {key: example(keys(where)[key])}
    match where:
        case "top":
            return [{"on": "push", "jobs": {"a": JOB}} | value]
        case "job":
            calls = {"uses": "./.github/workflows/called.yml"}
            return [{"jobs": {"a": job}} for job in (JOB | value, value, calls | value)]
    others: tuple[dict[str, str], ...] = ({"run": "make"}, {}, {"uses": "actions/checkout@v4"})
    return [{"jobs": {"a": JOB | {"steps": [other | value]}}} for other in others]


def example(described: dict[str, Any]) -> Any:
    definition = described.get("$ref", "").rpartition("/")[2]
    found = schema()["definitions"][definition] if definition else described
    return found["examples"][0]
