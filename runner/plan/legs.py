"""From a job as written to what is planned of it: a placeholder, then all of it or its legs."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.errors import InvalidInputError, did_you_mean, quoted
from runner.expressions import equals, has_expression, resolve, to_string
from runner.matrix import Combination, display_name, expand
from runner.model import Job, Pipeline, Strategy
from runner.plan.graph import called_pipelines, needs_of, ordered
from runner.plan.refusal import naming
from runner.plan.values import INSIDE, Contexts, PlannedJob, strategy_context


def placeholders(pipeline: Pipeline, call: PlannedJob | None = None) -> tuple[PlannedJob, ...]:
    """All jobs of the pipeline, each after what it needs; `call` is what they belong to, if any.

    Raises InvalidInputError for `needs` that lead nowhere or in a circle.
    """
    needs = needs_of(pipeline)
    return tuple(_placeholder(pipeline.jobs[id_], needs[id_], call) for id_ in ordered(needs))


def legs_of(
    job: Job, placeholder: PlannedJob, call: PlannedJob | None, contexts: Contexts
) -> tuple[PlannedJob, ...]:
    """What the placeholder stands for. Raises InvalidInputError if that cannot be evaluated."""
    spread = _evaluated(job.strategy, contexts)
    whole = replace(
        placeholder,
        fail_fast=spread.fail_fast,
        max_parallel=spread.max_parallel,
        expanded=True,
    )
    if spread.combinations is None:
        return (_named(whole, job, "", call, contexts),)
    total = len(spread.combinations)
    return tuple(
        _named(_leg(whole, combination, index, total), job, combination.label, call, contexts)
        for index, combination in enumerate(spread.combinations)
    )


def filter_legs(
    legs: Iterable[PlannedJob], wanted: Mapping[str, Collection[str]]
) -> tuple[PlannedJob, ...]:
    """The legs that have, for each name in `wanted`, one of its values (given as text).

    A leg without that name is kept: the filter is meant for another job. Keys and indices stay.
    """
    return tuple(
        leg
        for leg in legs
        if all(
            _is_one_of(value, wanted[name])
            for name, value in (leg.matrix or {}).items()
            if name in wanted
        )
    )


def check_only(pipeline: Pipeline, only: Collection[str]) -> None:
    """Refuse a name that no matrix has, unless there is one that is only known when evaluated."""
    pipelines = (pipeline, *called_pipelines(pipeline).values())
    jobs = [job for each in pipelines for job in each.jobs.values()]
    strategies = [job.strategy for job in jobs if job.strategy]
    matrices = [each if isinstance(each, str) else each.matrix for each in strategies]
    names = [_matrix_names(matrix) for matrix in matrices if matrix is not None]
    known = {name for each in names for name in each or ()}
    if None in names or known.issuperset(only):
        return
    hint = f"there is: {', '.join(sorted(known))}" if known else "no job has a matrix"
    unknown = min(set(only) - known)
    raise InvalidInputError(f"no matrix has a `{unknown}`", hint=hint)


def _placeholder(job: Job, needs: tuple[str, ...], call: PlannedJob | None) -> PlannedJob:
    name = job.id if job.name is None or has_expression(job.name) else job.name
    key = f"{call.key}{INSIDE}{job.id}" if call else job.id
    return PlannedJob(key, job.id, _inside(call, display_name(name, "")), needs, expanded=False)


def _inside(call: PlannedJob | None, name: str) -> str:
    return f"{call.name}{INSIDE}{name}" if call else name


@dataclass(frozen=True, slots=True)
class _Spread:
    """A strategy's values; `combinations` is None where there is no matrix."""

    fail_fast: bool
    max_parallel: int | None
    combinations: tuple[Combination, ...] | None


def _evaluated(written: Strategy | str | None, contexts: Contexts) -> _Spread:
    if isinstance(written, str):
        # what an expression brings is data, in which `${{` means nothing
        return _spread(_brought(written, contexts), lambda value: value)
    return _spread(written or Strategy(), lambda value: resolve(value, contexts))


def _spread(strategy: Strategy, evaluate: Callable[[Any], Any]) -> _Spread:
    with naming("strategy"):
        fail_fast = _fail_fast(evaluate(strategy.fail_fast))
        max_parallel = _max_parallel(evaluate(strategy.max_parallel))
    with naming("strategy.matrix"):
        matrix = strategy.matrix
        combinations = None if matrix is None else expand(evaluate(matrix))
    return _Spread(fail_fast, max_parallel, combinations)


_STRATEGY_KEYS = ("matrix", "fail-fast", "max-parallel")


def _brought(expression: str, contexts: Contexts) -> Strategy:
    """The strategy that is the value of one expression."""
    with naming("strategy"):
        value = resolve(expression, contexts)
        if not isinstance(value, Mapping):
            raise InvalidInputError("the strategy must be a mapping")
        for key in value:
            if key not in _STRATEGY_KEYS:
                hint = did_you_mean(key, _STRATEGY_KEYS)
                raise InvalidInputError(f"it has no key {quoted(key)}", hint=hint)
    return Strategy(value.get("matrix"), value.get("fail-fast", True), value.get("max-parallel"))


def _leg(whole: PlannedJob, combination: Combination, index: int, total: int) -> PlannedJob:
    key = f"{whole.key} ({index + 1})"
    return replace(whole, key=key, matrix=combination.values, index=index, total=total)


def _named(
    leg: PlannedJob, job: Job, label: str, call: PlannedJob | None, contexts: Contexts
) -> PlannedJob:
    if job.name is None or not has_expression(job.name):
        return replace(leg, name=_inside(call, display_name(job.name or job.id, label)))
    of_leg = {**contexts, "matrix": leg.matrix, "strategy": strategy_context(leg)}
    with naming("name"):
        return replace(leg, name=_inside(call, to_string(resolve(job.name, of_leg)) or job.id))


def _fail_fast(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError("`fail-fast` must be true or false")
    return value


def _max_parallel(value: Any) -> int | None:
    """The limit; None for no limit, which GitHub also takes zero and less for."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInputError("`max-parallel` must be a number")
    return int(value) if value >= 1 else None


def _matrix_names(matrix: Any) -> set[str] | None:
    """The names in a matrix as written; None where they come from an expression."""
    if not isinstance(matrix, Mapping):
        return None
    includes = matrix.get("include") or []
    if isinstance(includes, str) or any(isinstance(entry, str) for entry in includes):
        return None
    names = set(matrix).union(*includes) - {"include", "exclude"}
    return None if any(has_expression(name) for name in names) else names


def _is_one_of(value: Any, texts: Collection[str]) -> bool:
    return any(to_string(value) == text or equals(value, text) for text in texts)
