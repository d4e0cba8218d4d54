"""What every switch has to pass: a real one, with two instances behind it that serve.

```python
switches.switch_holds(Ground(plugin, settings, call, blue, green, "127.0.0.1:8080"))
```
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from runner.plugin import DeliveryCall, DeliveryError, Instance, PluginSwitch, Switch, Weights

#: How far from what it was told a switch may divide, of 100.
TOLERANCE = 1.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What a switch is tried on.

    `call` makes a call as `delivery_call` does, and takes the same changes. `address` is the
    `host:port` at which clients reach the switch, and `long_path` a path whose answer takes a
    second or more after its headers.
    """

    plugin: PluginSwitch
    settings: Mapping[str, Any]
    call: Callable[..., DeliveryCall]
    blue: Instance
    green: Instance
    address: str
    long_path: str = "/long"

    def open(self) -> Switch:
        """The switch as another process would open it: it remembers nothing by itself."""
        return self.plugin.open(self.settings)

    def apply(self, weights: Weights, **changes: Any) -> Weights:
        return self.open().apply(self.call(**changes), (self.blue, self.green), weights)


def switch_holds(ground: Ground) -> None:
    """Hold the switch against all claims; raises AssertionError with what it does not keep."""
    for claim in (
        it_is_ready,
        it_says_what_it_does,
        it_repeats_itself,
        it_divides_as_told,
        it_drops_who_is_not_there,
        it_lets_requests_end,
        it_refuses_who_is_too_late,
    ):
        claim(ground)


def it_is_ready(ground: Ground) -> None:
    """Nothing speaks against a deployment, before the first one and after it."""
    _nothing_is_found(ground)
    ground.apply({ground.blue.name: 100})
    _nothing_is_found(ground)


def it_says_what_it_does(ground: Ground) -> None:
    """What it returns is what was asked for, and what it says later."""
    blue, green = ground.blue.name, ground.green.name
    for weights in ({blue: 100}, {blue: 90, green: 10}, {green: 100}):
        _agree(ground.apply(weights), weights, "apply returns")
        _agree(ground.open().observe(ground.call()), weights, "observe says")


def it_repeats_itself(ground: Ground) -> None:
    """A call that is repeated with its key ends as it did the first time."""
    weights = {ground.blue.name: 70, ground.green.name: 30}
    for _ in range(2):
        _agree(ground.apply(weights, key="repeated"), weights, "apply, repeated, returns")


def it_divides_as_told(ground: Ground) -> None:
    """Weights count against each other, whatever their sum is."""
    for one, other in ((1, 3), (100, 100), (1, 99)):
        weights = {ground.blue.name: one, ground.green.name: other}
        _agree(ground.apply(weights), weights, "apply returns")


def it_drops_who_is_not_there(ground: Ground) -> None:
    """Instances that are not among the given ones get nothing any more, and can come back."""
    ground.apply({ground.blue.name: 50, ground.green.name: 50})
    only = {ground.green.name: 100}
    _agree(ground.open().apply(ground.call(), (ground.green,), only), only, "apply returns")
    _agree(ground.open().observe(ground.call()), only, "observe says")
    _agree(ground.apply({ground.blue.name: 100}), {ground.blue.name: 100}, "apply returns")


def it_lets_requests_end(ground: Ground) -> None:
    """A request that is on its way to an instance ends well, though the instance gets none."""
    ground.apply({ground.blue.name: 100})
    host, _, port = ground.address.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("GET", ground.long_path)
        response = connection.getresponse()
        ground.apply({ground.green.name: 100})
        assert response.status == 200, f"{ground.long_path} answers with {response.status}"
        assert response.read(), f"{ground.long_path} has an empty answer"
    except (OSError, HTTPException) as error:
        raise AssertionError(f"a request that was on its way is lost: {error!r}") from error
    finally:
        connection.close()


def it_refuses_who_is_too_late(ground: Ground) -> None:
    """Whose token is older than one that was seen changes nothing. (No older one can follow.)"""
    blue, green = {ground.blue.name: 100}, {ground.green.name: 100}
    ground.apply(blue, token=8)
    refusal = _refusal(lambda: ground.apply(green, token=7))
    assert refusal is not None, "a call with the token 7 is obeyed after one with 8"
    assert "7" in refusal, f"the refusal does not name the older token, 7: {refusal}"
    assert "8" in refusal, f"the refusal does not name the token that was seen, 8: {refusal}"
    _agree(ground.open().observe(ground.call(token=8)), blue, "after the refusal, observe says")
    _agree(ground.apply(green, token=8), green, "with the newer token again, apply returns")


def _nothing_is_found(ground: Ground) -> None:
    findings = ground.open().preflight(ground.call())
    errors = [finding.message for finding in findings if finding.level == "error"]
    assert not errors, f"preflight finds: {'; '.join(errors)}"


def _refusal(call: Callable[[], object]) -> str | None:
    try:
        call()
    except DeliveryError as error:
        return str(error)
    return None


def _agree(said: Weights, asked: Weights, who: str) -> None:
    """Both divide in the same way."""
    names = sorted(set(said) | set(asked))
    shares = [(_share(said, name), _share(asked, name)) for name in names]
    close = all(abs(one - other) <= TOLERANCE and bool(one) == bool(other) for one, other in shares)
    assert close, f"{who} {dict(said)} where {dict(asked)} was asked for"


def _share(weights: Weights, name: str) -> float:
    return 100 * weights.get(name, 0) / (sum(weights.values()) or 1)
