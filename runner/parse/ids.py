"""Step ids: each one once in a job, and one for every step that was given none."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.errors import Problem
from runner.model import Path
from runner.source import Document


def duplicate_step_ids(document: Document) -> Iterator[Problem]:
    """A problem for each step id that an earlier step of the job has; case is ignored."""
    jobs = document.data.get("jobs") if isinstance(document.data, dict) else None
    for job_id, job in jobs.items() if isinstance(jobs, dict) else ():
        yield from duplicate_ids(document, job, ("jobs", job_id))


def duplicate_ids(document: Document, parent: Any, path: Path) -> Iterator[Problem]:
    """As `duplicate_step_ids`, for the `steps` of one map, which stands at `path`."""
    seen: dict[str, Path] = {}
    for step_path, step_id in _written_ids(parent, "steps", path):
        first = seen.setdefault(step_id.lower(), step_path)
        if first is not step_path:
            line = document.locate((*first, "id")).line
            yield Problem(
                "duplicate-id",
                f"the step id `{step_id}` is already used in line {line}",
                document.locate((*step_path, "id")),
                "give the step another id; ids ignore case",
            )


def _written_ids(parent: Any, key: str, path: Path) -> Iterator[tuple[Path, str]]:
    steps = parent.get(key) if isinstance(parent, dict) else None
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        step_path = (*path, key, index)
        if isinstance(step, dict) and isinstance(step.get("id"), str):
            yield step_path, step["id"]
        yield from _written_ids(step, "parallel", step_path)


def step_ids(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The id of each step of a job; generated ones are those of GitHub: `__run`, `__run_2`."""
    used: Counter[str] = Counter()
    return [step.get("id") or _generated_id(step, used) for step in steps]


def _generated_id(step: Mapping[str, Any], used: Counter[str]) -> str:
    suggested = _suggested_id(step)
    used[suggested.lower()] += 1
    number = used[suggested.lower()]
    return suggested if number == 1 else f"{suggested}_{number}"


def _suggested_id(step: Mapping[str, Any]) -> str:
    uses = step.get("uses")
    if uses is None:
        return "__" + next((key for key in step if key in _KINDS), "run").replace("-", "_")
    if uses.startswith("./"):
        return "__self"
    name = uses.removeprefix("docker://")
    if name == uses:
        name = "/".join(uses.split("@")[0].split("/")[:2])
    return "__" + re.sub(r"[^A-Za-z0-9_-]", "_", name)[:90]


_KINDS = frozenset(
    ("run", "wait", "wait-all", "cancel", "parallel", "deploy", "verify", "snapshot", "rollback")
)
