"""Which jobs of a run need not run again after an earlier one."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from runner.events import Result
from runner.model import Pipeline
from runner.parse import parse
from runner.plan import JobState, expanded, plan, ready
from runner.reuse import Earlier, reusable
from runner.source import load

STRATEGY = {"matrix": {"n": [1, 2, 3]}, "fail-fast": False}
LEGS: dict[str, Any] = {"build": {"strategy": STRATEGY}}
LIMITED = {"build": {"strategy": {**STRATEGY, "max-parallel": 1}}}
CHAIN: dict[str, Any] = {"build": {}, "test": {"needs": "build"}, "ship": {"needs": "test"}}
PICKED = {
    "list": {"outputs": {"all": "${{ 1 }}"}},
    "build": {
        "needs": "list",
        "strategy": {
            "fail-fast": False,
            "matrix": {"n": "${{ fromJSON(needs.list.outputs.all) }}"},
        },
    },
}
BY_INPUT = {"build": {"strategy": {"matrix": {"n": "${{ fromJSON(inputs.all) }}"}}}}
OPTIONAL = {"build": {"if": "inputs.wanted"}, "test": {"needs": "build", "if": "!cancelled()"}}
RESCUED = {"build": {}, "rescue": {"needs": "build", "if": "failure()"}}


def pipeline(jobs: Mapping[str, Any], **top: Any) -> Pipeline:
    """A pipeline with these jobs; JSON is YAML."""
    step = {"runs-on": "ubuntu-latest", "steps": [{"run": "make"}]}
    data = {"on": "push", **top, "jobs": {id_: {**step, **job} for id_, job in jobs.items()}}
    return parse(load(json.dumps(data), "p.yaml"))


def contexts(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"github": {}, "inputs": inputs, "vars": {}}


def ran(pipeline: Pipeline, inputs: Mapping[str, Any], failed: set[str]) -> Earlier:
    """A run that went on until nothing followed; jobs succeed, but for those in `failed`."""
    states: dict[str, JobState] = {}
    current = plan(pipeline, contexts(inputs))
    while True:
        decision = ready(pipeline, current, states, contexts(inputs))
        current = expanded(current, decision)
        ended: dict[str, Result] = dict.fromkeys(decision.start, "success")
        ended |= dict.fromkeys(failed & ended.keys(), "failure")
        ended |= dict.fromkeys(decision.skip, "skipped")
        ended |= {key: call.result for key, call in decision.finish.items()}
        if not ended:
            return Earlier(pipeline, current, states)
        ids = {leg.key: leg.job for leg in current.jobs}
        states |= {
            key: JobState(
                key,
                job=ids[key],
                state="finished",
                result=result,
                outputs={"all": "[1, 2]", "from": key},
                finished_order=len(states) + order,
            )
            for order, (key, result) in enumerate(ended.items())
        }


@pytest.mark.parametrize(
    ("jobs", "failed", "changes", "expected"),
    [
        (CHAIN, {"build"}, {}, []),
        (CHAIN, {"test"}, {}, ["build"]),
        (CHAIN, {"ship"}, {}, ["build", "test"]),
        (CHAIN, {"ship"}, {"build": {"env": {"A": "b"}}}, []),
        (CHAIN, {"ship"}, {"test": {"needs": "build", "env": {"A": "b"}}}, ["build"]),
        (CHAIN, {"ship"}, {"test": {}}, ["build"]),
        (CHAIN, {"ship"}, {"new": {}}, ["build", "test"]),
        (CHAIN, {"ship"}, {"new": {}, "build": {"needs": "new"}}, []),
        (LEGS, {"build (2)"}, {}, ["build (1)", "build (3)"]),
        (LEGS, {"build (2)"}, {"build": {}}, []),
        (LIMITED, {"build (1)"}, {}, ["build (2)", "build (3)"]),
        ({**LEGS, "test": {"needs": "build"}}, {"test"}, {}, ["build (1)", "build (2)", "build (3)"]),
        (PICKED, {"build (2)"}, {}, ["list", "build (1)"]),
        (RESCUED, {"build"}, {}, []),
    ],
)  # fmt: skip
def test_what_is_reused(
    jobs: Mapping[str, Any], failed: set[str], changes: Mapping[str, Any], expected: list[str]
) -> None:
    earlier = ran(pipeline(jobs), {}, failed)
    now = pipeline({**jobs, **changes})
    assert list(reusable(now, plan(now, contexts({})), contexts({}), earlier)) == expected


@pytest.mark.parametrize(
    ("jobs", "then", "now", "expected"),
    [
        (BY_INPUT, {"all": "[1, 2, 3]"}, {"all": "[1, 5, 3]"}, ["build (1)", "build (3)"]),
        (BY_INPUT, {"all": "[1, 2]"}, {"all": "[2]"}, []),
        (OPTIONAL, {"wanted": True}, {"wanted": True}, ["build", "test"]),
        (OPTIONAL, {"wanted": True}, {"wanted": False}, []),
        (OPTIONAL, {"wanted": False}, {"wanted": True}, []),
        (OPTIONAL, {"wanted": False}, {"wanted": False}, ["test"]),
    ],
)
def test_what_is_decided_with_the_inputs_given_now(
    jobs: Mapping[str, Any], then: dict[str, Any], now: dict[str, Any], expected: list[str]
) -> None:
    same = pipeline(jobs)
    earlier = ran(same, then, set())
    assert list(reusable(same, plan(same, contexts(now)), contexts(now), earlier)) == expected


def test_the_environment_of_the_whole_pipeline_is_part_of_every_job() -> None:
    earlier = ran(pipeline(CHAIN), {}, {"ship"})
    now = pipeline(CHAIN, env={"A": "b"})
    assert reusable(now, plan(now, contexts({})), contexts({}), earlier) == {}


def test_outputs_come_in_the_order_in_which_jobs_ended() -> None:
    same = pipeline(LEGS)
    earlier = ran(same, {}, set())
    order = {"build (1)": 2, "build (2)": 3, "build (3)": 1}
    states = {
        key: replace(state, finished_order=order[key]) for key, state in earlier.states.items()
    }
    earlier = replace(earlier, states=states)
    found = reusable(same, plan(same, contexts({})), contexts({}), earlier)
    assert [outputs["from"] for outputs in found.values()] == [
        "build (3)",
        "build (1)",
        "build (2)",
    ]


# -- calls --

CALLED: dict[str, Any] = {"build": {}, "test": {"needs": "build"}}


def calling(
    called: Mapping[str, Any] = CALLED, level: str = "${{ inputs.level }}", **jobs: Any
) -> Pipeline:
    """A pipeline that calls another one, and has a job after that."""
    on = {"workflow_call": {"inputs": {"level": {"type": "string"}}}}
    call = {"uses": "./x.yaml", "with": {"level": level}}
    step = {"runs-on": "ubuntu-latest", "steps": [{"run": "make"}]}
    written = {"call": call, "ship": {**step, "needs": "call"}, **jobs}
    main = parse(load(json.dumps({"on": "push", "jobs": written}), "p.yaml"))
    return replace(main, called={"x.yaml": replace(pipeline(called, on=on), file="x.yaml")})


@pytest.mark.parametrize(
    ("failed", "now", "level", "expected"),
    [
        ({"ship"}, calling(), "a", ["call / build", "call / test"]),
        ({"call / test"}, calling(), "a", ["call / build"]),
        ({"call / build"}, calling(), "a", []),
        ({"ship"}, calling(), "b", []),
        ({"ship"}, calling(level="a"), "a", []),
        ({"ship"}, calling({**CALLED, "test": {"needs": "build", "env": {"A": "b"}}}), "a",
         ["call / build"]),
        ({"ship"}, calling({"build": {"env": {"A": "b"}}, "test": {"needs": "build"}}), "a", []),
        (set(), calling(), "a", ["call / build", "call / test", "ship"]),
    ],
)  # fmt: skip
def test_what_is_reused_of_a_call(
    failed: set[str], now: Pipeline, level: str, expected: list[str]
) -> None:
    earlier = ran(calling(), {"level": "a"}, failed)
    given = contexts({"level": level})
    assert list(reusable(now, plan(now, given), given, earlier)) == expected


def test_a_job_is_not_taken_for_one_of_the_same_id_in_a_call() -> None:
    step = {"runs-on": "ubuntu-latest", "steps": [{"run": "make"}]}
    same = calling(build={**step, "needs": "ship"})
    earlier = ran(same, {"level": "a"}, {"build"})
    given = contexts({"level": "a"})
    assert list(reusable(same, plan(same, given), given, earlier)) == [
        "call / build",
        "call / test",
        "ship",
    ]
