"""The queue against a small model of it: whatever comes in whatever order, both agree."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runner import queue
from runner.events import RunFinished
from runner.queue import JobOutcome, Lease
from runner.store import Store, hot, limits, workers
from runner.store.limits import Kind, Scope
from tests.queued import NOON, ends, gone, register, submit, take
from tests.test_queue import FAILURE, ONE, SUCCESS, pipeline

BIG = ["self-hosted", "big"]
#: Pipelines by what is in them: the jobs, each with those that it needs.
SHAPES: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "one": (ONE, {"build": ()}),
    "big": (pipeline(build={"runs-on": BIG}), {"build": ()}),
    "two": (pipeline(a={}, b={}), {"a": (), "b": ()}),
    "chain": (pipeline(a={}, b={"needs": "a"}), {"a": (), "b": ("a",)}),
}
#: Who works, and what they can do; the last can do everything.
WORKERS = {"plain": (), "little": ("self-hosted",), "able": ("self-hosted", "big")}
OWNERS = ("al", "al", "bo", "cy")
QUEUES = ("default", "slow")
SCOPES: Sequence[tuple[Kind, str]] = (
    ("global", ""),
    ("queue", "slow"),
    ("owner", "al"),
    ("owner", "bo"),
)


@dataclass(frozen=True)
class Wanted:
    """A run to submit."""

    shape: str
    owner: str
    queue: str
    priority: int
    delay: float
    key: str | None


RUNS = st.builds(
    Wanted,
    shape=st.sampled_from(list(SHAPES)),
    owner=st.sampled_from(OWNERS),
    queue=st.sampled_from(QUEUES),
    priority=st.sampled_from([0, 0, 1, 50]),
    delay=st.sampled_from([0.0, 0.0, 0.0, 20.0]),
    key=st.sampled_from([None, None, None, "k", "l"]),
)
LIMITS = st.builds(
    lambda scope, maximum, paused: Scope(scope[0], scope[1], maximum=maximum, paused=paused),
    st.sampled_from(SCOPES),
    st.sampled_from([None, 0, 1, 2]),
    st.sampled_from([False, False, True]),
)
OUTCOMES = st.sampled_from(
    [SUCCESS, SUCCESS, FAILURE, *(JobOutcome("failure", retry_after=t) for t in (0.0, 30.0))]
)


def folded(result: str) -> str:
    """Why a job did not run is the planner's matter."""
    return "skipped" if result == "cancelled" else result


@dataclass
class Job:
    """One job of the model; `ready_at` is when its next attempt may begin."""

    name: str
    needs: tuple[str, ...]
    result: str = ""
    lease: Lease | None = None
    worker: str = ""
    ready_at: float = 0.0
    losses: int = 0


@dataclass
class Run:
    """One run of the model."""

    number: int
    wanted: Wanted
    enters_at: float
    jobs: dict[str, Job] = field(default_factory=dict)
    has_started: bool = False
    cancelled: bool = False

    @property
    def rank(self) -> float:
        return self.enters_at - 36.0 * self.wanted.priority

    @property
    def is_over(self) -> bool:
        return all(job.result for job in self.jobs.values())

    def counts_in(self, scope: tuple[str, str]) -> bool:
        return scope in {("global", ""), ("queue", self.wanted.queue), ("owner", self.wanted.owner)}

    def end(self, name: str, result: str) -> None:
        """The job has its result, and so have those that now cannot run any more."""
        self.jobs[name].lease = None
        self.jobs[name].result = result
        if result != "success":
            for job in self.jobs.values():
                if name in job.needs and not job.result:
                    self.end(job.name, "skipped")

    def cancel(self) -> None:
        """Whoever runs is told so, and the others end."""
        self.cancelled = True
        for job in self.jobs.values():
            if not job.result and not job.lease:
                self.end(job.name, "cancelled")


@dataclass
class Model:
    """What the queue should do, without any of what makes it fast or durable."""

    runs: dict[int, Run] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    scopes: dict[tuple[str, str], Scope] = field(default_factory=dict)

    def running(self, scope: tuple[str, str]) -> int:
        return sum(
            run.has_started and not run.is_over and run.counts_in(scope)
            for run in self.runs.values()
        )

    def has_room(self, run: Run) -> bool:
        """Whether it goes on already, or may start."""
        return run.has_started or all(
            not limit.paused and (limit.maximum is None or self.running(scope) < limit.maximum)
            for scope, limit in self.scopes.items()
            if run.counts_in(scope)
        )

    def ready(self, labels: tuple[str, ...], now: float) -> Iterator[tuple[Run, Job]]:
        """What a worker with these labels may begin now, as far as limits allow it."""
        for run in self.runs.values():
            able = run.wanted.shape != "big" or set(BIG) <= set(labels)
            if able and run.enters_at <= now and not run.cancelled and self.has_room(run):
                for job in run.jobs.values():
                    is_free = not job.result and not job.lease and job.ready_at <= now
                    if is_free and all(run.jobs[need].result == "success" for need in job.needs):
                        yield run, job

    def leased(self) -> list[tuple[Run, Job]]:
        return [(run, job) for run in self.runs.values() for job in run.jobs.values() if job.lease]


class Machine(RuleBasedStateMachine):
    """Does the same to the queue and to the model."""

    @initialize(wanted=st.lists(RUNS, min_size=3, max_size=8), limits_=st.lists(LIMITS, max_size=3))
    def begin(self, wanted: list[Wanted], limits_: list[Scope]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pipe-model-"))
        self.store = Store.open(self.folder)
        self.model = Model()
        self.now = NOON
        for name in WORKERS:
            register(self.store, name)
        for each in limits_:
            self.set_limit(each)
        self.submit(wanted)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.drain()
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    # -- what happens

    @rule(wanted=st.lists(RUNS, min_size=1, max_size=4))
    def submit(self, wanted: list[Wanted]) -> None:
        for each in wanted:
            self.submit_one(each)

    def submit_one(self, wanted: Wanted) -> None:
        text, jobs = SHAPES[wanted.shape]
        number = submit(
            self.store,
            text,
            now=self.now,
            due_at=self.now + wanted.delay,
            owner=wanted.owner,
            queue=wanted.queue,
            priority=wanted.priority,
            submission_key=wanted.key,
        )
        if wanted.key in self.model.keys:
            assert number == self.model.keys[wanted.key]
            return
        assert number == len(self.model.runs) + 1
        if wanted.key is not None:
            self.model.keys[wanted.key] = number
        run = Run(number, wanted, self.now + wanted.delay)
        run.jobs = {name: Job(name, needs) for name, needs in jobs.items()}
        self.model.runs[number] = run

    @rule(most=st.integers(1, 4))
    def lease_by_the_able(self, most: int) -> None:
        self.lease("able", most)

    @rule(worker=st.sampled_from(list(WORKERS)), most=st.integers(1, 4))
    def lease(self, worker: str, most: int) -> None:
        labels = WORKERS[worker]
        found = take(self.store, most, now=self.now, worker=worker, labels=labels)
        for lease in found:
            ready = list(self.model.ready(labels, self.now))
            run = self.model.runs[lease.run]
            job = run.jobs[lease.key]
            assert any(each is job for _, each in ready), "nobody may have that now"
            self.check_order(worker, run, ready)
            job.lease, job.worker, run.has_started = lease, worker, True
        if worker == "able" and len(found) < most:
            assert list(self.model.ready(labels, self.now)) == [], "somebody was passed over"

    def check_order(self, worker: str, run: Run, ready: list[tuple[Run, Job]]) -> None:
        """Of one owner nobody comes before who is in front; for who can do all, that is exact."""
        if worker == "able":
            mine = [
                (other.rank, other.number)
                for other, _ in ready
                if other.wanted.owner == run.wanted.owner
            ]
            assert (run.rank, run.number) == min(mine), "somebody of that owner came first"

    @precondition(lambda self: self.model.leased())
    @rule(data=st.data(), outcomes=st.lists(OUTCOMES, min_size=1, max_size=4))
    def finish(self, data: st.DataObject, outcomes: list[JobOutcome]) -> None:
        for outcome in outcomes[: len(self.model.leased())]:
            run, job = data.draw(st.sampled_from(self.model.leased()))
            assert job.lease
            queue.finish(self.store, job.lease, outcome, self.now)
            if outcome.retry_after is not None and not run.cancelled:
                job.lease, job.ready_at = None, self.now + outcome.retry_after
            else:
                run.end(job.name, outcome.result)

    @precondition(lambda self: self.model.leased())
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        run, job = data.draw(st.sampled_from(self.model.leased()))
        assert job.lease
        queue.give_back(self.store, job.lease, self.now)
        if run.cancelled:
            run.end(job.name, "cancelled")
        else:
            job.lease, job.ready_at = None, self.now + 2.0

    @rule(worker=st.sampled_from(list(WORKERS)))
    def lose_worker(self, worker: str) -> None:
        workers.unregister(self.store.notes, worker)
        register(self.store, worker, process=gone())
        lost = queue.tend(self.store, self.now).lost
        mine = [(run, job) for run, job in self.model.leased() if job.worker == worker]
        assert sorted(lost) == sorted((run.number, job.name) for run, job in mine)
        register(self.store, worker)
        for run, job in mine:
            old, job.lease = job.lease, None
            job.losses += 1
            if run.cancelled:
                run.end(job.name, "cancelled")
            elif job.losses == 3:
                run.end(job.name, "failure")
            assert old
            with pytest.raises(queue.LeaseLostError):
                queue.finish(self.store, old, SUCCESS, self.now)
            assert not queue.renew(self.store, old, self.now)

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(list(self.model.runs.values())))
        queue.cancel(self.store, run.number, self.now)
        if not run.is_over:
            run.cancel()

    @rule(wanted=LIMITS)
    def set_limit(self, wanted: Scope) -> None:
        limits.change(self.store.promises, wanted, self.now)
        self.model.scopes[wanted.kind, wanted.name] = wanted

    @rule(seconds=st.sampled_from([1.0, 10.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        """Whoever works says so, and is left alone."""
        self.now += seconds
        for _, job in self.model.leased():
            assert job.lease
            assert queue.renew(self.store, job.lease, self.now)
        assert queue.tend(self.store, self.now).lost == ()

    # -- what always holds

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        for run in self.model.runs.values():
            stored = hot.load_run(self.store.notes, run.number)
            results = {key: folded(job.result or "") for key, job in stored.jobs.items()}
            assert results == {job.name: folded(job.result) for job in run.jobs.values()}
            assert (stored.state == "finished") == run.is_over
            assert (stored.started_at is not None) == run.has_started
        held = {
            (each.run, each.key, each.token)
            for worker in WORKERS
            for each in workers.leased_by(self.store.notes, worker)
        }
        expected = {
            (run.number, job.name, job.lease.token) for run, job in self.model.leased() if job.lease
        }
        assert held == expected

    @invariant()
    def counts_what_runs(self) -> None:
        if hasattr(self, "store"):
            for scope in limits.all_scopes(self.store.notes):
                assert scope.running == self.model.running((scope.kind, scope.name)), scope

    # -- and in the end

    def drain(self) -> None:
        """Without limits, and with time, everything ends, once."""
        for kind, name in SCOPES:
            self.set_limit(Scope(kind, name))
        for run, job in self.model.leased():
            assert job.lease
            queue.finish(self.store, job.lease, SUCCESS, self.now)
            run.end(job.name, "success")
        labels = WORKERS["able"]
        # No delay is longer than this.
        while queue.is_open(self.store, labels, self.now + 1e6):
            self.time_passes(40.0)
            for lease in take(self.store, now=self.now, worker="able", labels=labels):
                queue.finish(self.store, lease, SUCCESS, self.now)
        assert {number for number, (result, _) in ends(self.store).items() if result} == set(
            self.model.runs
        )
        for number in self.model.runs:
            events = [event for _, event in self.store.events(number)]
            assert [type(event) for event in events].count(RunFinished) == 1
        assert queue.reconcile(self.store, self.now) == []


def check(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_order_of_events() -> None:
    check(25, 30)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_any_order_of_events_for_long() -> None:
    check(1000, 60)
