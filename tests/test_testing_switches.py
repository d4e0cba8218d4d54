"""What every switch has to hold: each claim finds the switch that does not."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.plugin import (
    DeliveryCall,
    DeliveryError,
    Finding,
    Instance,
    PluginSwitch,
    fenced,
)
from runner.testing import delivery_call, switches
from runner.testing.switches import Ground

BLUE, GREEN = Instance("blue-1"), Instance("green-1")


@dataclass
class Sign:
    """A switch that moves nothing and keeps its word."""

    said: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    address: str = ""

    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        return []

    def observe(self, call: DeliveryCall) -> Mapping[str, int]:
        return dict(self.said)

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        with fenced(call, call.folder / "sign"):
            self.said = {each.name: weights.get(each.name, 0) for each in instances}
        return dict(self.said)

    def traffic(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        """It counts nothing."""


class Unready(Sign):
    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        return [Finding("there is no wall")]


class Boastful(Sign):
    """It returns what it was asked for, and does the half of it."""

    def observe(self, call: DeliveryCall) -> Mapping[str, int]:
        return {name: weight for name, weight in self.said.items() if weight > 10}


class Counting(Sign):
    """It does again what was done already."""

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        repeated = self.keys.count(call.key)
        self.keys.append(call.key)
        named = {name: weight + 20 * repeated for name, weight in weights.items()}
        return super().apply(call, instances, named)


class Coarse(Sign):
    """It has tenths only."""

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        total = sum(weights.values()) or 1
        tenths = {name: round(10 * weight / total) for name, weight in weights.items()}
        return super().apply(call, instances, tenths)


class Loyal(Sign):
    """Whom it knows once stays."""

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        before = self.said
        super().apply(call, instances, weights)
        self.said = before | self.said
        return dict(self.said)


class Obedient(Sign):
    """It does what anybody says."""

    def apply(
        self, call: DeliveryCall, instances: Sequence[Instance], weights: Mapping[str, int]
    ) -> Mapping[str, int]:
        self.said = {each.name: weights.get(each.name, 0) for each in instances}
        return dict(self.said)


def ground(switch: Sign, folder: Path, address: str = "127.0.0.1:1") -> Ground:
    def call(**changes: Any) -> DeliveryCall:
        return delivery_call(folder, **changes)

    return Ground(PluginSwitch("sign", {}, lambda _: switch), {}, call, BLUE, GREEN, address)


@contextmanager
def cut_off() -> Iterator[str]:
    """The address of a server that ends a connection in the middle of its answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("switch", "claim", "message"),
    [
        (Unready(), switches.it_is_ready, "preflight finds: there is no wall"),
        (Boastful(), switches.it_says_what_it_does, "observe says .*'blue-1': 90.* where"),
        (Counting(), switches.it_repeats_itself, "apply, repeated, returns .*90.* where .*70"),
        (Coarse(), switches.it_divides_as_told, "apply returns .* where .*1.*3"),
        (Loyal(), switches.it_drops_who_is_not_there, "apply returns .*'blue-1': 50"),
        (Obedient(), switches.it_refuses_who_is_too_late, "token 7 is obeyed after one with 8"),
    ],
)
def test_a_switch_that_does_not_keep_its_word(
    tmp_path: Path, switch: Sign, claim: Callable[[Ground], None], message: str
) -> None:
    claim(ground(Sign(), tmp_path / "good"))
    with pytest.raises(AssertionError, match=message):
        claim(ground(switch, tmp_path / "bad"))


def test_a_switch_that_loses_a_request(tmp_path: Path) -> None:
    with (
        cut_off() as address,
        pytest.raises(AssertionError, match="a request that was on its way is lost: Incomplete"),
    ):
        switches.it_lets_requests_end(ground(Sign(), tmp_path, address))


# -- the fence, which plugins keep their word with


def test_who_is_too_late_is_refused(tmp_path: Path) -> None:
    for token in (3, 3, 5):
        with fenced(delivery_call(tmp_path, token=token), tmp_path / "fence"):
            pass
    late = delivery_call(tmp_path, token=4)
    with (
        pytest.raises(DeliveryError, match="token 4 of shop in test, and 5 has been here"),
        fenced(late, tmp_path / "fence"),
    ):
        raise AssertionError("it was let in")
    with fenced(late, tmp_path / "another"):
        pass


def test_one_call_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    began = threading.Event()

    def second() -> None:
        began.set()
        with fenced(delivery_call(tmp_path, token=2), tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    with fenced(delivery_call(tmp_path, token=1), tmp_path):
        thread.start()
        began.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
