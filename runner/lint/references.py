"""What expressions refer to: steps, needs, outputs, matrix keys and inputs that must exist."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from runner.errors import Problem, did_you_mean
from runner.lint import matrix
from runner.lint.calls import Called
from runner.lint.findings import finding, one_of
from runner.lint.inputs import EVENTS, declared
from runner.lint.properties import NEED, PROPERTIES, STEP
from runner.lint.uses import Use
from runner.model import Job, Path, Pipeline
from runner.parse import Gaps
from runner.source import Document

#: Code, message and hint of a finding that has no position yet.
Flaw = tuple[str, str, str]
#: The part of a reference that is known, without the context: `("build", "outputs")` of `needs`.
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What can be referred to in one job, or outside of all jobs; all keys in lower case.

    None, and inputs that are empty, mean that nothing is known: the file does not tell.
    """

    jobs: Mapping[str, Job]
    inputs: Mapping[str, str]
    #: The outputs that jobs declare, or the pipelines that they call; None where they are not known.
    outputs: Mapping[str, Collection[str] | None]
    job: Job | None = None
    needs: Collection[str] | None = None
    #: id of a step -> its index
    steps: Mapping[str, int] | None = field(default_factory=dict)
    matrix: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reference stands: its scope, and the index of its step if it is in one."""

    scope: Scope
    step: int | None


def check(
    pipeline: Pipeline, document: Document, uses: Iterable[Use], gaps: Gaps, called: Called
) -> Iterator[Problem]:
    """Every reference to something that does not exist, or not yet at that place."""
    scopes = _scopes(pipeline, document, gaps, called)
    for use in uses:
        place = _place(use.scalar.path, scopes)
        for reference in use.expression.references:
            context, *names = (name for name in reference.path if name is not None)
            if not names or context not in _FINDERS:
                continue
            if flaw := _FINDERS[context](tuple(names), place):
                code, message, hint = flaw
                position = use.position(document, reference.offset, reference.length)
                yield finding(code, message, position, hint)


def _scopes(pipeline: Pipeline, document: Document, gaps: Gaps, called: Called) -> dict[str, Scope]:
    """Job id -> its scope; the one outside of all jobs under the empty id."""
    jobs = {id_.lower(): job for id_, job in pipeline.jobs.items()}
    outputs = {id_: _outputs(job, gaps, called) for id_, job in jobs.items()}
    outside = Scope(jobs, _inputs(pipeline, gaps), outputs)
    return {"": outside} | {
        job.id: _scope(outside, job, document, gaps) for job in pipeline.jobs.values()
    }


def _inputs(pipeline: Pipeline, gaps: Gaps) -> dict[str, str]:
    if any(("on", event, "inputs") in gaps for event in EVENTS):
        return {}
    names = [str(path[-1]) for path, _ in declared(pipeline)]
    return {name.lower(): name for name in names}


def _outputs(job: Job, gaps: Gaps, called: Called) -> Collection[str] | None:
    if (*job.path, "outputs") in gaps or (*job.path, "uses") in gaps:
        return None
    if job.call is None:
        return job.outputs
    interface = called[job.call.target].interface if job.call.target in called else None
    return interface.outputs if interface else None


def _scope(outside: Scope, job: Job, document: Document, gaps: Gaps) -> Scope:
    steps = dict(reversed([*_step_ids(job, document)]))  # of two, the first one counts
    matrix_is_known = (*job.path, "strategy", "matrix") not in gaps
    return replace(
        outside,
        job=job,
        needs=None if (*job.path, "needs") in gaps else {need.lower() for need in job.needs},
        steps=None if (*job.path, "steps") in gaps else steps,
        matrix=matrix.keys(job.strategy) if matrix_is_known else None,
    )


def _step_ids(job: Job, document: Document) -> Iterator[tuple[str, int]]:
    """Each id that a step was given, and the index of that step or of the group around it."""
    for index, step in enumerate(job.steps):
        if step.named:
            yield step.id.lower(), index
        written = document.data["jobs"][job.id]["steps"][index]
        for member in written.get("parallel") or ():
            if "id" in member:
                yield member["id"].lower(), index


def _place(path: Path, scopes: Mapping[str, Scope]) -> Place:
    in_job = path[0] == "jobs" and len(path) > 1
    in_step = in_job and path[2] == "steps" and len(path) > 3
    return Place(scopes[str(path[1]) if in_job else ""], int(path[3]) if in_step else None)


def _step(names: Names, place: Place) -> Flaw | None:
    steps, job = place.scope.steps, place.scope.job
    if steps is None:
        return None
    index = steps.get(names[0].lower())
    if index is None or job is None:
        owner = f"job `{job.id}`" if job else "this place"
        hint = did_you_mean(names[0], steps)
        return "unknown-step-id", f"{owner} has no step with the id `{names[0]}`", hint
    if place.step is not None and index >= place.step:
        when = "is this very step" if index == place.step else "runs later"
        hint = "a step sees the results of those above it"
        return "unknown-step-id", f"step `{names[0]}` {when}, so it has no results yet", hint
    return _property(names, f"step `{names[0]}`", STEP)


def _need(names: Names, place: Place) -> Flaw | None:
    job, needs = place.scope.job, place.scope.needs
    if job is None or needs is None:
        return None
    if names[0].lower() not in needs:
        return "unknown-need", *_missing_need(names[0], job, place.scope)
    return _job(names, place)


def _missing_need(name: str, job: Job, scope: Scope) -> tuple[str, str]:
    if name.lower() in scope.jobs:
        return f"job `{job.id}` does not need `{name}`", f"add `{name}` to its `needs`"
    return f"there is no job `{name}`", did_you_mean(name, job.needs or scope.jobs)


def _job(names: Names, place: Place) -> Flaw | None:
    job = place.scope.jobs.get(names[0].lower())
    if job is None:
        hint = did_you_mean(names[0], place.scope.jobs)
        return "unknown-job", f"there is no job `{names[0]}`", hint
    if len(names) > 2 and names[1].lower() == "outputs":
        return _output(names[2], job, place.scope)
    return _property(names, f"job `{names[0]}`", NEED)


def _output(name: str, job: Job, scope: Scope) -> Flaw | None:
    declared = scope.outputs[job.id.lower()]
    if declared is None or name.lower() in {output.lower() for output in declared}:
        return None
    owner = f"`on.workflow_call` in `{job.call.target}`" if job.call else f"`{job.id}`"
    hint = f"declare it under `outputs:` of {owner}"
    if declared:
        hint = did_you_mean(name, declared) or f"it has {one_of(declared)}"
    return "unknown-output", f"job `{job.id}` has no output `{name}`", hint


def _property(names: Names, owner: str, known: Collection[str]) -> Flaw | None:
    if len(names) < 2 or names[1].lower() in known:
        return None
    hint = did_you_mean(names[1], known) or f"it has {one_of(known)}"
    return "unknown-property", f"{owner} has no `{names[1]}`", hint


def _matrix(names: Names, place: Place) -> Flaw | None:
    job, keys = place.scope.job, place.scope.matrix
    if job is None or keys is None or names[0].lower() in {key.lower() for key in keys}:
        return None
    if not keys:
        return "unknown-matrix-key", f"job `{job.id}` has no matrix", ""
    hint = did_you_mean(names[0], keys) or f"it has {one_of(sorted(keys))}"
    return "unknown-matrix-key", f"the matrix of job `{job.id}` has no `{names[0]}`", hint


def _input(names: Names, place: Place) -> Flaw | None:
    known = place.scope.inputs
    if not known or names[0].lower() in known:
        return None
    hint = did_you_mean(names[0], known.values())
    return "unknown-input", f"there is no input `{names[0]}`", hint


def _fixed(context: str, known: Collection[str]) -> Callable[[Names, Place], Flaw | None]:
    def find(names: Names, place: Place) -> Flaw | None:  # noqa: ARG001
        if names[0].lower() in known:
            return None
        hint = did_you_mean(names[0], known)
        return "unknown-property", f"`{context}` has no property `{names[0]}`", hint

    return find


_FINDERS: Mapping[str, Callable[[Names, Place], Flaw | None]] = {
    "steps": _step,
    "needs": _need,
    "jobs": _job,
    "matrix": _matrix,
    "inputs": _input,
    **{context: _fixed(context, known) for context, known in PROPERTIES.items()},
}
