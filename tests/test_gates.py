"""Jobs in front of their environments: held, let in, refused; and what people say about them."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.delivery.call import Nowhere
from runner.delivery.definition import definition as definition_of
from runner.delivery.deliver import deliver
from runner.delivery.order import Order
from runner.errors import RefusedError
from runner.events import Note
from runner.project import Protection, Quota, Reviewers
from runner.queue import Review, Situation
from runner.store import Store, approvals, deliveries, hot, limits
from runner.store.connection import Connection
from runner.store.deliveries import EnvironmentLock
from runner.store.rows import Approval, StoredJob, Verdict
from tests.deployed import World, desk
from tests.leftovers import wait_until
from tests.queued import DAY, NOON, end, held, limit, submit, take, work_off
from tests.test_queue import CONTEXTS, pipeline

SHIP = pipeline(build={}, ship={"needs": "build", "environment": "production"})
ALONE = pipeline(ship={"environment": {"name": "${{ inputs.where }}", "url": "https://x"}})
BY_ANN = Protection(Reviewers(("ann", "bo")))
STEP = {"target": "world", "version": "1", "switch": "proxy", "drain": "1s"}


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    with Store.open(tmp_path, database_url) as opened:
        yield opened


def protected(rules: Protection, text: str = SHIP, **changes: Any) -> Mapping[str, Any]:
    """What a run is submitted with whose project protects `production`."""
    options = {queue.PROTECTION: {"Production": rules.to_json()}}
    return {"text": text, "options": options, **changes}


def to_the_gate(store: Store, rules: Protection, *, now: float = NOON, **changes: Any) -> int:
    """A run of which all is done but what needs `production`."""
    run = submit(store, now=now, **protected(rules, **changes))
    work_off(store, now=now)
    return run


def job(store: Store, run: int, key: str = "ship") -> StoredJob:
    return hot.load_run(store.notes, run).jobs[key]


def why(store: Store, run: int, now: float = NOON) -> str:
    """Why the job waits, as people read it."""
    found = Situation(store, now).of(hot.load_run(store.notes, run))
    return next(each.text for each in found if each.job == "ship")


def notes(store: Store, run: int) -> list[str]:
    return [event.message for _, event in store.events(run) if isinstance(event, Note)]


def approve(store: Store, run: int, name: str = "ann", now: float = NOON, **values: Any) -> int:
    """How many more people have to approve it then."""
    [found] = queue.review(store, run, Review(name, **values), now)
    return found.missing


# -- reviewers


def test_a_job_waits_for_a_reviewer(store: Store) -> None:
    run = to_the_gate(store, BY_ANN)
    assert (job(store, run).state, held(store, run)) == ("blocked", {"approval: production"})
    assert take(store, now=NOON + DAY) == []
    assert why(store, run) == f"waits for approval of production by ann or bo: pipe approve {run}"
    assert notes(store, run) == [f"waits for approval of production: pipe approve {run}"]
    assert approve(store, run, comment="looks good") == 0
    assert notes(store, run)[1:] == ["ann approved production: looks good"]
    assert work_off(store) == [run]
    assert hot.load_run(store.notes, run).result == "success"
    [said] = approvals.of_run(store.notes, run)
    assert (said.job, said.environment, said.name, said.verdict, said.comment, said.time) == (
        *("ship", "production", "ann", "approved", "looks good", NOON),
    )


def test_a_job_that_is_rejected_fails(store: Store) -> None:
    run = to_the_gate(store, BY_ANN)
    approve(store, run, "bo", verdict="rejected", comment="not today")
    assert (job(store, run).result, job(store, run).reason) == ("failure", "rejected")
    assert notes(store, run)[1:] == ["bo rejected production: not today"]
    assert hot.load_run(store.notes, run).result == "failure"


def test_several_people_have_to_approve(store: Store) -> None:
    run = to_the_gate(store, Protection(Reviewers(required=2)))
    assert [approve(store, run, "ann"), approve(store, run, "Ann")] == [1, 1]
    assert why(store, run).endswith(f"approval of production, 1 of 2 missing: pipe approve {run}")
    assert take(store) == []
    assert approve(store, run, "bo") == 0
    assert work_off(store) == [run]


def test_people_who_approve_at_once_are_both_heard(store: Store) -> None:
    run = to_the_gate(store, Protection(Reviewers(required=2)))
    original = approvals.of_run
    asked: list[list[Approval]] = []

    def of_run(connection: Connection, number: int) -> list[Approval]:
        found = original(connection, number)
        if not asked:
            asked.append(found)
            approve(store, run, "bo")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approvals, "of_run", of_run)
        approve(store, run, "ann")
    assert asked == [[]]
    assert work_off(store) == [run]


def test_who_may_review(store: Store) -> None:
    run = to_the_gate(store, Protection(Reviewers(("al", "bo"), own_runs=False)), owner="Al")
    for name, reason in (("eve", "eve may not review production"), ("al", "al wanted run")):
        with pytest.raises(RefusedError, match=reason):
            approve(store, run, name)
    assert held(store, run) == {"approval: production"}
    assert approvals.of_run(store.notes, run) == []
    assert approve(store, run, "BO") == 0
    with pytest.raises(RefusedError, match=f"nothing of run {run} waits for approval"):
        approve(store, run, "bo")


def test_what_is_reviewed_may_be_named(store: Store) -> None:
    legs = {"environment": "production", "strategy": {"matrix": {"n": [1, 2]}}}
    run = submit(store, **protected(BY_ANN, pipeline(ship=legs)))
    for job_, environment in (("build", ""), ("", "staging")):
        with pytest.raises(RefusedError, match="waits for approval"):
            approve(store, run, job=job_, environment=environment)
    approve(store, run, job="ship (1)", environment="PRODUCTION")
    assert [lease.key for lease in take(store)] == ["ship (1)"]
    approve(store, run, job="ship")
    assert [lease.key for lease in take(store)] == ["ship (2)"]


def test_a_run_that_waits_can_be_cancelled(store: Store) -> None:
    text = pipeline(ship={"environment": "production", "if": "always()"})
    run = submit(store, **protected(BY_ANN, text))
    assert held(store, run)
    queue.cancel(store, run, NOON)
    assert hot.load_run(store.notes, run).result == "cancelled"


def test_only_the_first_attempt_is_reviewed(store: Store) -> None:
    run = to_the_gate(store, BY_ANN)
    approve(store, run)
    [lease] = take(store)
    end(store, [lease], queue.JobOutcome("failure", retry_after=1.0))
    assert [each.attempt for each in take(store, now=NOON + 2)] == [2]


def test_other_environments_and_skipped_jobs_do_not_wait(store: Store) -> None:
    elsewhere = {**CONTEXTS, "inputs": {"where": "staging"}}
    for text, contexts in (
        (ALONE, elsewhere),
        (ALONE, CONTEXTS),
        (pipeline(ship={"environment": "production", "if": "false"}), CONTEXTS),
    ):
        run = submit(store, **protected(BY_ANN, text), contexts=contexts)
        work_off(store)
        assert hot.load_run(store.notes, run).state == "finished"


def test_an_environment_that_cannot_be_named_fails_the_job(store: Store) -> None:
    text = pipeline(ship={"environment": "${{ fromJSON('{') }}"})
    run = submit(store, **protected(BY_ANN, text))
    assert job(store, run).reason.startswith("environment: ")


def test_a_limit_does_not_open_a_gate(store: Store) -> None:
    limit(store, "queue", "default", maximum=0)
    text = pipeline(build={}, ship={"environment": "production"})
    run = submit(store, **protected(BY_ANN, text))
    take(store)
    assert held(store, run) == {"queue:default", "approval: production"}
    limit(store, "queue", "default", maximum=1)
    assert [lease.key for lease in take(store)] == ["build"]
    assert held(store, run) == {"approval: production"}
    assert limits.reconcile(store.promises, NOON) == []


# -- time


def test_a_job_waits_for_its_time(store: Store) -> None:
    run = to_the_gate(store, Protection(wait=300))
    assert (job(store, run).state, held(store, run)) == ("scheduled", {"wait: production"})
    assert why(store, run).startswith("waits for production until ")
    assert queue.next_time(store) == NOON + 300
    queue.tend(store, NOON + 299)
    assert take(store, now=NOON + 299) == []
    assert queue.is_open(store, (), NOON) is False
    assert queue.is_open(store, (), NOON + 250) is True
    queue.tend(store, NOON + 300)
    assert [lease.key for lease in take(store, now=NOON + 300)] == ["ship"]


def test_the_wait_begins_when_the_job_comes(store: Store) -> None:
    run = to_the_gate(store, Protection(Reviewers(), wait=300))
    approve(store, run, now=NOON + 100)
    assert (job(store, run).due_at, held(store, run)) == (NOON + 300, {"wait: production"})
    late = to_the_gate(store, Protection(Reviewers(), wait=300))
    approve(store, late, now=NOON + 400)
    assert [lease.run for lease in take(store, now=NOON + 400)] == [late]


# -- branches


@pytest.mark.parametrize(
    ("ref", "is_open"),
    [
        ("refs/heads/main", True),
        ("refs/tags/v2", True),
        ("refs/heads/release/v1", False),
        ("refs/heads/wip", False),
        ("refs/pull/3/merge", False),
        ("", False),
    ],
)
def test_branches(store: Store, ref: str, is_open: bool) -> None:
    rules = Protection(Reviewers(), branches=("main", "v*", "!v1"))
    run = to_the_gate(store, rules, contexts={**CONTEXTS, "github": {"ref": ref}})
    assert (held(store, run) == {"approval: production"}) is is_open
    if not is_open:
        assert job(store, run).result == "failure"
        assert job(store, run).reason.startswith("production is not open to ")


# -- locks


def test_a_person_keeps_jobs_away(store: Store) -> None:
    lock = EnvironmentLock("PRODUCTION", "ann", "freeze", NOON)
    deliveries.lock_environment(store.promises, lock)
    run = to_the_gate(store, Protection())
    assert (job(store, run).state, held(store, run)) == ("blocked", {"lock: production"})
    assert why(store, run) == "production is locked by ann: freeze"
    queue.open_gates(store, NOON)
    assert take(store) == []
    deliveries.unlock_environment(store.promises, "PRODUCTION", "ann", store.now())
    queue.open_gates(store, NOON)
    assert work_off(store) == [run]


def test_what_was_unlocked_goes_on_though_nobody_said_so(store: Store) -> None:
    lock = EnvironmentLock("production", "ann", "", NOON)
    deliveries.lock_environment(store.promises, lock)
    run = to_the_gate(store, Protection())
    deliveries.unlock_environment(store.promises, "production", "ann", store.now())
    queue.reconcile(store, NOON)
    assert work_off(store) == [run]


def test_environments_that_share_a_lock_take_turns(store: Store) -> None:
    rules = {name: Protection(lock="db").to_json() for name in ("production", "staging")}
    text = pipeline(ship={"environment": "production"}, test={"environment": "staging"})
    options = {queue.PROTECTION: rules}
    first = submit(store, text, options=options)
    second = submit(store, text, options=options)
    order = []
    while leases := take(store):
        [lease] = leases
        order.append((lease.run, lease.key))
        end(store, leases)
    assert order == [(first, "ship"), (first, "test"), (second, "ship"), (second, "test")]


def test_who_waits_for_approval_holds_no_lock(store: Store) -> None:
    rules = Protection(Reviewers(), lock="db")
    first, second = to_the_gate(store, rules), to_the_gate(store, rules)
    approve(store, second)
    [lease] = take(store)
    assert lease.run == second
    approve(store, first)
    assert "waits for group `lock:db`" in why(store, first)
    end(store, [lease])
    assert work_off(store) == [first]


# -- quotas


def test_over_its_quota_a_job_fails(store: Store) -> None:
    rules = Protection(quota=Quota(2))
    runs = [to_the_gate(store, rules) for _ in range(3)]
    assert [job(store, run).result for run in runs] == ["success", "success", "failure"]
    assert job(store, runs[2]).reason == "production has had its 2 jobs of today (UTC)"
    tomorrow = to_the_gate(store, rules, now=NOON + DAY)
    assert job(store, tomorrow).result == "success"


def test_over_its_quota_a_job_waits(store: Store) -> None:
    rules = Protection(wait=1, quota=Quota(1, waits=True))
    first = to_the_gate(store, rules)
    second = to_the_gate(store, rules)
    queue.tend(store, NOON + 1)
    assert work_off(store, now=NOON + 1) == [first]
    assert held(store, second) == {"quota: production"}
    assert why(store, second).startswith("waits for the quota of production until ")
    midnight = NOON + DAY / 2
    assert job(store, second).due_at == midnight
    queue.tend(store, midnight)
    assert work_off(store, now=midnight) == [second]


def test_projects_have_quotas_of_their_own(store: Store) -> None:
    rules = Protection(quota=Quota(1))
    runs = [to_the_gate(store, rules, project=project) for project in ("/p", "/q", "/p")]
    assert [job(store, run).result for run in runs] == ["success", "success", "failure"]


def test_nobody_gets_in_between_the_question_and_the_answer(store: Store) -> None:
    rules = Protection(quota=Quota(1))
    first, second = (submit(store, **protected(rules)) for _ in range(2))
    one, other = take(store)
    asked: list[int] = []

    original = approvals.admitted_since

    def admitted_since(*values: Any) -> int:
        found = original(*values)
        if not asked:
            asked.append(found)
            end(store, [other])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approvals, "admitted_since", admitted_since)
        end(store, [one])
    assert asked == [0]
    assert {job(store, run).reason for run in (first, second)} == {
        "",
        "production has had its job of today (UTC)",
    }


# -- deployments that are paused


@pytest.mark.parametrize(("verdict", "state"), [("approved", "succeeded"), ("rejected", "failed")])
def test_a_paused_deployment_is_answered(
    store: Store, tmp_path: Path, verdict: Verdict, state: str
) -> None:
    run = submit(store, **protected(BY_ANN))
    world = World(tmp_path / "world.json")
    manual = {"blue-green": {"promote": "manual"}}
    definition = definition_of({**STEP, "strategy": manual}, "shop", "production")
    wanted = Order(definition, f"{run}/ship/s", run, "ship", "s", owner="al")
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(deliver, desk(store, world), wanted, Nowhere())
        wait_until(lambda: _is_paused(store, run), lambda: ending)
        [found] = queue.review(store, run, Review("bo", verdict, "looked"), store.now())
        assert (found.environment, found.missing) == ("production", 0)
        assert ending.result(60).state == state
    assert world.versions() == ({"1"} if verdict == "approved" else set())
    assert [each.comment for each in approvals.of_run(store.notes, run)] == ["looked"]
    with pytest.raises(RefusedError, match="waits for approval"):
        queue.review(store, run, Review("bo"), store.now())


def _is_paused(store: Store, run: int) -> bool:
    found = deliveries.deployments(store.notes, run=run, only_open=True)
    return [each.state for each in found] == ["paused"]
