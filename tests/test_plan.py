"""Planning and deciding: what starts, expands, is skipped, fails or is cancelled; the result."""

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import InvalidInputError
from runner.events import Result
from runner.model import Job, Pipeline, Strategy
from runner.plan import (
    CallEnd,
    Decision,
    JobState,
    Plan,
    PlannedJob,
    State,
    caller_of,
    expanded,
    filter_legs,
    from_json,
    needs_context,
    plan,
    ready,
    select,
    strategy_context,
    to_json,
)

CONTEXTS = {"github": {"ref": "main"}, "inputs": {"deploy": True, "n": 2}, "vars": {}}


def job(
    *needs: str,
    condition: Any = None,
    matrix: Any = None,
    fail_fast: Any = True,
    max_parallel: Any = None,
    name: str | None = None,
    whole: str | None = None,
) -> Job:
    strategy = Strategy(matrix, fail_fast, max_parallel) if matrix is not None else whole
    return Job("", (), needs=needs, condition=condition, strategy=strategy, name=name)


def pipeline(**jobs: Job) -> Pipeline:
    return Pipeline(
        "p.yaml", {id_: replace(j, id=id_, path=("jobs", id_)) for id_, j in jobs.items()}
    )


class Run:
    """A run that applies decisions as a queue does, in memory."""

    def __init__(
        self, definition: Pipeline, only: Mapping[str, set[str]] | None = None, **contexts: Any
    ) -> None:
        self.definition = definition
        self.contexts = {**CONTEXTS, **contexts}
        self.plan = plan(definition, self.contexts, only)
        self.states: dict[str, JobState] = {}
        self.cancelled = False
        self.result: Result | None = None
        self.reasons: dict[str, str] = {}
        self.ended: dict[str, CallEnd] = {}
        self.decide()

    def decide(self) -> Decision:
        decision = ready(self.definition, self.plan, self.states, self.contexts, self.cancelled)
        for key in (*decision.expand, *decision.enter):
            self.states.pop(key, None)
        self.plan = expanded(self.plan, decision)
        self.states = {leg.key: self.state(leg) for leg in self.plan.jobs}
        for key in decision.start:
            self.change(key, state="queued")
        for key in decision.skip:
            self.end(key, "skipped")
        for key in decision.fail:
            self.end(key, "failure")
        for key in decision.cancel:
            if self.states[key].state != "running":
                self.end(key, "cancelled")
        for key, ended in decision.finish.items():
            self.end(key, ended.result, outputs=ended.outputs)
        self.ended |= decision.finish
        self.reasons |= {**decision.fail, **decision.cancel}
        self.result = decision.result
        return decision

    def settle(self) -> None:
        """Decides until nothing follows."""
        before = None
        while self.states != before:
            before = self.states
            self.decide()

    def state(self, leg: PlannedJob) -> JobState:
        state: State = "blocked" if leg.inputs is None else "running"
        return self.states.get(leg.key, JobState(leg.key, leg.job, state))

    def change(self, key: str, **values: Any) -> None:
        self.states[key] = replace(self.states[key], **values)

    def end(self, key: str, result: Result, **values: Any) -> None:
        assert self.states[key].state != "finished", f"{key} ends twice"
        order = 1 + max(state.finished_order for state in self.states.values())
        self.change(key, state="finished", result=result, finished_order=order, **values)

    def lease(self, key: str) -> None:
        assert self.states[key].state == "queued", f"{key} is {self.states[key].state}"
        self.change(key, state="running")

    def finish(self, key: str, result: Result = "success", **values: Any) -> Decision:
        self.lease(key)
        self.end(key, result, **values)
        return self.decide()

    def cancel(self) -> Decision:
        self.cancelled = True
        return self.decide()

    def shown(self) -> dict[str, str]:
        return {key: state.result or state.state for key, state in self.states.items()}

    def names(self) -> dict[str, str]:
        return {leg.key: leg.name for leg in self.plan.jobs}


def keys(planned: Plan) -> list[str]:
    return [leg.key for leg in planned.jobs]


# The first plan


def test_a_static_matrix_without_needs_is_expanded_at_once() -> None:
    first = plan(pipeline(build=job(matrix={"os": ["a", "b"]}, max_parallel=1)), CONTEXTS)
    assert first.jobs == (
        PlannedJob("build (1)", "build", "build (a)", (), {"os": "a"}, 0, 2, True, 1),
        PlannedJob("build (2)", "build", "build (b)", (), {"os": "b"}, 1, 2, True, 1),
    )


def test_a_job_with_needs_is_a_placeholder() -> None:
    first = plan(pipeline(a=job(), b=job("a", matrix={"n": [1, 2]}, name="B")), CONTEXTS)
    assert first.jobs == (
        PlannedJob("a", "a", "a"),
        PlannedJob("b", "b", "B", ("a",), expanded=False),
    )


def test_jobs_come_after_what_they_need_otherwise_in_the_order_of_the_file() -> None:
    first = plan(pipeline(d=job("b"), c=job(), b=job("c"), a=job()), CONTEXTS)
    assert keys(first) == ["c", "b", "d", "a"]


def test_needs_ignore_case() -> None:
    assert plan(pipeline(Build=job(), test=job("bUILD")), CONTEXTS).jobs[1].needs == ("Build",)


def test_a_job_whose_condition_is_false_stays_one_placeholder() -> None:
    definition = pipeline(a=job(condition="inputs.deploy == false", matrix={"n": [1, 2]}))
    assert keys(plan(definition, CONTEXTS)) == ["a"]
    assert Run(definition).shown() == {"a": "skipped"}


def test_needs_that_lead_nowhere_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="`test` needs `biuld`") as caught:
        plan(pipeline(build=job(), test=job("biuld")), CONTEXTS)
    assert caught.value.hint == "did you mean `build`?"


def test_needs_in_a_circle_are_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        plan(pipeline(a=job("b"), b=job("c"), c=job("a"), d=job()), CONTEXTS)
    circle = caught.value.message.partition("circle: ")[2].split(" -> ")
    assert set(itertools.pairwise(circle)) == {("a", "b"), ("b", "c"), ("c", "a")}


def test_a_plan_survives_json() -> None:
    definition = pipeline(a=job(matrix={"n": [1, {"x": [None]}]}), b=job("a"))
    first = plan(definition, CONTEXTS, {"n": {"1"}})
    assert from_json(json.loads(json.dumps(to_json(first)))) == first


NAMES = [
    (job(), ["x"]),
    (job(name="Test"), ["Test"]),
    (job(name="Test", matrix={"v": [1, 2]}), ["Test (1)", "Test (2)"]),
    (job(name="T ${{ matrix.v }}", matrix={"v": [1, 2]}), ["T 1", "T 2"]),
    (job(name="${{ matrix.v }}", matrix={"v": [1.5]}), ["1.5"]),
    (job(name="${{ matrix.w }}", matrix={"v": [1]}), ["x"]),
    (
        job(name="${{ strategy.job-index }}/${{ strategy.job-total }}", matrix={"v": [1, 2]}),
        ["0/2", "1/2"],
    ),
    (job(name="on ${{ github.ref }}"), ["on main"]),
]


@pytest.mark.parametrize(("definition", "names"), NAMES)
def test_names(definition: Job, names: list[str]) -> None:
    assert [leg.name for leg in plan(pipeline(x=definition), CONTEXTS).jobs] == names


def test_fail_fast_and_max_parallel_may_be_expressions() -> None:
    definition = job(
        matrix="${{ fromJSON('{\"n\": [1, 2, 3]}') }}",
        fail_fast="${{ !inputs.deploy }}",
        max_parallel="${{ inputs.n }}",
    )
    first = plan(pipeline(x=definition), CONTEXTS)
    assert [(leg.fail_fast, leg.max_parallel) for leg in first.jobs] == [(False, 2)] * 3


def test_a_strategy_may_be_one_expression() -> None:
    written = '{"matrix": {"n": [1, "${{ 2 }}"]}, "fail-fast": false, "max-parallel": 1}'
    run = Run(pipeline(a=job(), x=job("a", whole="${{ fromJSON(needs.a.outputs.strategy) }}")))
    decision = run.finish("a", outputs={"strategy": written})
    legs = decision.expand["x"]
    assert [leg.matrix for leg in legs] == [{"n": 1}, {"n": "${{ 2 }}"}]
    assert [(leg.fail_fast, leg.max_parallel) for leg in legs] == [(False, 1)] * 2
    assert decision.start == ("x (1)",)


def test_a_strategy_from_an_expression_may_have_no_matrix() -> None:
    [only] = plan(pipeline(x=job(whole="${{ fromJSON('{\"max-parallel\": 3}') }}")), CONTEXTS).jobs
    assert (only.key, only.matrix, only.max_parallel) == ("x", None, 3)


def test_the_strategy_context() -> None:
    limited, free = (
        plan(pipeline(x=job(matrix={"n": [1, 2]}, max_parallel=limit)), CONTEXTS).jobs[1]
        for limit in (1, -1)
    )
    shown = {"fail-fast": True, "job-index": 1, "job-total": 2}
    assert strategy_context(limited) == {**shown, "max-parallel": 1}
    assert strategy_context(free) == {**shown, "max-parallel": 2}


# A part of a pipeline


def test_select_takes_a_job_and_all_it_needs() -> None:
    definition = pipeline(a=job(), b=job("A"), c=job("b"), d=job("a"), e=job())
    assert list(select(definition, {"C"}).jobs) == ["a", "b", "c"]
    assert list(select(definition, {"d", "e"}).jobs) == ["a", "d", "e"]


def test_select_refuses_an_unknown_job() -> None:
    with pytest.raises(InvalidInputError, match="`biuld`") as caught:
        select(pipeline(build=job()), {"biuld"})
    assert caught.value.hint == "did you mean `build`?"


FILTERS: list[tuple[dict[str, set[str]], list[str]]] = [
    ({}, ["x (1)", "x (2)", "x (3)", "x (4)"]),
    ({"os": {"a"}}, ["x (1)", "x (2)"]),
    ({"os": {"a"}, "n": {"3.10"}}, ["x (2)"]),
    ({"n": {"1", "3.1"}}, ["x (1)", "x (2)", "x (3)", "x (4)"]),
    ({"other": {"1"}}, ["x (1)", "x (2)", "x (3)", "x (4)"]),
    ({"os": {"c"}}, []),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS)
def test_filter_legs(wanted: dict[str, set[str]], expected: list[str]) -> None:
    legs = plan(pipeline(x=job(matrix={"os": ["a", "b"], "n": [1, 3.1]})), CONTEXTS).jobs
    assert [leg.key for leg in filter_legs(legs, wanted)] == expected


def test_a_filter_also_holds_for_a_matrix_that_is_expanded_later() -> None:
    run = Run(pipeline(a=job(), b=job("a", matrix={"n": [1, 2]})), {"n": {"2"}})
    assert run.finish("a").start == ("b (2)",)
    assert run.finish("b (2)").result == "success"


def test_a_filter_that_leaves_nothing_fails_the_job() -> None:
    run = Run(pipeline(x=job(matrix={"n": [1, 2]})), {"n": {"3"}})
    assert run.shown() == {"x": "failure"}
    assert "no leg" in run.reasons["x"]


def test_a_filter_for_a_name_that_no_matrix_has_is_refused() -> None:
    definition = pipeline(
        x=job(matrix={"n": [1], "include": [{"o": 2}]}), y=job("x", matrix={"p": [1]})
    )
    with pytest.raises(InvalidInputError, match="no matrix has a `m`") as caught:
        plan(definition, CONTEXTS, {"n": {"1"}, "m": {"1"}})
    assert caught.value.hint == "there is: n, o, p"
    with pytest.raises(InvalidInputError, match="no matrix has a `m`"):
        plan(pipeline(x=job()), CONTEXTS, {"m": {"1"}})


@pytest.mark.parametrize(
    "matrix",
    [
        "${{ fromJSON('{}') }}",
        {"${{ 'm' }}": [1]},
        {"include": "${{ fromJSON('[]') }}"},
        {"include": ["${{ fromJSON('{}') }}"]},
    ],
)
def test_a_filter_may_name_what_an_expression_brings(matrix: Any) -> None:
    definition = pipeline(x=job(), y=job("x", matrix=matrix))
    assert keys(plan(definition, CONTEXTS, {"m": {"1"}})) == ["x", "y"]


def test_a_filter_may_name_what_a_whole_strategy_brings() -> None:
    definition = pipeline(x=job(), y=job("x", whole="${{ fromJSON('{}') }}"))
    assert keys(plan(definition, CONTEXTS, {"m": {"1"}})) == ["x", "y"]


# What starts


def test_a_job_starts_the_moment_its_own_needs_are_finished() -> None:
    run = Run(pipeline(slow=job(), fast=job(), after=job("fast"), last=job("slow", "after")))
    assert run.shown() == {
        "slow": "queued",
        "fast": "queued",
        "after": "blocked",
        "last": "blocked",
    }
    assert run.finish("fast").start == ("after",)
    assert run.finish("after").start == ()
    assert run.finish("slow").start == ("last",)
    assert run.finish("last").result == "success"


def test_a_job_that_needs_a_matrix_waits_for_all_its_legs() -> None:
    run = Run(pipeline(a=job(matrix={"n": [1, 2]}), b=job("a")))
    assert run.finish("a (2)").start == ()
    assert run.finish("a (1)").start == ("b",)


def test_a_matrix_from_the_output_of_another_job() -> None:
    matrix = "${{ fromJSON(needs.list.outputs.matrix) }}"
    run = Run(pipeline(list=job(), each=job("list", matrix=matrix, max_parallel=2)))
    decision = run.finish("list", outputs={"matrix": '{"n": [7, 8, 9]}'})
    assert decision.start == ("each (1)", "each (2)")
    assert run.names() == {
        "list": "list",
        "each (1)": "each (7)",
        "each (2)": "each (8)",
        "each (3)": "each (9)",
    }
    assert run.shown()["each (3)"] == "blocked"


def test_a_name_from_the_output_of_another_job() -> None:
    run = Run(pipeline(a=job(), b=job("a", name="Deploy ${{ needs.a.outputs.v }}")))
    assert run.names()["b"] == "b"
    run.finish("a", outputs={"v": "1.2"})
    assert run.names()["b"] == "Deploy 1.2"


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_without_max_parallel_all_legs_start(limit: int | None) -> None:
    run = Run(pipeline(a=job(matrix={"n": [1, 2, 3]}, max_parallel=limit)))
    assert set(run.shown().values()) == {"queued"}


def test_max_parallel_promotes_in_order() -> None:
    run = Run(pipeline(a=job(matrix={"n": [1, 2, 3, 4]}, max_parallel=2)))
    assert [key for key, state in run.shown().items() if state == "queued"] == ["a (1)", "a (2)"]
    assert run.finish("a (2)").start == ("a (3)",)
    run.lease("a (1)")
    assert run.decide().start == ()
    assert run.finish("a (3)").start == ("a (4)",)


# Conditions, of c that needs b that needs a: result of a, `if` of b, `if` of c -> what c becomes

GRANDCHILD: list[tuple[Result, str | None, Any, str]] = [
    ("success", None, None, "queued"),
    ("success", None, "", "queued"),
    ("success", None, False, "skipped"),
    ("success", None, "false", "skipped"),
    ("success", None, "${{ needs.b.outputs.x == 'y' }}", "skipped"),
    ("success", None, "needs.b.result == 'success'", "queued"),
    ("success", None, "failure()", "skipped"),
    ("success", None, "cancelled()", "skipped"),
    ("failure", None, None, "skipped"),
    ("failure", None, "failure()", "queued"),
    ("failure", None, "always()", "queued"),
    ("failure", None, "!cancelled()", "queued"),
    ("failure", None, "needs.b.result == 'skipped'", "skipped"),
    ("failure", None, "always() && needs.b.result == 'skipped'", "queued"),
    ("failure", None, "failure('a')", "queued"),
    ("failure", None, "failure('b')", "skipped"),
    ("failure", "always()", None, "skipped"),
    ("failure", "always()", "success('b')", "queued"),
    ("failure", "always()", "success('a', 'b')", "skipped"),
    ("failure", "always()", "failure('A', 'b')", "queued"),
    ("failure", "always()", "needs.b.result == 'success'", "skipped"),
    ("success", "false", None, "skipped"),
    ("success", "false", "!failure()", "queued"),
    ("success", "false", "success('a')", "queued"),
    ("success", "false", "success()", "skipped"),
    ("cancelled", None, None, "skipped"),
    ("cancelled", None, "failure()", "skipped"),
    ("cancelled", None, "always()", "queued"),
]


@pytest.mark.parametrize(("a", "if_b", "if_c", "fate"), GRANDCHILD)
def test_conditions_look_at_all_ancestors(
    a: Result, if_b: str | None, if_c: Any, fate: str
) -> None:
    run = Run(pipeline(a=job(), b=job("a", condition=if_b), c=job("b", condition=if_c)))
    run.finish("a", a)
    if run.states["b"].state == "queued":
        run.finish("b")
    assert run.shown()["c"] == fate


def test_a_soft_failure_counts_as_success() -> None:
    run = Run(pipeline(a=job(), b=job("a"), c=job("a", condition="needs.a.result == 'success'")))
    assert run.finish("a", "failure", failed_softly=True).start == ("b", "c")
    run.finish("b")
    assert run.finish("c").result == "success"


def test_skipping_spreads_within_one_decision() -> None:
    jobs = {f"j{i}": job(f"j{i - 1}") for i in range(1, 50)}
    run = Run(pipeline(j0=job(condition="false"), **jobs))
    assert set(run.shown().values()) == {"skipped"}
    assert run.result == "success"


def test_a_job_below_a_skipped_one_may_start_with_the_run() -> None:
    run = Run(pipeline(a=job(condition="false"), b=job("a", condition="always()")))
    assert run.shown() == {"a": "skipped", "b": "queued"}


FAILING = [
    (job("a", condition="fromJSON('nope')"), "if: "),
    (job("a", condition="success('other')"), "`x` does not need a job `other`"),
    (job("a", matrix="${{ fromJSON(needs.a.outputs.none) }}"), "strategy.matrix: "),
    (job("a", matrix="${{ needs.a.outputs.none }}"), "strategy.matrix: the matrix must be"),
    (job("a", matrix={"n": "${{ fromJSON('[]') }}"}), "strategy.matrix: `n` has no values"),
    (job("a", matrix={"n": [1], "exclude": [{"n": 1}]}), "removes every combination"),
    (job("a", matrix={"n": [1]}, name="${{ fromJSON('') }}"), "name: "),
    (job("a", matrix={"n": [1]}, fail_fast="${{ 'true' }}"), "strategy: `fail-fast` must be"),
    (job("a", matrix={"n": [1]}, max_parallel="${{ 'two' }}"), "strategy: `max-parallel` must"),
    (job("a", matrix={"n": [1]}, max_parallel="${{ 1e999 }}"), "strategy"),
    (job("a", whole="${{ needs.a.outputs.none }}"), "strategy: the strategy must be a mapping"),
    (job("a", whole="${{ fromJSON('{\"matrx\": 1}') }}"), "did you mean `matrix`?"),
    (job("a", whole="${{ fromJSON('{\"matrix\": []}') }}"), "strategy.matrix: the matrix must"),
    (job("a", whole="${{ fromJSON('{\"fail-fast\": 1}') }}"), "strategy: `fail-fast` must be"),
]


@pytest.mark.parametrize(("failing", "message"), FAILING)
def test_what_cannot_be_evaluated_fails_the_job_alone(failing: Job, message: str) -> None:
    definition = pipeline(
        a=job(), other=job(), x=failing, after=job("x", condition="failure()"), below=job("x")
    )
    run = Run(definition)
    assert run.finish("a").start == ("after",)
    assert run.shown() == {
        "a": "success",
        "other": "queued",
        "x": "failure",
        "after": "queued",
        "below": "skipped",
    }
    assert message in run.reasons["x"]
    run.finish("other")
    assert run.finish("after").result == "failure"


def test_what_cannot_be_evaluated_without_needs_fails_the_job_too() -> None:
    run = Run(pipeline(x=job(condition="fromJSON('nope')")))
    assert (run.shown(), run.result) == ({"x": "failure"}, "failure")


# Matrices: fail-fast, results, outputs


def test_fail_fast_cancels_siblings_and_names_the_cause() -> None:
    run = Run(pipeline(a=job(matrix={"n": [1, 2, 3, 4]}, max_parallel=3), b=job()))
    run.lease("a (1)")
    decision = run.finish("a (2)", "failure")
    reason = "`a (2)` failed, and `fail-fast` is on"
    assert decision.cancel == dict.fromkeys(["a (1)", "a (3)", "a (4)"], reason)
    assert decision.start == ()
    assert run.shown() == {
        "a (1)": "running",
        "a (2)": "failure",
        "a (3)": "cancelled",
        "a (4)": "cancelled",
        "b": "queued",
    }
    run.end("a (1)", "cancelled")
    assert run.decide().result is None
    assert run.finish("b").result == "failure"


def test_fail_fast_names_the_leg_that_failed_first() -> None:
    run = Run(pipeline(a=job(matrix={"os": ["linux", "bsd", "hurd"]})))
    for leg in ("a (3)", "a (2)", "a (1)"):
        run.lease(leg)
    run.end("a (3)", "failure")
    run.end("a (2)", "failure")
    assert run.decide().cancel == {"a (1)": "`a (hurd)` failed, and `fail-fast` is on"}


@pytest.mark.parametrize(("fail_fast", "soft"), [(False, False), (True, True)])
def test_siblings_go_on_without_fail_fast_or_after_a_soft_failure(
    fail_fast: bool, soft: bool
) -> None:
    run = Run(pipeline(a=job(matrix={"n": [1, 2]}, fail_fast=fail_fast)))
    assert run.finish("a (1)", "failure", failed_softly=soft).cancel == {}
    assert run.finish("a (2)").result == ("success" if soft else "failure")


LEGS: list[tuple[list[tuple[Result, bool]], Result]] = [
    ([("success", False), ("success", False)], "success"),
    ([("success", False), ("failure", False)], "failure"),
    ([("success", False), ("failure", True)], "success"),
    ([("failure", True), ("failure", True)], "success"),
    ([("cancelled", False), ("failure", False)], "failure"),
    ([("cancelled", False), ("success", False)], "cancelled"),
    ([("skipped", False), ("success", False)], "success"),
    ([("skipped", False), ("skipped", False)], "skipped"),
]


@pytest.mark.parametrize(("legs", "result"), LEGS)
def test_the_result_of_a_matrix(legs: list[tuple[Result, bool]], result: Result) -> None:
    states = {
        f"a ({i})": JobState(f"a ({i})", "a", "finished", leg, failed_softly=soft)
        for i, (leg, soft) in enumerate(legs)
    }
    planned = plan(pipeline(a=job(), b=job("A")), CONTEXTS).jobs
    assert needs_context(planned[1], states) == {"a": {"result": result, "outputs": {}}}


def test_outputs_of_legs_merge_in_the_order_of_finishing() -> None:
    run = Run(pipeline(a=job(matrix={"n": [1, 2, 3]}), b=job("a"), c=job("b")))
    run.finish("a (2)", outputs={"x": "2", "only": "here", "empty": ""})
    run.finish("a (1)", outputs={"x": "1", "y": "1"})
    run.finish("a (3)", outputs={"x": "", "y": "3"})
    merged = {"x": "1", "only": "here", "empty": "", "y": "3"}
    *_, b, _ = run.plan.jobs
    assert needs_context(b, run.states) == {"a": {"result": "success", "outputs": merged}}
    assert needs_context(run.plan.jobs[0], run.states) == {}


# Cancelling

CANCELLED: list[tuple[Any, str]] = [
    (None, "cancelled"),
    ("true", "cancelled"),
    ("success()", "cancelled"),
    ("failure()", "cancelled"),
    ("failure('a')", "cancelled"),
    ("!cancelled()", "cancelled"),
    ("always()", "queued"),
    ("cancelled()", "queued"),
    ("always() && inputs.deploy", "queued"),
    ("cancelled() && !inputs.deploy", "cancelled"),
    ("cancelled() && needs.a.result == 'failure'", "queued"),
    ("cancelled() && needs.a.result == 'success'", "cancelled"),
    ("cancelled() && fromJSON('nope')", "cancelled"),
]


@pytest.mark.parametrize(("condition", "fate"), CANCELLED)
def test_a_blocked_job_when_the_run_is_cancelled(condition: Any, fate: str) -> None:
    run = Run(pipeline(a=job(), b=job("a", condition=condition)))
    run.lease("a")
    decision = run.cancel()
    assert decision.cancel["a"] == "the run was cancelled"
    assert run.shown()["b"] in ("blocked", "cancelled")
    run.end("a", "failure")
    run.decide()
    assert run.shown()["b"] == fate


def test_failure_does_not_hold_in_a_cancelled_run() -> None:
    run = Run(pipeline(a=job(), slow=job(), b=job("a", "slow", condition="failure()")))
    run.finish("a", "failure")
    run.lease("slow")
    run.cancel()
    assert run.shown()["b"] == "cancelled"


def test_a_blocked_job_is_cancelled_at_once_where_nothing_can_save_it() -> None:
    run = Run(pipeline(a=job(), b=job("a"), c=job("b", condition="always()")))
    run.lease("a")
    run.cancel()
    assert run.shown() == {"a": "running", "b": "cancelled", "c": "queued"}


def test_queued_and_running_jobs_when_the_run_is_cancelled() -> None:
    saved = {"condition": "always()"}
    run = Run(pipeline(q=job(), r=job(), saved_q=job(**saved), saved_r=job(**saved)))
    run.lease("r")
    run.lease("saved_r")
    assert set(run.cancel().cancel) == {"q", "r"}
    assert run.shown() == {
        "q": "cancelled",
        "r": "running",
        "saved_q": "queued",
        "saved_r": "running",
    }
    assert set(run.decide().cancel) == {"r"}
    run.end("r", "cancelled")
    run.end("saved_r", "success")
    assert run.finish("saved_q").result == "cancelled"


def test_legs_that_outlive_cancelling_still_respect_max_parallel() -> None:
    run = Run(pipeline(a=job(matrix={"n": [1, 2]}, max_parallel=1, condition="always()")))
    run.cancel()
    assert run.finish("a (1)").start == ("a (2)",)
    assert run.finish("a (2)").result == "success"


RESULTS: list[tuple[list[Result], Result]] = [
    ([], "success"),
    (["success", "skipped"], "success"),
    (["skipped", "skipped"], "success"),
    (["success", "cancelled", "skipped"], "cancelled"),
    (["cancelled", "failure"], "failure"),
]


@pytest.mark.parametrize(("results", "expected"), RESULTS)
def test_the_result_of_a_run(results: list[Result], expected: Result) -> None:
    definition = pipeline(**{f"j{i}": job() for i in range(len(results))})
    states = {
        f"j{i}": JobState(f"j{i}", f"j{i}", "finished", result) for i, result in enumerate(results)
    }
    decision = ready(definition, plan(definition, CONTEXTS), states, CONTEXTS)
    assert decision == Decision(result=expected)


# Whole runs of random pipelines

CONDITIONS = st.sampled_from(
    [
        None,
        "always()",
        "failure()",
        "!cancelled()",
        "cancelled()",
        "false",
        "fromJSON('nope')",
        "success() || failure()",
    ]
)
MATRICES: st.SearchStrategy[Any] = st.sampled_from(
    [None, {"n": [1, 2, 3]}, {"n": "${{ fromJSON('[1, 2]') }}"}, {"n": []}]
)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    jobs: dict[str, Job] = {}
    for i in range(draw(st.integers(0, 8))):
        needs = draw(st.lists(st.sampled_from(sorted(jobs)), unique=True)) if jobs else []
        jobs[f"j{i}"] = job(
            *needs,
            condition=draw(CONDITIONS),
            matrix=draw(MATRICES),
            fail_fast=draw(st.booleans()),
            max_parallel=draw(st.sampled_from([None, 1, 2])),
        )
    return pipeline(**dict(draw(st.permutations(list(jobs.items())))))


def check_what_runs(run: Run) -> None:
    going_on = {
        (caller_of(leg.key), leg.job)
        for leg in run.plan.jobs
        if run.states[leg.key].state != "finished"
    }
    for leg in run.plan.jobs:
        caller = caller_of(leg.key)
        if run.states[leg.key].state in ("queued", "running"):
            assert leg.expanded
            assert going_on.isdisjoint((caller, need) for need in leg.needs)
            assert not caller or run.states[caller].state == "running"
        active = [
            s
            for s in run.states.values()
            if (caller_of(s.key), s.job) == (caller, leg.job) and s.state in ("queued", "running")
        ]
        assert len(active) <= (leg.max_parallel or leg.total)


RUN_RESULTS: tuple[Result, ...] = ("success", "failure", "cancelled")


def act(run: Run, data: st.DataObject) -> None:
    """Let one thing happen that can: a lease, the end of a job, or (rarely) a cancel."""
    queued = [state.key for state in run.states.values() if state.state == "queued"]
    calls = {leg.key for leg in run.plan.jobs if leg.inputs is not None}
    running = [
        key for key, state in run.states.items() if state.state == "running" and key not in calls
    ]
    assert queued or running, f"stuck: {run.shown()}"
    key = data.draw(st.sampled_from(queued + running))
    if data.draw(st.integers(0, 19)) == 0:
        run.cancelled = True
    if key in queued:
        run.lease(key)
    else:
        result = data.draw(st.sampled_from(RUN_RESULTS))
        run.end(key, result, failed_softly=result == "failure" and data.draw(st.booleans()))
    run.decide()


@settings(max_examples=150, deadline=None)
@given(definition=pipelines(), data=st.data())
def test_every_run_comes_to_its_end(definition: Pipeline, data: st.DataObject) -> None:
    run = Run(definition)
    check_what_runs(run)
    for _ in range(200):
        if run.result is not None:
            break
        act(run, data)
        check_what_runs(run)
    assert run.result is not None
    assert all(state.state == "finished" for state in run.states.values())
    assert {leg.job for leg in run.plan.jobs} == set(definition.jobs)


# Size


def test_a_thousand_jobs_are_planned_and_decided_quickly() -> None:
    """Generous against the aim (a plan 0.1 s, a decision 5 ms), but refuses anything quadratic."""
    jobs = {
        f"j{i}": job(*(f"j{n}" for n in range(max(0, i - 3), i)), condition="always()")
        for i in range(1000)
    }
    definition = pipeline(**jobs)
    began = time.perf_counter()
    run = Run(definition)
    planned = time.perf_counter()
    for i in range(20):
        run.finish(f"j{i}")
    assert planned - began < 1
    assert time.perf_counter() - planned < 20 * 0.05
