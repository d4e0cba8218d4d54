"""Why runs and their jobs wait: for a time, other jobs, a group, a limit, or a worker."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from runner.plan import PlannedJob, asker_of, caller_of
from runner.queue.boundary import Boundary
from runner.queue.gates import hold_of
from runner.queue.in_front import in_front
from runner.queue.telling import moment
from runner.queue.tending import is_gone
from runner.store import Store, census, hot, limits, lines, workers
from runner.store.limits import Scope
from runner.store.lines import Wait
from runner.store.rows import StoredJob, StoredRun, is_submitted

WaitKind = Literal[
    "time",
    "group",
    "paused",
    "limit",
    "quota",
    "retry",
    "needs",
    "max-parallel",
    "worker",
    "turn",
    "lost",
    "approval",
    "wait",
    "lock",
]
#: From this many seconds on, a time says more than how long it is until then.
_LONG = 100.0
_HINTS = {"self-hosted": " (`pipe worker --host`)"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a job waits, or all of the run if `job` is ""; `facts` has what `text` says, by name."""

    run: int
    job: str
    kind: WaitKind
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As `--json` shows it."""
        return {"kind": self.kind, "text": self.text, "job": self.job, **self.facts}


def waiting_in_front(store: Store, now: float) -> Iterator[Waiting]:
    """The jobs of all runs that wait in front of environments."""
    situation = Situation(store, now)
    held = census.held_runs(store.notes)
    for number in sorted({run for runs in held.values() for run in runs}):
        run = hot.load_run(store.notes, number)
        if any(hold_of(job) for job in run.jobs.values()):
            yield from (each for each in situation.of(run) if "environment" in each.facts)


def whole(run: StoredRun, found: list[Waiting]) -> Waiting | None:
    """Why the run as a whole waits for its start: a reason of its own, else that of its first job."""
    if run.state != "queued" or not found:
        return None
    first = next((each for each in found if not each.job), found[0])
    is_about_run = first.kind in ("time", "paused", "limit", "quota", "worker", "turn")
    if not first.job or is_about_run:
        return first
    return replace(first, text=f"`{first.job}` {first.text}")


class Situation:
    """What there is in the queue at one moment, read when it is asked for and then for all runs."""

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self._connection = store.notes
        self._now = now
        self._lines: dict[str, dict[tuple[int, str], int]] = {}

    def of(self, run: StoredRun) -> list[Waiting]:
        """Why the run waits, if it does as a whole, and why each of its jobs that do."""
        if run.state == "finished":
            return []
        return [Waiting(run.id, job, *why) for job, why in self._all(run)]

    def _all(self, run: StoredRun) -> Iterator[tuple[str, "_Why"]]:
        groups = {wait.job: wait for wait in lines.waits(self._connection, run.id)}
        if run.due_at is not None and run.due_at <= self._now and not self._workers:
            yield "", ("worker", "no worker runs", {"due_at": run.due_at})
        elif run.due_at is not None:
            yield "", ("time", f"starts at {moment(run.due_at)}", {"due_at": run.due_at})
        elif "" in groups:
            yield "", _group(groups[""])
        planned = {each.key: each for each in run.plan.jobs}
        for job in run.jobs.values():
            why = self._of_job(run, job, planned.get(job.key), groups)
            if why:
                yield job.key, why

    def _of_job(
        self,
        run: StoredRun,
        job: StoredJob,
        planned: PlannedJob | None,
        groups: Mapping[str, Wait],
    ) -> "_Why | None":
        if job.state == "running":
            return self._loss(job) if is_submitted(run) else None
        if hold := hold_of(job):
            return in_front(hold, run, job, self._boundary)
        if job.state == "scheduled":
            return self._retry(job)
        if job.held:
            return self._obstacle(job.held, run.id)
        if job.state == "queued":
            return self._turn(run, job) if is_submitted(run) else None
        if job.state != "blocked":
            return None
        if job.key and job.key in groups:
            return _group(groups[job.key])
        return _of_others(run, job, planned) if planned else None

    def _retry(self, job: StoredJob) -> "_Why":
        due_at = job.due_at or self._now
        left = max(0.0, due_at - self._now)
        when = f"at {moment(due_at)}" if left > _LONG else f"in {left:.0f} s"
        facts = {"attempt": job.attempt, "due_at": due_at}
        return "retry", f"attempt {job.attempt} {when}", facts

    def _loss(self, job: StoredJob) -> "_Why | None":
        if job.worker not in {each.name for each in self._known if is_gone(each, self._now)}:
            return None
        return "lost", "its worker is gone; the next one takes it", {"worker": job.worker}

    def _turn(self, run: StoredRun, job: StoredJob) -> "_Why":
        held = self._limit_of(run)
        if held:
            return self._obstacle(held, run.id)
        needed = set(json.loads(job.pool))
        able = [each for each in self._workers if _is_for(job.pool, [each])]
        if not self._workers:
            return "worker", "no worker runs", {"labels": sorted(needed)}
        if not able:
            names = ", ".join(sorted(needed))
            word = "label" if len(needed) == 1 else "labels"
            text = f"no worker has the {word} {names}{_HINTS.get(names, '')}"
            return "worker", text, {"labels": sorted(needed)}
        before = self._line(job.pool, able).get((run.id, job.key), 0)
        return "turn", f"waits for a worker{_before(before)}", {"before": before}

    def _limit_of(self, run: StoredRun) -> str:
        """What will keep a run from starting, once a worker has looked at it."""
        its = run.submission
        if run.state != "queued":
            return ""
        day = limits.day_of(self._now)
        its_scopes = limits.scopes_of(its.project, its.file, its.queue, its.owner)
        for scope in self._scopes.values():
            if its_scopes[scope.kind] == scope.name and scope.room(day) == 0:
                return str(scope)
        return ""

    def _obstacle(self, held: str, run: int) -> "_Why":
        waiting = self._held.get(held, [])
        before = waiting.index(run) if run in waiting else len(waiting)
        scope = self._scopes.get(held)
        facts = {"scope": held, "before": before}
        if scope is None:
            return "limit", f"waited for limit {held}, which is gone{_before(before)}", facts
        if scope.paused:
            return "paused", f"{_paused(scope)} is paused{_before(before)}", facts
        return _full(scope, limits.day_of(self._now), facts)

    @cached_property
    def _boundary(self) -> Boundary:
        return Boundary(self._store)

    @cached_property
    def _scopes(self) -> dict[str, Scope]:
        return {str(scope): scope for scope in limits.all_scopes(self._connection)}

    @cached_property
    def _held(self) -> dict[str, list[int]]:
        return census.held_runs(self._connection)

    @cached_property
    def _known(self) -> list[workers.WorkerRecord]:
        return workers.all_workers(self._connection)

    @cached_property
    def _workers(self) -> list[workers.WorkerRecord]:
        return [
            each for each in self._known if each.state == "working" and not is_gone(each, self._now)
        ]

    @cached_property
    def _ready(self) -> list[tuple[int, str, str]]:
        return census.ready_jobs(self._connection)

    def _line(
        self, pool: str, able: Sequence[workers.WorkerRecord]
    ) -> Mapping[tuple[int, str], int]:
        """The places of all that wait for the same workers as those of that pool."""
        if pool not in self._lines:
            pools = {other for _, _, other in self._ready}
            others = {other for other in pools if _is_for(other, able)}
            line = (job for job in self._ready if job[2] in others)
            self._lines[pool] = {(run, key): at for at, (run, key, _) in enumerate(line)}
        return self._lines[pool]


_Why = tuple[WaitKind, str, dict[str, Any]]


def _is_for(pool: str, able: Sequence[workers.WorkerRecord]) -> bool:
    needed = set(json.loads(pool))
    return any(needed <= set(worker.labels) for worker in able)


def _group(wait: Wait) -> _Why:
    facts = {
        "group": wait.group,
        "holders": [{"run": each.run, "job": asker_of(each.job)} for each in wait.holders],
        "before": wait.before,
    }
    return "group", str(wait), facts


def _full(scope: Scope, day: str, facts: dict[str, Any]) -> _Why:
    before = _before(facts["before"]).replace(":", ";", 1)
    is_full = scope.maximum is not None and scope.running >= scope.maximum
    if scope.per_day is not None and not is_full:
        started = scope.started_on(day)
        text = f"waits for limit {scope}: {started} of {scope.per_day} started today (UTC){before}"
        return "quota", text, {**facts, "started": started, "per_day": scope.per_day}
    text = f"waits for limit {scope}: {scope.running} of {scope.maximum} running{before}"
    return "limit", text, {**facts, "running": scope.running, "maximum": scope.maximum}


def _before(count: int) -> str:
    return f": {count} before it" if count else ""


def _paused(scope: Scope) -> str:
    if scope.kind == "global":
        return "the queue"
    return f"queue `{scope.name}`" if scope.kind == "queue" else str(scope)


def _of_others(run: StoredRun, job: StoredJob, planned: PlannedJob) -> _Why | None:
    caller = caller_of(job.key)
    around = run.jobs.get(asker_of(caller))
    if around and around.state in ("blocked", "queued", "scheduled"):
        return _needs([around.key])
    needed = [
        other.key
        for other in run.jobs.values()
        if other.job in planned.needs and caller_of(other.key) == caller
        if other.state != "finished"
    ]
    if needed:
        return _needs(needed)
    return _siblings(run, job, planned)


def _needs(keys: list[str]) -> _Why:
    return "needs", f"waits for {', '.join(keys)}", {"jobs": keys}


def _siblings(run: StoredRun, job: StoredJob, planned: PlannedJob) -> _Why | None:
    most = planned.max_parallel
    going = [
        other.key
        for other in run.jobs.values()
        if other.job == job.job and caller_of(other.key) == caller_of(job.key)
        if other.state in ("queued", "scheduled", "running")
    ]
    if most is None or len(going) < most:
        return None
    text = f"waits for {', '.join(going)} (max-parallel {most})"
    return "max-parallel", text, {"jobs": going, "maximum": most}


def limit_use(scope: Scope, waiting: int, now: float) -> str:
    """A limit and its use: `queue:deployments 2/5 running, 12 wait`."""
    parts = []
    if scope.maximum is not None:
        parts.append(f"{scope.running}/{scope.maximum} running")
    if scope.per_day is not None:
        started = scope.started_on(limits.day_of(now))
        over = "more are refused" if scope.refuses else "more wait"
        parts.append(f"{started}/{scope.per_day} started today (UTC), {over}")
    if waiting:
        parts.append(f"{waiting} wait" if waiting > 1 else "1 waits")
    paused = "paused" if scope.paused else ""
    return f"{scope} {', '.join(filter(None, [paused, *parts])) or 'has no limit'}"
