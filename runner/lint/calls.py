"""What calls of other pipelines give them: declared inputs of the right type, declared secrets."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from runner.errors import Problem, did_you_mean
from runner.expressions import has_expression, to_string
from runner.inputs import misfit
from runner.lint.findings import finding, one_of
from runner.model import Call, Input, Interface, Job, Path, Pipeline
from runner.parse import Gaps
from runner.source import Document

#: The pipelines that are called, as far as they are known, by `Call.target`.
Called = Mapping[str, Pipeline]


def check(pipeline: Pipeline, document: Document, called: Called, gaps: Gaps) -> Iterator[Problem]:
    """Every call that the called pipeline does not allow."""
    for job in pipeline.jobs.values():
        if job.call and job.call.target in called:
            yield from _check_job(job, job.call, called[job.call.target], document, gaps)


def _check_job(
    job: Job, call: Call, called: Pipeline, document: Document, gaps: Gaps
) -> Iterator[Problem]:
    interface = called.interface
    if interface is None:
        message = f"`{called.file}` cannot be called"
        position = document.locate((*job.path, "uses"))
        yield finding("not-callable", message, position, "it needs `workflow_call` in its `on`")
        return
    if (*job.path, "with") not in gaps:
        yield from _inputs(job.path, call, interface, document)
    if call.secrets is not None and (*job.path, "secrets") not in gaps:
        yield from _secrets(job.path, call.secrets, interface, document)


def _inputs(job: Path, call: Call, interface: Interface, document: Document) -> Iterator[Problem]:
    declared = {each.name.lower(): each for each in interface.inputs}
    for name, value in call.with_.items():
        path = (*job, "with", name)
        if name.lower() not in declared:
            yield _undeclared("input", path, [each.name for each in interface.inputs], document)
        elif wanted := _misfit(declared[name.lower()], value):
            message = f"input `{name}` must be {wanted}, not {_shown(value)}"
            yield finding("input-type", message, document.locate(path), _advice(value, wanted))
    required = (each.name for each in interface.inputs if each.required)
    yield from _missing("input", "with", required, call.with_, job, document)


def _secrets(
    job: Path, given: Mapping[str, Any], interface: Interface, document: Document
) -> Iterator[Problem]:
    declared = {name.lower() for name in interface.secrets}
    for name in given:
        if name.lower() not in declared:
            yield _undeclared("secret", (*job, "secrets", name), interface.secrets, document)
    required = (name for name, is_required in interface.secrets.items() if is_required)
    yield from _missing("secret", "secrets", required, given, job, document)


def _undeclared(kind: str, path: Path, declared: Collection[str], document: Document) -> Problem:
    message = f"the called pipeline has no {kind} `{path[-1]}`"
    names = f"it has {one_of(declared)}" if declared else f"it has no {kind}s"
    hint = did_you_mean(str(path[-1]), declared) or names
    return finding(f"undeclared-{kind}", message, document.locate(path, key=True), hint)


def _missing(
    kind: str,
    key: str,
    required: Iterable[str],
    given: Collection[str],
    job: Path,
    document: Document,
) -> Iterator[Problem]:
    names = {name.lower() for name in given}
    lacking = [name for name in required if name.lower() not in names]
    if lacking:
        label = kind if len(lacking) == 1 else f"{kind}s"
        message = f"the called pipeline needs the {label} {one_of(lacking)}"
        position = document.locate((*job, "uses"))
        yield finding(f"missing-{kind}", message, position, f"add it under `{key}:`")


def _misfit(declared: Input, written: Any) -> str:
    """What the value must be and is not, as far as that shows before it is evaluated."""
    if not (isinstance(written, str) and has_expression(written)):
        return misfit(declared.type, written)
    text = written.strip()
    is_whole = text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1
    return "" if is_whole else misfit(declared.type, text)


def _shown(value: Any) -> str:
    return "text" if isinstance(value, str) else f"`{to_string(value)}`"


def _advice(value: Any, wanted: str) -> str:
    if isinstance(value, str) and has_expression(value):
        return "one expression alone keeps its type"
    return "write it without quotes" if isinstance(value, str) else f"write {wanted}"
