"""What goes into a call and comes out of it: typed inputs, the jobs inside, outputs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from runner.errors import InvalidInputError, did_you_mean, quoted
from runner.events import Result
from runner.expressions import resolve, to_string
from runner.inputs import UNSET, misfit
from runner.model import Call, Input, Interface, Pipeline
from runner.plan.refusal import explained, naming
from runner.plan.values import CallEnd, Contexts, PlannedJob


def call_inputs(call: Call, interface: Interface, contexts: Contexts) -> dict[str, Any]:
    """The `inputs` context of the called pipeline; `contexts` are those of the job that calls.

    Raises InvalidInputError for an input that is not declared, is missing or has another type.
    """
    given = dict(_given(call, interface, contexts))
    values: dict[str, Any] = {}
    for each in interface.inputs:
        with naming(f"input `{each.name}`"):
            if each.name in given:
                values[each.name] = _typed(each, given[each.name])
            elif each.required:
                raise InvalidInputError("the called pipeline needs it")
            else:
                known = {name: contexts[name] for name in ("github", "vars") if name in contexts}
                default = resolve(each.default, {**known, "inputs": {**given, **values}})
                values[each.name] = _typed(each, default)
    return values


def called_by(pipeline: Pipeline, job: str) -> Pipeline:
    """The pipeline that the job with this id calls."""
    call = pipeline.jobs[job].call
    assert call is not None
    return replace(pipeline.called[call.target], called=pipeline.called)


def inside(pipeline: Pipeline, contexts: Contexts, call: PlannedJob) -> tuple[Pipeline, Contexts]:
    """The pipeline that a planned call is, and what holds in all of it."""
    return called_by(pipeline, call.job), {**contexts, "inputs": call.inputs}


def call_end(
    result: Result, interface: Interface, contexts: Contexts, jobs: Mapping[str, Any]
) -> CallEnd:
    """The end of a call whose jobs have this joint result; `contexts` are those inside of it."""
    outputs: dict[str, str] = {}
    inside = {**contexts, "jobs": jobs}
    try:
        for name, value in interface.outputs.items():
            with naming(f"output `{name}`"):
                outputs[name] = to_string(resolve(value, inside))
    except InvalidInputError as error:
        return CallEnd("failure", outputs, explained(error))
    return CallEnd(result, outputs)


def interface_of(pipeline: Pipeline) -> Interface:
    """What calls of the pipeline give and get. Raises InvalidInputError if it cannot be called."""
    if pipeline.interface is None:
        raise InvalidInputError(
            f"`{pipeline.file}` cannot be called", hint="it needs `workflow_call` in its `on`"
        )
    return pipeline.interface


def _given(call: Call, interface: Interface, contexts: Contexts) -> Iterator[tuple[str, Any]]:
    declared = {each.name.lower(): each.name for each in interface.inputs}
    for name, written in call.with_.items():
        if name.lower() not in declared:
            hint = did_you_mean(name, declared.values())
            raise InvalidInputError(f"the called pipeline has no input `{name}`", hint=hint)
        with naming(f"input `{name}`"):
            yield declared[name.lower()], resolve(written, contexts)


def _typed(declared: Input, value: Any) -> Any:
    wanted = misfit(declared.type, value)
    if wanted:
        shown = quoted(to_string(value))
        raise InvalidInputError(f"it must be {wanted}, not {shown}", hint=_advice(declared, value))
    if value is None:
        return UNSET.get(declared.type, "")
    if declared.type == "number" and math.isfinite(value) and value == int(value):
        return int(value)
    return to_string(value) if declared.type == "string" else value


def _advice(declared: Input, value: Any) -> str:
    return "`fromJSON` makes it one" if isinstance(value, str) and declared.type != "string" else ""
