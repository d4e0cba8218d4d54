"""Deployments from their order to their end, in a world that is a file."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.delivery.call import Nowhere
from runner.delivery.deliver import deliver
from runner.delivery.order import Desk, Ending, Order
from runner.delivery.recovery import retire
from runner.delivery.rollback import order_back
from runner.delivery.sealing import restored
from runner.delivery.undoing import others_failed, undo, undo_run
from runner.errors import InvalidInputError
from runner.plugin import CheckCall, CheckResult, PluginCheck
from runner.store import Store
from runner.store.deliveries import (
    LEASE,
    DeploymentRecord,
    EnvironmentLock,
    Holder,
    Opening,
    OutdatedError,
    Subject,
    deployments,
    journal,
    live,
    lock_environment,
    open_deployment,
    releases,
    try_take,
    unlock_environment,
)
from tests.deployed import World, WorldPlugins, desk, order
from tests.leftovers import wait_until

SHOP = Subject("shop", "test")


class Told(Nowhere):
    """Surroundings that remember what they are told; it is cancelled by a line that starts so."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ends_at = ""
        super().__init__(self.lines.append)

    def cancelled(self) -> bool:
        return bool(self.ends_at) and any(line.startswith(self.ends_at) for line in self.lines)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world.json")


@pytest.fixture
def store(pipe_home: Path) -> Iterator[Store]:
    with Store.open(pipe_home) as store:
        yield store


@pytest.fixture
def here(store: Store, world: World) -> Desk:
    return desk(store, world)


def go(here: Desk, version: str, **changes: Any) -> Ending:
    return deliver(here, order(version, **changes), Told())


def states(store: Store) -> list[tuple[str, int, str]]:
    return [(each.kind, each.release, each.state) for each in deployments(store.promises)]


def test_a_first_release_goes_live(here: Desk, world: World, store: Store) -> None:
    ended = go(here, "1.0")
    assert (ended.state, ended.release, ended.previous) == ("succeeded", 1, None)
    assert world.versions() == {"1.0"}
    found = live(store.promises, SHOP)
    assert found is not None
    assert (found.release, found.holder) == (1, None)
    assert [each.state for each in releases(store.promises, SHOP)] == ["good"]


@pytest.mark.parametrize(
    "strategy",
    [
        "recreate",
        "rolling",
        "blue-green",
        {"canary": {"steps": [{"weight": 10, "hold": "20ms"}, {"weight": 50}]}},
    ],
)
@pytest.mark.parametrize("replicas", [1, 3])
def test_a_release_takes_the_place_of_another(
    here: Desk, world: World, strategy: Any, replicas: int
) -> None:
    settings = {"replicas": replicas}
    go(here, "1.0", strategy=strategy, **{"with": settings})
    ended = go(here, "2.0", strategy=strategy, **{"with": settings})
    assert (ended.state, ended.release, ended.previous) == ("succeeded", 2, 1)
    assert world.versions() == {"2.0"}
    assert len(world.running()) == replicas
    if strategy != "recreate":
        assert world.read()["gaps"] == []


@pytest.mark.parametrize("strategy", ["recreate", "rolling", "blue-green", "canary"])
def test_one_that_is_bad_goes_back(here: Desk, world: World, store: Store, strategy: str) -> None:
    go(here, "1.0", strategy=strategy)
    bad = {"live": [{"version": {"bad": ["2.0"], "within": "100ms", "interval": "10ms"}}]}
    ended = go(here, "2.0", strategy=strategy, verify=bad)
    assert (ended.state, ended.reason) == ("rolled-back", "health-failed")
    assert world.versions() == {"1.0"}
    assert len(world.running()) == 1
    assert states(store)[1:] == [("deploy", 2, "rolled-back"), ("rollback", 1, "succeeded")]
    assert [each.state for each in releases(store.promises, SHOP)] == ["good", "bad"]


def test_one_that_never_gets_ready_changes_nothing(here: Desk, world: World) -> None:
    go(here, "1.0")
    before = world.read()["weights"]
    bad = {"ready": [{"version": {"bad": ["2.0"], "within": "100ms", "interval": "10ms"}}]}
    ended = go(here, "2.0", verify=bad)
    assert (ended.state, ended.reason) == ("failed", "health-failed")
    assert world.read()["weights"] == before
    assert world.running() == {"blue-1"}
    assert set(world.read()["instances"]) == {"blue-1"}


def test_a_switch_that_lies_is_named_and_its_deployment_undone(here: Desk, world: World) -> None:
    go(here, "1.0")
    go(here, "2.0")
    ended = go(here, "3.0", switch={"use": "proxy", "with": {"lie": True}})
    assert ended.state == "rolled-back"
    assert "the switch `proxy` sends traffic to green-1 (100)" in ended.message
    assert world.versions() == {"2.0"}


def test_a_release_that_is_named_becomes_live_again(here: Desk, world: World, store: Store) -> None:
    for version in ("1.0", "2.0", "3.0"):
        go(here, version)
    ended = deliver(here, back(here, to="1.0"), Told())
    assert (ended.state, ended.release, ended.previous) == ("succeeded", 1, 3)
    assert world.versions() == {"1.0"}
    assert states(store)[-1] == ("rollback", 1, "succeeded")


def test_the_way_back_is_to_the_last_good_release(here: Desk, world: World) -> None:
    go(here, "1.0")
    go(here, "2.0")
    go(here, "3.0", verify={"live": [{"version": {"bad": ["3.0"], "within": "20ms"}}]})
    assert deliver(here, back(here), Told()).release == 1
    assert world.versions() == {"1.0"}


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("9.9", "no release of shop in test is called `9.9`"),
        ("1.0", "1.0 is live already"),
        ("", "no good release of shop in test before the one that is live"),
    ],
)
def test_where_there_is_no_way_back(here: Desk, to: str, said: str) -> None:
    go(here, "1.0")
    with pytest.raises(InvalidInputError, match=said):
        back(here, to=to)


def test_a_way_back_that_fails_is_not_undone(here: Desk, world: World, store: Store) -> None:
    verify = {"live": [{"breaks": {"within": "50ms", "interval": "10ms"}}]}
    go(here, "1.0", verify=verify)
    go(here, "2.0")
    ended = deliver(failing(here), back(here, to="1.0"), Told())
    assert ended.state == "rollback-failed"
    assert states(store)[-1] == ("rollback", 1, "rollback-failed")
    assert [each.state for each in releases(store.promises, SHOP)] == ["good", "good"]


def test_a_rollback_that_fails_says_so(here: Desk, store: Store) -> None:
    go(here, "1.0", verify={"live": [{"breaks": {"within": "50ms", "interval": "10ms"}}]})
    bad = {"live": [{"version": {"bad": ["2.0"], "within": "20ms", "interval": "10ms"}}]}
    ended = deliver(failing(here), order("2.0", verify=bad), Told())
    assert ended.state == "rollback-failed"
    assert "the live check `version` failed: 2.0 is bad; the rollback failed" in ended.message


def failing(here: Desk) -> Desk:
    """A desk where the check `breaks` has no answer any more."""
    check = PluginCheck("breaks", {"type": "object"}, broken)
    plugins = WorldPlugins(here.plugins.world, extra_checks={"breaks": check})  # type: ignore[attr-defined]
    return replace(here, plugins=plugins)


def broken(call: CheckCall) -> CheckResult:
    raise ZeroDivisionError(call.version)


def back(here: Desk, to: str = "") -> Order:
    return order_back(here, "shop", "test", to=to, key=f"back to {to}", owner="bo", secrets={})


def test_what_is_kept_running_is_stopped_when_its_time_is_over(
    here: Desk, world: World, store: Store
) -> None:
    go(here, "1.0")
    go(here, "2.0", keep={"releases": 3, "previous-running": "100ms"})
    assert world.running() == {"blue-1", "green-1"}
    wait_until(lambda: retire(here, SHOP, Told(), {}) == ["blue-1"], "it is stopped")
    assert world.running() == {"green-1"}
    assert retire(here, SHOP, Told(), {}) == []


def test_checks_of_a_soak_are_asked_at_the_same_time(here: Desk) -> None:
    """What one brings about, another may count."""
    both = threading.Barrier(2)

    def meets(call: CheckCall) -> CheckResult:
        both.wait(5)
        return CheckResult("pass")

    check = PluginCheck("meets", {"type": "object"}, meets)
    plugins = WorldPlugins(here.plugins.world, extra_checks={"meets": check})  # type: ignore[attr-defined]
    soak = {"for": "50ms", "every": "50ms", "fail-after": 1}
    asked = [{"meets": {"name": name}} for name in ("one", "other")]
    verify = {"soak": {**soak, "checks": asked}}
    assert go(replace(here, plugins=plugins), "1.0", verify=verify).state == "succeeded"


# -- limits and wishes


@pytest.mark.parametrize(
    ("policy", "state", "versions"),
    [
        (False, "failed", {"2.0"}),
        ({"on": ["error-rate"]}, "failed", {"2.0"}),
        ({"on": ["error-rate", "version"]}, "rolled-back", {"1.0"}),
        ({"on": ["health-failed"]}, "rolled-back", {"1.0"}),
    ],
)
def test_what_a_rollback_is_for(
    here: Desk, world: World, policy: Any, state: str, versions: set[str]
) -> None:
    go(here, "1.0")
    bad = {"live": [{"version": {"bad": ["2.0"], "within": "20ms", "interval": "10ms"}}]}
    assert go(here, "2.0", verify=bad, rollback=policy).state == state
    assert world.versions() == versions


def test_a_reason_to_go_back_that_does_not_exist_is_named(here: Desk) -> None:
    with pytest.raises(InvalidInputError, match=r"`rollback\.on` does not know `helth-failed`"):
        go(here, "1.0", rollback={"on": ["helth-failed"]})


def test_a_deployment_that_takes_too_long_goes_back(here: Desk, world: World) -> None:
    go(here, "1.0")
    ended = go(here, "2.0", timeout="300ms", verify={"soak": {"for": "1h", "every": "20ms"}})
    assert (ended.state, ended.reason) == ("rolled-back", "timeout")
    assert world.versions() == {"1.0"}


def test_one_that_is_cancelled_goes_back(here: Desk, world: World) -> None:
    go(here, "1.0")
    told = Told()
    told.ends_at = "traffic goes to green-1"
    soak = {"soak": {"for": "1h", "every": "20ms"}}
    ended = deliver(here, order("2.0", verify=soak), told)
    assert (ended.state, ended.reason) == ("rolled-back", "cancelled")
    assert world.versions() == {"1.0"}
    with Store.open(here.store.home) as store:
        assert [each.state for each in releases(store.promises, SHOP)] == ["good", "candidate"]


def test_findings_keep_it_from_starting(here: Desk, world: World) -> None:
    go(here, "1.0")
    ended = go(here, "2.0", **{"with": {"refuse": ["the disk is full"]}})
    assert (ended.state, ended.message) == ("failed", "the disk is full")
    assert world.versions() == {"1.0"}


@pytest.mark.parametrize("how", ["start", "raise", "crash", "hang", "ghost", "nonsense"])
def test_a_target_that_fails_is_named(here: Desk, world: World, how: str) -> None:
    go(here, "1.0")
    ended = go(here, "2.0", timeout="500ms", **{"with": {"break": [how]}})
    assert ended.state == "failed"
    assert "target `world`" in ended.message
    assert world.running() == {"blue-1"}


@pytest.mark.parametrize("how", ["raise", "crash", "hang", "nonsense"])
def test_a_switch_that_fails_is_named_and_its_deployment_undone(
    here: Desk, world: World, how: str
) -> None:
    go(here, "1.0")
    switch = {"use": "proxy", "with": {"break": [how]}}
    # The way back asks how many requests there are, too.
    state = "rollback-failed" if how == "nonsense" else "rolled-back"
    ended = go(here, "2.0", timeout="500ms", switch=switch)
    assert (ended.state, world.versions()) == (state, {"1.0"})
    assert "switch `proxy`" in ended.message


@pytest.mark.parametrize("answer", [None, 42, {"verdict": "pass"}])
def test_a_check_that_answers_nonsense_is_named(here: Desk, world: World, answer: Any) -> None:
    go(here, "1.0")
    check = PluginCheck("odd", {"type": "object"}, lambda call: answer)
    plugins = WorldPlugins(world, extra_checks={"odd": check})
    odd = {"live": [{"odd": {"within": "20ms", "interval": "10ms"}}]}
    ended = deliver(replace(here, plugins=plugins), order("2.0", verify=odd), Told())
    assert (ended.state, world.versions()) == ("rolled-back", {"1.0"})
    assert "the check `odd` gave" in ended.message


# -- turns


def test_of_two_at_once_one_waits(here: Desk, store: Store, world: World) -> None:
    first = open_deployment(store.promises, opening("a"), store.now(), here.process)
    assert try_take(store.promises, SHOP, first.id, here.process, store.now()) == 1
    told = Told()
    thread = threading.Thread(target=deliver, args=(here, order("2.0"), told))
    thread.start()
    wait_until(lambda: told.lines[:1] == ["waits for deployment 1 of shop in test"], "it waits")
    holder = Holder(store.promises, SHOP, first.id, 1)
    holder.finish("cancelled", store.now())
    holder.let_go()
    thread.join(20)
    assert world.versions() == {"2.0"}


def test_they_go_in_the_order_in_which_they_came(here: Desk, store: Store) -> None:
    connection, now = store.promises, store.now()
    first, second, third = (
        open_deployment(connection, opening(key), now, here.process).id for key in "abc"
    )
    waits = try_take(connection, SHOP, third, here.process, now)
    assert isinstance(waits, DeploymentRecord)
    assert waits.id == first
    assert try_take(connection, SHOP, first, here.process, now) == 1
    Holder(connection, SHOP, first, 1).let_go()
    waits = try_take(connection, SHOP, third, here.process, now)
    assert isinstance(waits, DeploymentRecord)
    assert waits.id == second


def test_a_dead_holder_is_succeeded_and_its_writes_are_refused(here: Desk, store: Store) -> None:
    connection, now = store.promises, store.now()
    first = open_deployment(connection, opening("a"), now, "1:1:nowhere")
    assert try_take(connection, SHOP, first.id, dead_process(), now) == 1
    second = open_deployment(connection, opening("b"), now, here.process)
    assert try_take(connection, SHOP, second.id, here.process, now) == 2
    old = Holder(connection, SHOP, first.id, 1)
    for change in (old.let_go, lambda: old.renew(now), lambda: old.write(0, "intent", {}, now)):
        with pytest.raises(OutdatedError, match="has taken over"):
            change()
    assert journal(connection, first.id) == []


def test_one_that_is_silent_for_too_long_is_succeeded(here: Desk, store: Store) -> None:
    connection, now = store.promises, store.now()
    first = open_deployment(connection, opening("a"), now, here.process)
    try_take(connection, SHOP, first.id, here.process, now)
    second = open_deployment(connection, opening("b"), now, here.process)
    assert isinstance(
        try_take(connection, SHOP, second.id, here.process, now + 50), DeploymentRecord
    )
    assert try_take(connection, SHOP, second.id, here.process, now + LEASE + 1) == 2


def test_a_person_keeps_deployments_away(here: Desk, store: Store, world: World) -> None:
    lock_environment(store.promises, EnvironmentLock("test", "bo", "we sell", store.now()))
    told = Told()
    thread = threading.Thread(target=deliver, args=(here, order("1.0"), told))
    thread.start()
    wait_until(lambda: told.lines[:1] != [], "it waits")
    assert told.lines[0].startswith("test is locked by bo: we sell")
    assert world.versions() == set()
    unlock_environment(store.promises, "test", "ann", store.now())
    thread.join(20)
    assert world.versions() == {"1.0"}


def opening(key: str) -> Opening:
    return Opening(SHOP, 1, "deploy", key, 0, "", "", "ann", "", 0.0)


def dead_process() -> str:
    """A process of this machine that has ended."""
    ended = subprocess.run(
        [sys.executable, "-c", "from runner.store.process import *; print(process_identity())"],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


# -- several of one run


def test_a_failure_undoes_all_that_the_run_has_deployed(
    here: Desk, world: World, store: Store
) -> None:
    go(here, "1.0")
    first = deliver(here, replace(order("2.0"), run=7), Told())
    failed = Ending("failed", other_deployment(store, run=7))
    endings = undo_run(here, failed, Told(), {})
    assert [(each.state, each.release) for each in endings] == [("succeeded", 1)]
    assert world.versions() == {"1.0"}
    assert [each.state for each in releases(store.promises, SHOP)] == ["good", "bad"]
    assert undo(here, first.deployment, "again", Told(), {}) is None


def test_one_that_succeeds_while_another_fails_learns_of_it(here: Desk, store: Store) -> None:
    ended = deliver(here, replace(order("2.0"), run=7), Told())
    assert others_failed(here, ended.deployment) is None
    number = other_deployment(store, run=7)
    found = others_failed(here, ended.deployment)
    assert found is not None
    assert found.id == number


def other_deployment(store: Store, run: int) -> int:
    """A deployment of another application in the same run, which has failed."""
    other = Subject("other", "test")
    made = replace(opening("other"), subject=other, run=run)
    record = open_deployment(store.promises, made, store.now())
    token = try_take(store.promises, other, record.id, "", store.now())
    assert isinstance(token, int)
    Holder(store.promises, other, record.id, token).finish("failed", store.now())
    return record.id


# -- secrets


def test_no_secret_is_recorded(here: Desk, store: Store) -> None:
    secrets = {"TOKEN": "hunter2-hunter2", "PART": "hunter2"}
    settings: dict[str, Any] = {"env": {"A": "x hunter2-hunter2 y", "B": "hunter2"}}
    changes: dict[str, Any] = {"with": settings}
    first = replace(order("1.0", **changes), secrets=secrets)
    deliver(here, first, Told())
    [known] = releases(store.promises, SHOP)
    sealed = {"A": "x ${{ secrets.TOKEN }} y", "B": "${{ secrets.PART }}"}
    assert known.definition["with"]["env"] == sealed
    assert restored(known, secrets).target.with_["env"] == settings["env"]
    with pytest.raises(InvalidInputError, match="the secret TOKEN is needed"):
        restored(known, {"PART": "x"})
