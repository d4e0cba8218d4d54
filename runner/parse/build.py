"""Data that passed the schema, as the frozen values of the model."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.expressions import to_string
from runner.model import (
    Call,
    Concurrency,
    Defaults,
    Input,
    Interface,
    Job,
    Path,
    Pipeline,
    Retry,
    Step,
    Strategy,
    Templated,
    Timeouts,
    Watch,
)
from runner.parse.durations import parse_duration
from runner.parse.ids import step_ids
from runner.parse.targets import target
from runner.source import Document

_Data = Mapping[str, Any]

_UNSUPPORTED_IN_JOB = ("snapshot",)
_WAITING = frozenset({"wait", "wait-all", "cancel"})


def build(document: Document) -> Pipeline:
    """The pipeline in a document that passed every check; see `parse`."""
    data: _Data = document.data
    on = _events(data.get("on"))
    return Pipeline(
        file=document.file,
        jobs={job_id: _job(job_id, job, document.file) for job_id, job in data["jobs"].items()},
        on=on,
        name=_text(data.get("name")),
        run_name=_text(data.get("run-name")),
        inputs=tuple(_inputs(on)),
        interface=_interface(on),
        env=_texts(data.get("env")),
        defaults=_defaults(data.get("defaults")),
        concurrency=_concurrency(data.get("concurrency")),
        retry=_retry(data.get("retry")),
        watch=_watch(on.get("watch", {})),
        priority=data.get("priority", 0),
        queue=data.get("queue", ""),
        timeouts=_timeouts(data.get("timeouts", {})),
    )


def _events(on: Any) -> dict[str, Templated]:
    if isinstance(on, dict):
        return {event: {} if filters is None else filters for event, filters in on.items()}
    return {event: {} for event in _list(on)}


def _inputs(on: Mapping[str, Templated]) -> Iterator[Input]:
    """A run by hand has the inputs of `workflow_dispatch`; without it those of `workflow_call`."""
    return _declared(on, "workflow_dispatch" if "workflow_dispatch" in on else "workflow_call")


def _watch(data: _Data) -> Watch:
    return Watch(
        paths=tuple(to_string(pattern) for pattern in _list(data.get("paths"))),
        ignore=tuple(to_string(pattern) for pattern in _list(data.get("ignore"))),
        debounce=parse_duration(data["debounce"]) if "debounce" in data else None,
    )


def _interface(on: Mapping[str, Templated]) -> Interface | None:
    if "workflow_call" not in on:
        return None
    secrets = on["workflow_call"].get("secrets") or {}
    outputs = on["workflow_call"].get("outputs") or {}
    return Interface(
        tuple(_declared(on, "workflow_call")),
        {name: (written or {}).get("required", False) for name, written in secrets.items()},
        {name: (written or {}).get("value", "") for name, written in outputs.items()},
    )


def _declared(on: Mapping[str, Templated], event: str) -> Iterator[Input]:
    for name, written in (on.get(event, {}).get("inputs") or {}).items():
        data = written or {}
        kind = data.get("type", "string")
        default = data.get("default")
        yield Input(
            name=name,
            type=kind,
            description=to_string(data.get("description")),
            required=data.get("required", False),
            default=default if kind in ("boolean", "number") else _text(default),
            options=tuple(to_string(option) for option in data.get("options", ())),
            path=("on", event, "inputs", name),
        )


def _job(job_id: str, data: _Data, file: str) -> Job:
    path: Path = ("jobs", job_id)
    return Job(
        id=job_id,
        path=path,
        steps=build_steps(data.get("steps", ()), path),
        name=_text(data.get("name")),
        needs=tuple(to_string(need) for need in _list(data.get("needs"))),
        condition=data.get("if"),
        runs_on=_runs_on(data.get("runs-on")),
        env=_texts(data.get("env")),
        defaults=_defaults(data.get("defaults")),
        outputs=_texts(data.get("outputs")),
        strategy=_strategy(data.get("strategy"), path),
        continue_on_error=data.get("continue-on-error", False),
        timeout_minutes=data.get("timeout-minutes"),
        cancel_timeout_minutes=data.get("cancel-timeout-minutes"),
        environment=_environment(data.get("environment")),
        container=data.get("container"),
        concurrency=_concurrency(data.get("concurrency")),
        services=data.get("services"),
        retry=_retry(data.get("retry")),
        sources=tuple(data.get("sources", ())),
        call=_call(data, file),
        unsupported=tuple(_unsupported_in_job(data, path)),
    )


def _call(data: _Data, file: str) -> Call | None:
    if data.get("uses") is None:
        return None
    secrets = data.get("secrets")
    return Call(
        uses=data["uses"],
        target=target(data["uses"], file),
        with_=data.get("with") or {},
        secrets=None if isinstance(secrets, str) else _texts(secrets),
    )


def build_steps(steps: Any, parent: Path, key: str = "steps") -> tuple[Step, ...]:
    """The steps in a list that passed every check; it stands at `key` of what is at `parent`."""
    identified = zip(steps, step_ids(steps), strict=True)
    return tuple(
        _step(data, (*parent, key, index), step_id)
        for index, (data, step_id) in enumerate(identified)
    )


def _step(data: _Data, path: Path, step_id: str) -> Step:
    get = data.get
    return Step(
        id=step_id,
        path=path,
        name=_text(get("name")),
        # What waits for other steps or ends them is never left out.
        condition="always()" if _WAITING.intersection(data) else get("if"),
        run=_text(get("run")),
        uses=get("uses"),
        with_=_with(get("uses"), get("with")),
        shell=_text(get("shell")),
        working_directory=_text(get("working-directory")),
        env=_texts(get("env")),
        continue_on_error=get("continue-on-error", False),
        timeout_minutes=get("timeout-minutes"),
        retry=_retry(get("retry")),
        image=_text(get("image")),
        background=get("background", False),
        wait=_wait(data),
        cancel=_text(get("cancel")),
        parallel=build_steps(get("parallel", ()), path, "parallel"),
        deploy=get("deploy"),
        verify=get("verify"),
        snapshot=get("snapshot"),
        rollback=get("rollback"),
        named="id" in data,
    )


def _wait(data: _Data) -> tuple[str, ...] | None:
    if "wait-all" in data:
        return ()
    return tuple(to_string(id_) for id_ in _list(data["wait"])) if "wait" in data else None


def _strategy(data: _Data | str | None, job_path: Path) -> Strategy | str | None:
    if data is None or isinstance(data, str):
        return data
    return Strategy(
        matrix=data.get("matrix"),
        fail_fast=data.get("fail-fast", True),
        max_parallel=data.get("max-parallel"),
        path=(*job_path, "strategy"),
    )


def _defaults(data: _Data | None) -> Defaults:
    run = (data or {}).get("run", {})
    return Defaults(_text(run.get("shell")), _text(run.get("working-directory")))


def _concurrency(data: Any) -> Concurrency | None:
    if data is None:
        return None
    if not isinstance(data, dict):
        return Concurrency(to_string(data))
    return Concurrency(
        group=to_string(data.get("group")),
        cancel_in_progress=data.get("cancel-in-progress", False),
        queue=data.get("queue", "single"),
        limit=data.get("limit", 1),
    )


def _timeouts(data: _Data) -> Timeouts:
    return Timeouts(**{name: parse_duration(written) for name, written in data.items()})


def _retry(data: Any) -> Retry | None:
    if data is None:
        return None
    if isinstance(data, int):
        return Retry(attempts=data)
    standard = Retry()
    return Retry(
        attempts=data.get("attempts", standard.attempts),
        delay=_seconds(data.get("delay"), standard.delay),
        backoff=data.get("backoff", standard.backoff),
        max_delay=_seconds(data.get("max-delay"), standard.max_delay),
        jitter=data.get("jitter", standard.jitter),
        on=tuple(_list(data.get("on"))) or standard.on,
    )


# -- what cannot run yet --


def _unsupported_in_job(data: _Data, path: Path) -> Iterator[Path]:
    yield from ((*path, key) for key in _UNSUPPORTED_IN_JOB if key in data)
    if isinstance(data.get("container"), dict) and "build" in data["container"]:
        yield (*path, "container", "build")


def _is_action(uses: str) -> bool:
    """Whether `uses` is in GitHub's language; a bare name is a step that a plugin brings."""
    return re.search("[/:]", uses) is not None


# -- scalars --


def _text(value: Any) -> str | None:
    return None if value is None else to_string(value)


def _texts(value: Any) -> Any:
    """A map of names to text; one that is a single expression stays as it is."""
    if isinstance(value, str):
        return value
    return {name: to_string(item) for name, item in (value or {}).items()}


def _with(uses: str | None, data: Any) -> Mapping[str, Templated]:
    """Inputs of actions are text; a plugin's step gets its values as they are written."""
    return _texts(data) if uses and _is_action(uses) else data or {}


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _runs_on(value: Any) -> Templated:
    """A label, a list of labels or the mapping as written; numbers and Booleans become text."""
    if isinstance(value, list):
        return [to_string(label) for label in value]
    return value if isinstance(value, dict) else _text(value)


def _environment(value: Any) -> Templated:
    """A name as text, or a map with texts."""
    return _texts(value) if isinstance(value, dict) else _text(value)


def _seconds(value: str | None, standard: float) -> float:
    return standard if value is None else parse_duration(value)
