import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import InvalidInputError, Position, Problem
from runner.model import (
    Concurrency,
    Defaults,
    Input,
    Job,
    Pipeline,
    Retry,
    Step,
    Strategy,
    Timeouts,
    Watch,
)
from runner.parse import check_schema, parse, parse_duration, schema
from runner.source import load

CASES = Path(__file__).parent / "cases" / "parse"
JOB = "jobs: {build: {runs-on: ubuntu-latest, steps: [{run: make}]}}\n"


def pipeline(text: str) -> Pipeline:
    return parse(load(text, "p.yaml"))


def job(text: str) -> Job:
    """The job with `text`, a flow mapping's inside, beside `runs-on` and `steps`."""
    return pipeline(f"jobs: {{build: {{runs-on: x, steps: [{{run: make}}], {text}}}}}").jobs[
        "build"
    ]


def step(text: str) -> Step:
    return steps(text)[0]


def steps(*texts: str) -> tuple[Step, ...]:
    written = ", ".join(f"{{{text}}}" for text in texts)
    return pipeline(f"jobs: {{build: {{runs-on: x, steps: [{written}]}}}}").jobs["build"].steps


def described(problem: Problem) -> str:
    position = problem.position or Position("", 0, 0, 0)
    span = f"{position.line}:{position.column}-{position.column + position.length}"
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{span} {problem.code}: {problem.message}{hint}"


# -- what is refused --


@pytest.mark.parametrize("file", sorted(CASES.glob("*.yaml")), ids=lambda file: file.stem)
def test_problems_of_a_file(file: Path) -> None:
    document = load(file.read_text(encoding="utf-8"), file.name)
    try:
        parse(document)
        found = []
    except InvalidInputError as error:
        found = [described(problem) for problem in error.problems]
    assert found == file.with_suffix(".problems").read_text(encoding="utf-8").splitlines()


def test_the_first_problem_is_the_error() -> None:
    with pytest.raises(InvalidInputError, match="has no key `nmae`") as caught:
        pipeline("nmae: x\n" + JOB)
    assert caught.value.position == Position("p.yaml", 1, 1, 4)
    assert caught.value.hint == "did you mean `name`?"


def test_deeply_nested_steps_are_refused() -> None:
    nested = "{run: make}"
    for _ in range(45):
        nested = f"{{parallel: [{nested}]}}"
    with pytest.raises(InvalidInputError, match="`parallel` is not allowed here"):
        pipeline(f"jobs: {{a: {{runs-on: x, steps: [{nested}]}}}}")


# -- the model --


def test_a_pipeline_as_written() -> None:
    written = pipeline(
        "name: 1.10\nrun-name: Run ${{ github.actor }}\nenv: {A: 3.10, B: true, C: }\n"
        "defaults: {run: {shell: bash}}\nretry: 2\n" + JOB
    )
    assert written.file == "p.yaml"
    assert written.name == "1.1"
    assert written.run_name == "Run ${{ github.actor }}"
    assert written.env == {"A": "3.1", "B": "true", "C": ""}
    assert written.defaults == Defaults(shell="bash")
    assert written.retry == Retry(attempts=2)
    assert list(written.jobs) == ["build"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", Concurrency("7")),
        ("'${{ github.ref }}'", Concurrency("${{ github.ref }}")),
        ("{group: a, queue: max}", Concurrency("a", queue="max")),
        (
            "{group: a, cancel-in-progress: '${{ inputs.now }}'}",
            Concurrency("a", cancel_in_progress="${{ inputs.now }}"),
        ),
        ("{group: a, cancel-in-progress: true}", Concurrency("a", cancel_in_progress=True)),
    ],
)
def test_concurrency(text: str, expected: Concurrency) -> None:
    assert pipeline(f"concurrency: {text}\n{JOB}").concurrency == expected
    assert job(f"concurrency: {text}").concurrency == expected


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("push", {"push": {}}),
        ("[push, pull_request]", {"push": {}, "pull_request": {}}),
        ("{push: , release: {types: published}}", {"push": {}, "release": {"types": "published"}}),
        ("{schedule: [{cron: '0 0 * * *'}]}", {"schedule": [{"cron": "0 0 * * *"}]}),
    ],
)
def test_events(on: str, expected: dict[str, Any]) -> None:
    assert pipeline(f"on: {on}\n{JOB}").on == expected


def test_a_pipeline_without_events() -> None:
    assert pipeline(JOB).on == {}


def test_inputs() -> None:
    text = """
on:
  workflow_dispatch:
    inputs:
      level: {type: choice, options: [quick, 3.10], default: 1.0, required: true, description: 5}
      dry: {type: boolean, default: true}
      free:
  workflow_call:
    inputs: {other: {type: string}}
"""
    assert pipeline(text + JOB).inputs == (
        Input(
            name="level",
            type="choice",
            description="5",
            required=True,
            default="1",
            options=("quick", "3.1"),
            path=("on", "workflow_dispatch", "inputs", "level"),
        ),
        Input("dry", "boolean", default=True, path=("on", "workflow_dispatch", "inputs", "dry")),
        Input("free", path=("on", "workflow_dispatch", "inputs", "free")),
    )


@pytest.mark.parametrize("dispatch", ["", "workflow_dispatch: {inputs: }, "])
def test_inputs_of_a_called_pipeline(dispatch: str) -> None:
    on = f"on: {{{dispatch}workflow_call: {{inputs: {{a: {{type: number, default: 1}}}}}}}}\n"
    expected = [] if dispatch else [Input("a", "number", default=1, path=_CALL_INPUT)]
    assert list(pipeline(on + JOB).inputs) == expected


_CALL_INPUT = ("on", "workflow_call", "inputs", "a")


def test_a_job_as_written() -> None:
    written = job(
        "name: 5, needs: a, if: '!cancelled()', env: {A: 1}, outputs: {x: true}, "
        "defaults: {run: {working-directory: web}}, continue-on-error: '${{ matrix.x }}', "
        "timeout-minutes: 1.5, container: {image: x}, retry: {attempts: 2}"
    )
    assert written.id == "build"
    assert written.path == ("jobs", "build")
    assert written.name == "5"
    assert written.needs == ("a",)
    assert written.condition == "!cancelled()"
    assert written.runs_on == "x"
    assert written.env == {"A": "1"}
    assert written.outputs == {"x": "true"}
    assert written.defaults == Defaults(working_directory="web")
    assert written.continue_on_error == "${{ matrix.x }}"
    assert written.timeout_minutes == 1.5
    assert written.container == {"image": "x"}
    assert written.retry == Retry(attempts=2)
    assert written.strategy is None


@pytest.mark.parametrize(
    ("runs_on", "expected"),
    [
        ("20.10", "20.1"),
        ("22", "22"),
        ("[self-hosted, 1]", ["self-hosted", "1"]),
        ("{group: large}", {"group": "large"}),
        ("'${{ matrix.os }}'", "${{ matrix.os }}"),
    ],
)
def test_runs_on(runs_on: str, expected: Any) -> None:
    written = pipeline(f"jobs: {{a: {{runs-on: {runs_on}, steps: [{{run: x}}]}}}}").jobs["a"]
    assert written.runs_on == expected


def test_strategy() -> None:
    assert job("strategy: {matrix: {a: [1.0]}, fail-fast: false, max-parallel: 2}").strategy == (
        Strategy({"a": [1]}, fail_fast=False, max_parallel=2, path=("jobs", "build", "strategy"))
    )
    dynamic = job("strategy: {matrix: '${{ fromJSON(needs.a.outputs.m) }}'}").strategy
    assert dynamic
    assert not isinstance(dynamic, str)
    assert dynamic.matrix == "${{ fromJSON(needs.a.outputs.m) }}"
    assert dynamic.fail_fast is True
    whole = job("strategy: '${{ fromJSON(needs.a.outputs.s) }}'").strategy
    assert whole == "${{ fromJSON(needs.a.outputs.s) }}"


def test_a_run_step_as_written() -> None:
    written = step(
        "id: a, name: true, if: true, run: 123, shell: sh, working-directory: 7, env: {A: 1e3}, "
        "continue-on-error: true, timeout-minutes: 5, retry: 3, image: 'python:3.12'"
    )
    assert written == Step(
        id="a",
        path=("jobs", "build", "steps", 0),
        name="true",
        condition=True,
        run="123",
        shell="sh",
        working_directory="7",
        env={"A": "1000"},
        continue_on_error=True,
        timeout_minutes=5,
        retry=Retry(attempts=3),
        image="python:3.12",
    )


def test_inputs_of_actions_are_text_and_those_of_plugins_as_written() -> None:
    action = step("uses: actions/checkout@v4, with: {a: 0, b: false, c: , d: 3.10}")
    assert action.with_ == {"a": "0", "b": "false", "c": "", "d": "3.1"}
    assert step("uses: template, with: {a: [1], b: false}").with_ == {"a": [1], "b": False}
    assert step("uses: template").with_ == {}


def test_env_that_is_one_expression_stays_an_expression() -> None:
    assert step("run: x, env: '${{ fromJSON(vars.E) }}'").env == "${{ fromJSON(vars.E) }}"


def test_ids_of_steps_without_one_are_github_s() -> None:
    written = steps(
        "run: a",
        "run: b",
        "uses: actions/checkout@v4",
        "uses: Actions/Checkout@v3",
        "uses: owner/name/sub/folder@v1",
        "uses: ./local",
        "uses: docker://alpine:3.20",
        "uses: template",
        "id: mine, run: c",
        "wait-all: ",
    )
    assert [one.id for one in written] == [
        "__run",
        "__run_2",
        "__actions_checkout",
        "__Actions_Checkout_2",
        "__owner_name",
        "__self",
        "__alpine_3_20",
        "__template",
        "mine",
        "__wait_all",
    ]
    assert [one.named for one in written] == [False] * 8 + [True, False]


def test_the_same_id_in_two_jobs_is_fine() -> None:
    one = "{runs-on: x, steps: [{id: same, run: x}]}"
    assert len(pipeline(f"jobs: {{a: {one}, b: {one}}}").jobs) == 2


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ("1", Retry(attempts=1)),
        ("{}", Retry()),
        ("{delay: 2s, max-delay: 1h30m}", Retry(delay=2, max_delay=5400)),
        ("{backoff: constant, jitter: false}", Retry(backoff="constant", jitter=False)),
        ("{on: timeout}", Retry(on=("timeout",))),
        ("{on: [lost, failure]}", Retry(on=("lost", "failure"))),
    ],
)
def test_retry(retry: str, expected: Retry) -> None:
    assert job(f"retry: {retry}").retry == expected


def test_what_the_queue_needs() -> None:
    written = pipeline(
        f"priority: 7\nqueue: 2-night_ly\ntimeouts: {{queue: 90s, run: 1h30m}}\n{JOB}"
    )
    assert (written.priority, written.queue) == (7, "2-night_ly")
    assert written.timeouts == Timeouts(queue=90, attempt=None, run=5400)
    without = pipeline(f"timeouts: {{}}\n{JOB}")
    assert (without.priority, without.queue, without.timeouts) == (0, "", Timeouts())


@pytest.mark.parametrize(
    "written",
    [
        *("priority: -1", "priority: 1.5", "priority: high", "queue: a b", "queue: ''", "queue: 7"),
        *(
            "queue: é",
            '"queue": "a\\n"',
            f"queue: {'x' * 101}",
            "timeouts: 1h",
            "timeouts: {job: 1h}",
        ),
        *("timeouts: {run: 0s}", "timeouts: {run: 0.0h0s}", "timeouts: {run: '${{ vars.X }}'}"),
        *(f"concurrency: {{group: g, limit: {limit}}}" for limit in ("0", "1.5", "'3'", "1001")),
    ],
)
def test_what_the_queue_cannot_use(written: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        pipeline(f"{written}\n{JOB}")
    assert caught.value.position is not None
    assert caught.value.position.line == 1


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("3", 3), ("'${{ fromJSON(vars.MOST) }}'", "${{ fromJSON(vars.MOST) }}")],
)
def test_limits_of_groups(limit: str, expected: object) -> None:
    written = f"{{group: g, limit: {limit}}}"
    found = pipeline(f"concurrency: {written}\n{JOB}").concurrency
    assert found == job(f"concurrency: {written}").concurrency == Concurrency("g", limit=expected)
    assert pipeline(f"concurrency: g\n{JOB}").concurrency == Concurrency("g", limit=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d2h3m4s5ms", 93784.005),
        ("0s", 0),
        ("1.5h", 5400),
        ("500ms", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
    retry = job(f"retry: {{delay: {text}}}").retry
    assert retry
    assert retry.delay == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5m1h", "5m5m", "5x", "5m\n", "1.m"])
def test_not_durations(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a duration"):
        parse_duration(text)
    with pytest.raises(InvalidInputError):
        job(f"retry: {{delay: {json.dumps(text)}}}")


@pytest.mark.parametrize(
    ("written", "watch"),
    [
        ("{}", Watch()),
        ("{types: started}", Watch()),
        ("{paths: src, ignore: 310, debounce: 1m500ms}", Watch(("src",), ("310",), 60.5)),
        ("{paths: [a, true]}", Watch(paths=("a", "true"))),
    ],
)
def test_what_is_watched(written: str, watch: Watch) -> None:
    assert pipeline(f"on: {{watch: {written}}}\n{JOB}").watch == watch


# -- valid, but not possible yet --


def test_unsupported_keys_are_listed() -> None:
    everything = pipeline((CASES / "everything.yaml").read_text(encoding="utf-8"))
    build = [path[2:] for path in everything.jobs["build"].unsupported]
    assert build == [
        ("snapshot",),
        ("container", "build"),
    ]
    assert everything.jobs["call"].unsupported == ()


# -- checking against any schema --

PLUGIN = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string"},
        "mode": {"enum": ["fast", "slow"]},
        "count": {"type": "integer", "minimum": 1},
        "when": {"oneOf": [{"type": "integer"}, {"const": "never"}]},
        "old": False,
        "more": {"$ref": "#"},
        "files": {"type": "array"},
    },
}


def checked(text: str) -> list[str]:
    document = load(f"- with: {text}\n", "p.yaml")
    problems = check_schema(PLUGIN, document.data[0]["with"], document, (0, "with"))
    return [described(problem).split(" ", 1)[1] for problem in problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{file: a, mode: fast, count: 1}", []),
        ("{}", ["missing-key: `with` needs the key `file`"]),
        ("{files: []}", ["missing-key: `with` needs the key `file`"]),
        ("{fiel: a}", ["unknown-key: `with` has no key `fiel` (did you mean `file`?)"]),
        (
            "{file: 3.10}",
            [
                "wrong-type: `file` must be text, not the number `3.1` "
                "(if it is meant as text, write it in quotes)"
            ],
        ),
        ("{file: a, count: 0}", ["out-of-range: `count` must be at least 1, not 0"]),
        ("{file: a, old: 1}", ["not-together: `old` is not allowed here"]),
        (
            "{file: a, mode: fats}",
            ["bad-value: `mode` cannot be the text `fats` (did you mean `fast`?)"],
        ),
        (
            "{file: a, when: x}",
            ["bad-value: `when`: 'x' is not valid under any of the given schemas"],
        ),
        ("{file: '${{ x }}', mode: '${{ x }}', count: 'a${{ x }}', when: '${{ x }}'}", []),
        ("{file: a, more: {file: a, mode: '${{ x }}'}}", []),
        ("{file: a, more: {}}", ["missing-key: `more` needs the key `file`"]),
    ],
)
def test_check_schema(text: str, expected: list[str]) -> None:
    assert checked(text) == expected


def test_check_schema_knows_the_position() -> None:
    document = load("- with:\n    file: a\n    cuont: 1\n", "p.yaml")
    [problem] = check_schema(PLUGIN, document.data[0]["with"], document, (0, "with"))
    assert problem.position == Position("p.yaml", 3, 5, 5)


# -- the published schema --


def rules(part: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each named property's rule in a schema, with its path."""
    for name, rule in part.get("properties", {}).items():
        if isinstance(rule, dict):
            yield f"{where}/{name}", rule
            yield from rules(rule, f"{where}/{name}")
    for key in ("items", "additionalProperties", "then"):
        if isinstance(part.get(key), dict):
            yield from rules(part[key], f"{where}/{key}")


ALL_RULES = [*rules(schema())] + [
    found
    for name, rule in schema()["definitions"].items()
    for found in [(f"#{name}", rule), *rules(rule, f"#{name}")]
]


def test_the_schema_is_draft_7_and_has_no_alternatives() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    assert "oneOf" not in json.dumps(schema())
    assert "anyOf" not in json.dumps(schema())


def test_the_schema_ships_with_the_package() -> None:
    published = Path(__file__).parents[1] / "pipeline.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == schema()


@pytest.mark.parametrize(("where", "rule"), ALL_RULES, ids=[where for where, _ in ALL_RULES])
def test_each_key_has_a_description_and_examples_that_hold(
    where: str, rule: dict[str, Any]
) -> None:
    if "$ref" in rule or "description" not in rule:
        assert "$ref" in rule or "/then/" in where
        return
    assert rule["description"].endswith((".", "!"))
    whole = {**rule, "definitions": schema()["definitions"]}
    assert rule["examples"]
    for example in rule["examples"]:
        jsonschema.Draft7Validator(whole).validate(example)


# -- anything --

WORDS = st.sampled_from(
    sorted({where.rsplit("/", 1)[-1] for where, _ in ALL_RULES} | {"90s", "${{ x }}", "push"})
)
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | WORDS
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=30,
)
STEP = st.fixed_dictionaries({}, optional=dict.fromkeys(("run", "uses", "id", "env"), ANYTHING))
ALMOST = st.fixed_dictionaries(
    {
        "jobs": st.dictionaries(
            WORDS,
            st.fixed_dictionaries(
                {"runs-on": ANYTHING, "steps": st.lists(STEP, max_size=3)},
                optional=dict.fromkeys(("strategy", "retry", "container", "needs"), ANYTHING),
            ),
            max_size=2,
        )
    },
    optional={"on": ANYTHING, "env": ANYTHING, "defaults": ANYTHING, "retry": ANYTHING},
)


@settings(max_examples=250, deadline=None)
@given(st.one_of(ANYTHING, ALMOST))
def test_any_data_is_parsed_or_refused_with_positions(data: Any) -> None:
    try:
        parsed = parse(load(yaml.safe_dump(data), "p.yaml"))
    except InvalidInputError as error:
        positions = [problem.position for problem in error.problems]
    else:
        positions = [Position(parsed.file, 1, 1)]
    assert None not in positions


def test_hopeless_files_are_refused_in_bounded_time() -> None:
    with pytest.raises(InvalidInputError) as caught:
        pipeline("".join(f"key{number}: x\n" for number in range(20_000)))
    assert len(caught.value.problems) == 200


def test_long_text_is_shortened_in_messages() -> None:
    with pytest.raises(InvalidInputError) as caught:
        pipeline(f"{'k' * 100}: x\npriority: {'p' * 100}\n{JOB}")
    assert max(len(problem.message) for problem in caught.value.problems) < 120
