"""Deployments from their order to their end, in a world that is a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.delivery.call import Nowhere
from runner.delivery.deliver import deliver
from runner.delivery.order import Desk, Ending
from runner.store import Store
from runner.store.deliveries import Subject, deployments, live, releases
from tests.deployed import World, desk, order

SHOP = Subject("shop", "test")


class Told(Nowhere):
    """Surroundings that remember what they are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append)


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
