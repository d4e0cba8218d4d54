"""The gate in front of an environment: whether a job may enter, or what it waits for there.

The rules are those that the project had when the run was asked for; a run keeps them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from runner.concurrency import Claim
from runner.environments import enter, of_name
from runner.filters.patterns import chosen
from runner.plan.refusal import naming
from runner.project import NO_PROTECTION, Protection, Reviewers
from runner.project.protection import from_json
from runner.queue.boundary import Boundary
from runner.queue.definitions import contexts_of, definition
from runner.queue.telling import moment
from runner.store.rows import Admission, Approval, StoredJob, StoredRun

#: The option of a submission that keeps the rules of environments, by name.
PROTECTION = "protection"

HoldKind = Literal["approval", "wait", "lock", "quota"]
_KINDS: Mapping[str, HoldKind] = {
    "approval": "approval",
    "wait": "wait",
    "lock": "lock",
    "quota": "quota",
}


@dataclass(frozen=True, slots=True)
class Gate:
    """The environment that a job wants into, and its rules."""

    environment: str
    rules: Protection


@dataclass(frozen=True, slots=True)
class Refusal:
    """The job never gets in; `told` says more than the reason that it fails with, if it does."""

    reason: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """What a job waits for in front of its environment; `until` is known of times and quotas."""

    kind: HoldKind
    environment: str
    until: float | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.environment}"


def hold_of(job: StoredJob) -> Hold | None:
    """What the job waits for in front of its environment, if it does."""
    if not job.held or job.pool:
        return None
    kind, _, environment = job.held.partition(": ")
    until = job.due_at if job.state == "scheduled" else None
    return Hold(_KINDS[kind], environment, until)


def gate_of(run: StoredRun, key: str) -> Gate | None:
    """The gate that the job has to pass. Raises InvalidInputError."""
    written = definition(run, key).environment
    if written is None:
        return None
    with naming("environment"):
        name = enter(written, contexts_of(run, key), {}).name
    if not name:
        return None
    kept = run.submission.options.get(PROTECTION, {})
    rules = of_name(kept, name, None)
    return Gate(name, from_json(rules) if rules else NO_PROTECTION)


def obstacle(
    gate: Gate,
    run: StoredRun,
    job: StoredJob,
    said: Sequence[Approval],
    boundary: Boundary,
    now: float,
) -> Refusal | Hold | None:
    """What keeps the job from entering now; None if nothing does. `said` is about the run."""
    rules, name = gate.rules, gate.environment
    said = [each for each in said if each.job == job.key]
    if rules.branches and (refusal := _wrong_branch(gate, run)):
        return refusal
    if rejected := next((each for each in said if each.verdict == "rejected"), None):
        return Refusal("rejected", f"{rejected.name} rejected {name}{_because(rejected)}")
    if rules.reviewers and missing(rules.reviewers, said) > 0:
        return Hold("approval", name)
    until = job.due_at if job.due_at is not None else now + rules.wait
    if until > now:
        return Hold("wait", name, until)
    if boundary.lock_of(name):
        return Hold("lock", name)
    return _over_quota(gate, run, boundary, now) if rules.quota else None


def missing(reviewers: Reviewers, said: Sequence[Approval]) -> int:
    """How many people have to approve it yet."""
    return max(0, reviewers.required - len({each.name.casefold() for each in said}))


def told(hold: Hold, run: int) -> str:
    """What whoever looks at the run wants to know."""
    match hold.kind:
        case "approval":
            return f"waits for approval of {hold.environment}: pipe approve {run}"
        case "lock":
            return f"{hold.environment} is locked: `pipe lock` tells by whom"
        case "wait":
            return f"waits for {hold.environment} until {moment(hold.until or 0.0)}"
        case "quota":
            return f"waits for tomorrow's quota of {hold.environment}"


def first_due(gate: Gate, job: StoredJob, now: float) -> float | None:
    """When the wait of a job is over that came now, or earlier; None if there is none."""
    if job.due_at is not None:
        return job.due_at
    return now + gate.rules.wait if gate.rules.wait else None


def claim(gate: Gate) -> Claim:
    """What the job asks for if its environment has a lock, which it may share with others."""
    return Claim(f"lock:{gate.rules.lock}", keeps_waiting=True)


def admission(gate: Gate, run: StoredRun, key: str, now: float) -> Admission:
    """What is kept of a job that gets in."""
    quota = gate.rules.quota
    return Admission(
        key,
        run.submission.project,
        gate.environment.casefold(),
        now,
        quota.per_day if quota else None,
        _midnight(now),
    )


def _wrong_branch(gate: Gate, run: StoredRun) -> Refusal | None:
    ref = str(run.submission.contexts.get("github", {}).get("ref", ""))
    name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    if chosen(gate.rules.branches, name):
        return None
    where = f"`{name}`" if name else "no branch"
    allowed = ", ".join(gate.rules.branches)
    return Refusal(f"{gate.environment} is not open to {where}: its branches are {allowed}")


def _over_quota(
    gate: Gate, run: StoredRun, boundary: Boundary, now: float
) -> Refusal | Hold | None:
    quota, name = gate.rules.quota, gate.environment
    assert quota is not None
    had = boundary.admitted(run.submission.project, name, _midnight(now))
    if had < quota.per_day:
        return None
    if quota.waits:
        return Hold("quota", name, _midnight(now, days=1))
    its = "job" if quota.per_day == 1 else f"{quota.per_day} jobs"
    return Refusal(f"{name} has had its {its} of today (UTC)")


def _because(approval: Approval) -> str:
    return f": {approval.comment}" if approval.comment else ""


def _midnight(now: float, days: int = 0) -> float:
    """When this day (UTC) began, or one that comes."""
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=days)).timestamp()
