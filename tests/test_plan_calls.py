"""Calls of other pipelines in a plan: what goes in, what runs inside, what comes out."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.events import Result
from runner.model import Call, Input, Interface, Job, Pipeline
from runner.plan import MOST_JOBS_IN_CALLS, from_json, needs_context, plan, select, to_json
from tests.test_plan import CONDITIONS, CONTEXTS, MATRICES, Run, act, check_what_runs, job, pipeline


def call(target: str = "x.yaml", *needs: str, given: Any = None, **values: Any) -> Job:
    return replace(job(*needs, **values), call=Call(f"./{target}", target, given or {}))


def callee(
    inputs: tuple[Input, ...] = (), outputs: Mapping[str, str] | None = None, **jobs: Job
) -> Pipeline:
    return replace(pipeline(**jobs), interface=Interface(inputs, {}, outputs or {}))


def calling(called: Pipeline | Mapping[str, Pipeline], **jobs: Job) -> Pipeline:
    by_target = {"x.yaml": called} if isinstance(called, Pipeline) else called
    return replace(pipeline(**jobs), called=by_target)


CHAIN = callee(one=job(), two=job("one"))


# What is planned


def test_a_call_that_can_start_is_planned_with_its_jobs() -> None:
    run = Run(calling(CHAIN, call=call(), after=job("call")))
    assert run.shown() == {
        "call": "running",
        "call / one": "queued",
        "call / two": "blocked",
        "after": "blocked",
    }


def test_a_call_is_entered_when_its_needs_have_ended() -> None:
    run = Run(calling(CHAIN, a=job(), call=call("x.yaml", "a")))
    assert run.shown() == {"a": "queued", "call": "blocked"}
    run.finish("a")
    assert run.shown()["call / one"] == "queued"


def test_names_are_those_of_the_caller_and_the_job() -> None:
    inner = callee(one=job(name="One ${{ inputs.level }}", matrix={"n": [1, 2]}), two=job(name="2"))
    inner = replace(inner, interface=Interface((Input("level"),)))
    middle = callee(deep=call("y.yaml", given={"level": "L"}, name="Deep"))
    run = Run(calling({"x.yaml": middle, "y.yaml": inner}, top=call(matrix={"os": ["a"]})))
    assert run.names() == {
        "top (1)": "top (a)",
        "top (1) / deep": "top (a) / Deep",
        "top (1) / deep / one (1)": "top (a) / Deep / One L",
        "top (1) / deep / one (2)": "top (a) / Deep / One L",
        "top (1) / deep / two": "top (a) / Deep / 2",
    }


def test_a_plan_with_calls_survives_json() -> None:
    run = Run(calling(callee((Input("a"),), one=job()), call=call(given={"a": "b"})))
    assert from_json(json.loads(json.dumps(to_json(run.plan)))) == run.plan
    assert run.plan.jobs[0].inputs == {"a": "b"}


def test_a_call_is_selected_with_all_its_jobs() -> None:
    definition = select(calling(CHAIN, call=call(), other=job()), {"call"})
    assert set(Run(definition).shown()) == {"call", "call / one", "call / two"}


def test_a_filter_for_matrices_holds_in_calls_too() -> None:
    definition = calling(callee(one=job(matrix={"n": [1, 2]})), call=call())
    assert set(Run(definition, only={"n": {"2"}}).shown()) == {"call", "call / one (2)"}


# What goes in


@pytest.mark.parametrize(
    ("declared", "given", "value"),
    [
        (Input("a"), {}, ""),
        (Input("a", "boolean"), {}, False),
        (Input("a", "number"), {}, 0),
        (Input("a", default="d"), {}, "d"),
        (Input("a", "boolean", default=True), {}, True),
        (Input("a", default="${{ github.ref }}!"), {}, "main!"),
        (Input("a", "number", default="${{ fromJSON('4') }}"), {}, 4),
        (Input("a"), {"a": 3}, "3"),
        (Input("a"), {"A": True}, "true"),
        (Input("a"), {"a": None}, ""),
        (Input("a", "boolean"), {"a": "${{ inputs.deploy }}"}, True),
        (Input("a", "number"), {"a": "${{ inputs.n }}"}, 2),
        (Input("a", "number"), {"a": "${{ strategy.job-total }}"}, 1),
        (Input("a", default="d"), {"a": "${{ '' }}"}, ""),
    ],
)
def test_inputs_are_typed(declared: Input, given: dict[str, Any], value: Any) -> None:
    run = Run(calling(callee((declared,), one=job()), call=call(given=given)))
    inputs = run.plan.jobs[0].inputs
    assert inputs == {"a": value}
    assert type(inputs["a"]) is type(value)


@pytest.mark.parametrize(
    ("declared", "given", "reason"),
    [
        (Input("a", "boolean"), "${{ 'true' }}", "input `a`: it must be true or false, not `true`"),
        (Input("a", "number"), "${{ github.ref }}", "input `a`: it must be a number, not `main`"),
        (Input("a", "number"), "${{ true }}", "input `a`: it must be a number, not `true`"),
        (Input("a"), "${{ github }}", "input `a`: it must be text, not `Object`"),
        (Input("a"), "${{ fromJSON('nope') }}", "input `a`: "),
        (Input("b"), "x", "the called pipeline has no input `a`"),
        (Input("b", required=True), None, "the called pipeline has no input `a`"),
    ],
)
def test_what_does_not_fit_fails_the_call(declared: Input, given: Any, reason: str) -> None:
    definition = calling(
        callee((declared,), one=job()), call=call(given={"a": given}), after=job("call")
    )
    run = Run(definition)
    assert run.shown() == {"call": "failure", "after": "skipped"}
    assert run.reasons["call"].startswith(reason)


def test_a_required_input_that_is_missing_fails_the_call() -> None:
    run = Run(calling(callee((Input("a", required=True),), one=job()), call=call()))
    assert run.reasons["call"] == "input `a`: the called pipeline needs it"


def test_conditions_inside_see_the_inputs_of_the_call_and_not_those_of_the_run() -> None:
    inner = callee(
        (Input("deploy", "boolean"),), one=job(condition="inputs.deploy"), two=job(condition="inputs.n")
    )  # fmt: skip
    legs = call(given={"deploy": "${{ matrix.d }}"}, matrix={"d": [True, False]})
    assert Run(calling(inner, call=legs)).shown() == {
        "call (1)": "running",
        "call (1) / one": "queued",
        "call (1) / two": "skipped",
        "call (2)": "skipped",
        "call (2) / one": "skipped",
        "call (2) / two": "skipped",
    }


# What comes out


RESULTS: list[tuple[list[Result], bool, Result]] = [
    (["success", "success"], False, "success"),
    (["success", "failure"], False, "failure"),
    (["success", "failure"], True, "success"),
    (["success", "cancelled"], False, "cancelled"),
    (["cancelled", "failure"], False, "failure"),
    (["success", "skipped"], False, "success"),
    (["skipped", "skipped"], False, "skipped"),
]


@pytest.mark.parametrize(("ends", "softly", "expected"), RESULTS)
def test_the_result_of_a_call(ends: list[Result], softly: bool, expected: Result) -> None:
    run = Run(
        calling(callee(one=job(), two=job()), call=call(), after=job("call", condition="always()"))
    )
    for id_, result in zip(("one", "two"), ends, strict=True):
        run.finish(f"call / {id_}", result, failed_softly=softly and result == "failure")
    assert run.states["call"].result == expected
    assert needs_context(run.plan.jobs[-1], run.states)["call"]["result"] == expected
    assert run.shown()["after"] == "queued"


def test_outputs_come_from_the_jobs_inside() -> None:
    outputs = {
        "said": "${{ jobs.one.outputs.said }} ${{ jobs.one.result }} ${{ inputs.a }}",
        "fixed": "x",
    }
    inner = callee((Input("a"),), outputs, one=job(), two=job("one"))
    run = Run(calling(inner, call=call(given={"a": "in"}), after=job("call")))
    run.finish("call / one", outputs={"said": "hello"})
    assert run.shown()["after"] == "blocked"
    run.finish("call / two")
    assert needs_context(run.plan.jobs[-1], run.states) == {
        "call": {"result": "success", "outputs": {"said": "hello success in", "fixed": "x"}}
    }


def test_of_a_matrix_over_calls_the_later_output_counts_unless_it_is_empty() -> None:
    inner = callee(
        (), {"a": "${{ jobs.one.outputs.a }}", "b": "${{ jobs.one.outputs.b }}"}, one=job()
    )
    run = Run(calling(inner, call=call(matrix={"n": [1, 2]}), after=job("call")))
    run.finish("call (2) / one", outputs={"a": "2", "b": "2"})
    run.finish("call (1) / one", outputs={"a": "1", "b": ""})
    assert needs_context(run.plan.jobs[-1], run.states)["call"]["outputs"] == {"a": "1", "b": "2"}


def test_calls_that_end_in_one_decision_end_in_order() -> None:
    inner = callee((Input("n", "number"),), {"n": "${{ inputs.n }}"}, one=job(condition="false"))
    legs = call(given={"n": "${{ matrix.n }}"}, matrix={"n": [1, 2, 3]})
    run = Run(calling(inner, call=legs, after=job("call", condition="always()")))
    run.decide()
    assert needs_context(run.plan.jobs[-1], run.states)["call"]["outputs"] == {"n": "3"}


def test_an_output_that_cannot_be_evaluated_fails_the_call() -> None:
    inner = callee((), {"a": "${{ fromJSON(jobs.one.outputs.a) }}"}, one=job())
    run = Run(calling(inner, call=call(), after=job("call")))
    run.finish("call / one", outputs={"a": "{"})
    assert (run.shown()["call"], run.shown()["after"]) == ("failure", "skipped")
    assert run.ended["call"].reason.startswith("output `a`: ")


# Who waits for whom


def test_needs_and_status_functions_look_at_the_called_pipeline_alone() -> None:
    inner = callee(build=job(), test=job("build"), rescue=job("build", condition="failure()"))
    definition = calling(
        inner, build=job(), call=call("x.yaml", "build", condition="always()"), after=job("call")
    )
    run = Run(definition)
    run.finish("build", "failure")
    assert run.shown()["call / build"] == "queued", "the failure is outside"
    run.finish("call / build", "failure")
    assert (run.shown()["call / test"], run.shown()["call / rescue"]) == ("skipped", "queued")
    run.finish("call / rescue")
    assert (run.shown()["call"], run.shown()["after"]) == ("failure", "skipped")
    assert run.result == "failure"


@pytest.mark.parametrize(
    ("condition", "fate"), [(None, "skipped"), ("always()", "running"), ("false", "skipped")]
)
def test_the_condition_of_a_call_decides_about_all_of_it(condition: Any, fate: str) -> None:
    run = Run(calling(CHAIN, a=job(), call=call("x.yaml", "a", condition=condition)))
    run.finish("a", "failure")
    assert run.shown()["call"] == fate
    assert ("call / one" in run.shown()) == (fate == "running")


def test_max_parallel_counts_calls_and_not_the_jobs_in_them() -> None:
    run = Run(calling(CHAIN, call=call(matrix={"n": [1, 2, 3]}, max_parallel=2)))
    assert [run.shown()[f"call ({n})"] for n in (1, 2, 3)] == ["running", "running", "blocked"]
    run.finish("call (1) / one")
    assert run.shown()["call (3)"] == "blocked"
    run.finish("call (1) / two")
    assert run.shown()["call (3) / one"] == "queued"


def test_a_job_inside_may_have_a_matrix_from_another_one() -> None:
    late = job("one", matrix={"n": "${{ fromJSON(needs.one.outputs.all) }}"})
    run = Run(calling(callee(one=job(), two=late), call=call()))
    run.finish("call / one", outputs={"all": "[1, 2]"})
    assert {"call / two (1)", "call / two (2)"} < set(run.shown())


# Cancelling


def test_fail_fast_stops_the_calls_beside() -> None:
    clean = job("one", condition="always()")
    run = Run(calling(callee(one=job(), clean=clean), call=call(matrix={"n": [1, 2]})))
    run.lease("call (2) / one")
    run.finish("call (1) / one", "failure")
    assert run.shown()["call (1)"] == "running", "it still cleans"
    decision = run.finish("call (1) / clean")
    decision = run.decide()
    assert decision.cancel == {"call (2) / one": "`call (1)` failed, and `fail-fast` is on"}
    run.end("call (2) / one", "cancelled")
    run.decide()
    assert run.shown()["call (2) / clean"] == "queued", "what runs always runs here too"
    run.finish("call (2) / clean")
    assert (run.shown()["call (2)"], run.result) == ("cancelled", "failure")


def test_without_fail_fast_the_calls_beside_go_on() -> None:
    run = Run(calling(CHAIN, call=call(matrix={"n": [1, 2]}, fail_fast=False)))
    run.finish("call (1) / one", "failure")
    assert run.decide().cancel == {}
    assert run.shown()["call (2) / one"] == "queued"


def test_with_one_call_at_a_time_none_starts_after_one_that_failed() -> None:
    run = Run(calling(callee(one=job()), call=call(matrix={"n": [1, 2]}, max_parallel=1)))
    run.finish("call (1) / one", "failure")
    assert run.shown() == {
        "call (1)": "failure",
        "call (1) / one": "failure",
        "call (2)": "cancelled",
    }


def test_cancelling_a_run_goes_all_the_way_down() -> None:
    inner = callee(one=job(), two=job("one"), clean=job("one", condition="always()"))
    middle = callee(deep=call("y.yaml"), late=call("y.yaml", "deep"))
    run = Run(calling({"x.yaml": middle, "y.yaml": inner}, top=call(), after=job("top")))
    run.lease("top / deep / one")
    decision = run.cancel()
    assert decision.cancel["top / deep / one"] == "the run was cancelled"
    assert run.shown()["top / deep / one"] == "running"
    run.end("top / deep / one", "cancelled")
    run.decide()
    assert run.shown() == {
        "top": "running",
        "top / deep": "running",
        "top / deep / one": "cancelled",
        "top / deep / two": "cancelled",
        "top / deep / clean": "queued",
        "top / late": "cancelled",
        "after": "cancelled",
    }
    run.finish("top / deep / clean")
    assert (run.shown()["top"], run.result) == ("cancelled", "cancelled")


def test_a_call_whose_condition_outlives_cancelling_goes_on_whole() -> None:
    run = Run(calling(CHAIN, a=job(), call=call("x.yaml", "a", condition="always()")))
    run.cancel()
    run.decide()
    assert run.shown()["call / one"] == "queued"
    run.finish("call / one")
    assert run.shown()["call / two"] == "queued"


# Nesting and size


def test_calls_within_calls_end_from_the_inside_out() -> None:
    inner = callee((), {"v": "${{ jobs.one.outputs.v }}"}, one=job())
    middle = callee((), {"v": "${{ jobs.deep.outputs.v }}!"}, deep=call("y.yaml"))
    run = Run(calling({"x.yaml": middle, "y.yaml": inner}, top=call(), after=job("top")))
    run.finish("top / deep / one", outputs={"v": "value"})
    assert run.states["top"].outputs == {"v": "value!"}
    assert run.shown()["after"] == "queued"


def test_calls_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    files = {
        f"{n}.yaml": callee(again=call(f"{n + 1}.yaml", matrix={"n": list(range(20))}, fail_fast=False))
        for n in range(8)
    }  # fmt: skip
    files["8.yaml"] = callee(one=job())
    began = time.perf_counter()
    run = Run(calling(files, top=call("0.yaml")))
    assert len(run.plan.jobs) <= 2 * MOST_JOBS_IN_CALLS
    assert any("can have 10000 jobs together" in reason for reason in run.reasons.values())
    assert time.perf_counter() - began < 20


def test_a_thousand_calls_are_planned_quickly() -> None:
    jobs = {f"j{i}": call() for i in range(1000)}
    began = time.perf_counter()
    assert len(plan(calling(CHAIN, **jobs), CONTEXTS).jobs) == 3000
    assert time.perf_counter() - began < 2


# Everything at once


@st.composite
def families(draw: st.DrawFn) -> Pipeline:
    """A pipeline that calls others, which call the next."""
    files: dict[str, Pipeline] = {}
    for level in range(draw(st.integers(1, 3))):
        jobs: dict[str, Job] = {}
        for i in range(draw(st.integers(1, 4))):
            needs = draw(st.lists(st.sampled_from(sorted(jobs)), unique=True)) if jobs else []
            written = job(
                *needs,
                condition=draw(CONDITIONS),
                matrix=draw(MATRICES),
                fail_fast=draw(st.booleans()),
                max_parallel=draw(st.sampled_from([None, 1])),
            )
            target = draw(st.sampled_from(["", *sorted(files)]))
            jobs[f"j{i}"] = replace(written, call=Call("", target) if target else None)
        outputs: list[dict[str, str]] = [
            {},
            {"o": "${{ jobs.j0.result }}"},
            {"o": "${{ fromJSON('x') }}"},
        ]
        files[f"{level}.yaml"] = callee((), draw(st.sampled_from(outputs)), **jobs)
    return replace(files[f"{level}.yaml"], called=files)


@settings(max_examples=150, deadline=None)
@given(definition=families(), data=st.data())
def test_every_run_with_calls_comes_to_its_end(definition: Pipeline, data: st.DataObject) -> None:
    run = Run(definition)
    for _ in range(2000):
        run.settle()
        if run.result is not None:
            break
        check_what_runs(run)
        act(run, data)
    assert run.result is not None
    assert all(state.state == "finished" for state in run.states.values())
