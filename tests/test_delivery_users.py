"""Users of containers that are replaced: no request is lost, and what is bad is gone soon."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faulty import trouble
from benchmarks.switches import switches
from tests.shops import Shop, open_shop

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with open_shop(tmp_path_factory.mktemp("shop"), patience=1) as shop:
        yield shop


def test_no_request_fails(shop: Shop) -> None:
    found = switches(shop, 3, rate=100.0, quiet=0.3)
    assert found.failed() == Counter()
    assert len(found.answers) > 200
    assert {each.body for each in found.answers} == {"v0", "v1", "v2", "v3"}


def test_with_reloads_no_request_on_a_new_connection_fails(tmp_path: Path) -> None:
    with open_shop(tmp_path, proxy="nginx") as shop:
        found = switches(shop, 1, rate=50.0, quiet=0.3)
    assert set(found.failed()) <= {"reset, reused"}


def test_one_that_is_never_ready_is_seen_by_nobody(shop: Shop) -> None:
    shop.deploy("good")
    found = trouble(shop, "bad", "never")
    assert (found.report["state"], found.bad) == ("failed", [])
    assert 0.5 < found.detected < 3
    assert shop.holds_together() == "good"


@pytest.mark.parametrize("fault", ["errors", "crash"])
def test_the_report_says_what_users_noticed(shop: Shop, fault: str) -> None:
    """When they got the first bad answer, and when they got the last one."""
    shop.deploy("good")
    found = trouble(shop, fault, fault)
    assert found.report["state"] == "rolled-back"
    assert found.bad
    assert found.detected <= found.report["seconds_to_detect"]
    assert found.outlived <= found.restored + 0.1
    assert shop.holds_together() == "good"
