"""Why a job waits in front of its environment, and who can change that."""

from collections.abc import Sequence
from typing import Any, Literal

from runner.project import Reviewers
from runner.queue.boundary import Boundary
from runner.queue.gates import Hold, HoldKind, gate_of, missing
from runner.queue.telling import moment
from runner.store.rows import StoredJob, StoredRun

#: What it waits for, in words, and what these are made of.
Why = tuple[HoldKind, str, dict[str, Any]]
_Timed = Literal["wait", "quota"]


def in_front(hold: Hold, run: StoredRun, job: StoredJob, boundary: Boundary) -> Why:
    """What keeps the job from entering."""
    match hold.kind:
        case "approval":
            return _approval(hold.environment, run, job, boundary)
        case "lock":
            return _lock(hold.environment, boundary)
        case timed:
            return _time(timed, hold.environment, hold.until or 0.0)


def _approval(name: str, run: StoredRun, job: StoredJob, boundary: Boundary) -> Why:
    gate = gate_of(run, job.key)
    reviewers = (gate and gate.rules.reviewers) or Reviewers()
    said = [each for each in boundary.said(run.id) if each.job == job.key]
    left = missing(reviewers, said)
    by = f" by {_either(reviewers.users)}" if reviewers.users else ""
    so_far = f", {left} of {reviewers.required} missing" if reviewers.required > 1 else ""
    facts = {
        "environment": name,
        "reviewers": list(reviewers.users),
        "required": reviewers.required,
        "missing": left,
        "approved_by": [each.name for each in said],
    }
    return "approval", f"waits for approval of {name}{by}{so_far}: pipe approve {run.id}", facts


def _lock(name: str, boundary: Boundary) -> Why:
    lock = boundary.lock_of(name)
    if lock is None:
        return "lock", f"{name} was locked, and is open again", {"environment": name}
    why = f": {lock.message}" if lock.message else ""
    facts = {"environment": name, "locked_by": lock.owner, "message": lock.message}
    return "lock", f"{name} is locked by {lock.owner}{why}", facts


def _time(kind: _Timed, name: str, until: float) -> Why:
    whose = f"the quota of {name}" if kind == "quota" else name
    facts = {"environment": name, "due_at": until}
    return kind, f"waits for {whose} until {moment(until)}", facts


def _either(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
