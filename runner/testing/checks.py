"""What every check has to pass, as functions that raise AssertionError with a sentence.

```python
make = partial(check_call, folder, address=address)
describes_itself(check)
answers(check, {"path": "/"}, make, "pass")
ends_in_time(check, {"path": "/"}, partial(check_call, folder, address=one_that_hangs))
```
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.delivery.call import AskedCall, Surroundings
from runner.plugin import CheckResult, DeliveryError, Machine, PluginCheck, Verdict

#: Makes the call that a check is asked with; takes fields of it, such as `with_` and `deadline`.
Make = Callable[..., AskedCall]

#: The settings that all checks have, which the runner reads.
COMMON = {"name", "interval", "timeout", "successes", "failures", "within", "required"}
#: How many bytes of JSON the evidence may take, and characters the message.
EVIDENCE, MESSAGE = 8192, 1000
BAD_PARTS = {"oneOf", "anyOf", "allOf", "not", "$ref"}


def describes_itself(check: PluginCheck) -> None:
    """Its schema explains every setting, allows no others, and leaves the common ones alone."""
    assert check.schema.get("type") == "object", f"the settings of {check.name} are a map"
    taken = sorted(COMMON & set(check.schema.get("properties", ())))
    assert not taken, f"{check.name} has {taken}, which the runner reads itself"
    for path, schema in _tables("", check.schema):
        closed = schema.get("additionalProperties") is not None
        assert closed, f"{check.name}{path} takes settings that nobody knows"
        for name, setting in schema.get("properties", {}).items():
            _explains(f"{check.name}{path}.{name}", setting)


def _tables(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A schema, and those in it that are of maps, each with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        if "object" in inner.get("type", ()):
            yield from _tables(f"{path}.{name}", inner)


def _explains(where: str, setting: Mapping[str, Any]) -> None:
    name = where.rpartition(".")[2]
    assert name == name.lower().replace("_", "-"), f"{where} is not in lower case with hyphens"
    assert setting.get("description"), f"{where} has no description"
    assert setting.get("examples"), f"{where} has no examples"
    bad = sorted(BAD_PARTS & set(setting))
    assert not bad, f"{where} has {bad}: people are told what they may write in one sentence"


def answers(
    check: PluginCheck, settings: Mapping[str, Any], make: Make, verdict: Verdict
) -> CheckResult:
    """With these settings, its verdict is this one; returns the whole answer."""
    result = ask(check, make(with_=settings))
    said = f"{check.name} says {result.verdict}: {result.message}"
    assert result.verdict == verdict, f"{said}; expected is {verdict}"
    return result


def ask(check: PluginCheck, call: AskedCall) -> CheckResult:
    """Ask it once, as the runner does, and hold what it answers against the contract."""
    result = _asked(check, call)
    assert isinstance(result, CheckResult), f"{check.name} answers {result!r}, no CheckResult"
    assert result.message, f"{check.name} says {result.verdict} and not why"
    assert len(result.message) <= MESSAGE, f"the message of {check.name} is too long"
    assert "\n" not in result.message, f"the message of {check.name} has more than one line"
    try:
        evidence = json.dumps(dict(result.evidence), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the evidence of {check.name} is no JSON: {error}") from None
    assert len(evidence) <= EVIDENCE, f"the evidence of {check.name} is too long"
    return result


def _asked(check: PluginCheck, call: AskedCall) -> CheckResult:
    try:
        return check.run(call)
    except DeliveryError as error:
        return CheckResult("error", str(error))
    except Exception as error:
        # a bad answer has a verdict, and what cannot be asked is told to the user in a sentence
        raise AssertionError(f"{check.name} raises {type(error).__name__}: {error}") from error


def ends_in_time(
    check: PluginCheck,
    settings: Mapping[str, Any],
    make: Make,
    within: float = 1.0,
    slack: float = 1.0,
) -> CheckResult:
    """It answers when its time is up, and does not say that all is well; give it something that
    never answers."""
    start = time.monotonic()
    result = ask(check, make(with_=settings, deadline=start + within))
    took = time.monotonic() - start
    assert took <= within + slack, f"{check.name} had {within} s and took {took:.1f} s"
    assert result.verdict != "pass", f"{check.name} passes what never answered"
    return result


def ends_when_cancelled(
    check: PluginCheck,
    settings: Mapping[str, Any],
    make: Make,
    after: float = 0.3,
    slack: float = 1.0,
) -> None:
    """It answers soon after somebody asked it to end; give it something that never answers."""
    start = time.monotonic()
    call = make(with_=settings, deadline=start + 60)
    ask(check, replace(call, around=Impatient(call.around, start + after)))
    took = time.monotonic() - start
    assert took <= after + slack, f"{check.name} goes on for {took - after:.1f} s when cancelled"


@dataclass(frozen=True, slots=True)
class Impatient:
    """Surroundings that cancel a call at a time of `time.monotonic()`, and are others otherwise."""

    around: Surroundings
    at: float

    def log(self, text: str) -> None:
        self.around.log(text)

    def mask(self, value: str) -> None:
        self.around.mask(value)

    def cancelled(self) -> bool:
        return time.monotonic() >= self.at

    def machine(self, name: str) -> Machine:
        return self.around.machine(name)

    def pack(self, path: str) -> Iterator[bytes]:
        return self.around.pack(path)
