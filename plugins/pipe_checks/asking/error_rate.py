"""The check `error-rate`: how many of the real requests fail, as the switch or Prometheus counts."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipe_checks.asking.metrics import metrics
from pipe_checks.asking.settings import Settings
from runner.plugin import CheckResult, DeliveryError, failed, inconclusive, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall, Traffic


@dataclass(frozen=True, slots=True)
class Count:
    """Requests, and how many of them failed."""

    requests: float = 0
    errors: float = 0

    @property
    def share(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    limit, needed = settings.share("max", "5%"), settings.whole("min-requests", 50)
    if settings.has("prometheus"):
        return _judged(_asked(call, settings.inner("prometheus")), limit, needed)
    window, part, count = _span(call.with_), 0.0, Count()
    for part, count in _watched(call, window):
        if count.requests >= needed and _cannot_recover(count, limit, part):
            return _judged(count, limit, needed)
    if part < 1:
        told = f"only {part * window:.0f} of {window:g} seconds could be watched"
        return _undecided(told, count, limit)
    return _judged(count, limit, needed)


def _span(settings: Mapping[str, Any]) -> float:
    return Settings(settings).seconds("window", "1m")


def _cannot_recover(count: Count, limit: float, part: float) -> bool:
    """Whether too many fail even if no more do and requests go on to come as they did."""
    return count.errors * part > limit * count.requests


def _asked(call: "CheckCall", settings: Settings) -> Count:
    server = metrics(call, settings)
    return Count(server.total(settings.text("requests")), server.total(settings.text("errors")))


def _watched(call: "CheckCall", window: float) -> Iterator[tuple[float, Count]]:
    """What came since the beginning, after each part of the window; ends early with the call."""
    first, total = _traffic(call), Count()
    looks = max(1, math.ceil(window / max(0.1, min(1.0, window / 20))))
    for look in range(1, looks + 1):
        if not call.wait(window / looks):
            return
        now = _traffic(call)
        total, first = _added(total, first, now), now
        yield look / looks, total


def _traffic(call: "CheckCall") -> "Mapping[str, Traffic]":
    counted = call.traffic()
    if counted is None:
        raise DeliveryError("nothing counts requests here: use a switch that does, or `prometheus`")
    names = {each.name for each in call.instances}
    return {name: each for name, each in counted.items() if not names or name in names}


def _added(total: Count, before: "Mapping[str, Traffic]", now: "Mapping[str, Traffic]") -> Count:
    """The total with what came between; a counter that is lower than before has started again."""
    requests, errors = total.requests, total.errors
    for name, each in now.items():
        old = before.get(name)
        is_on = old is not None and old.requests <= each.requests and old.errors <= each.errors
        requests += each.requests - (old.requests if old and is_on else 0)
        errors += each.errors - (old.errors if old and is_on else 0)
    return Count(requests, errors)


def _undecided(message: str, count: Count, limit: float) -> CheckResult:
    return inconclusive(message, **_details(count, limit))


def _details(count: Count, limit: float) -> dict[str, Any]:
    evidence = {"requests": round(count.requests), "errors": round(count.errors)}
    value = round(count.share, 5)
    return {"value": value, "limit": limit, "samples": round(count.requests), "evidence": evidence}


def _judged(count: Count, limit: float, needed: int) -> CheckResult:
    if count.requests < needed:
        message = f"{count.requests:.0f} requests are too few to tell: {needed} are needed"
        return _undecided(message, count, limit)
    # A request that came before the first look may have failed after it.
    count = Count(count.requests, min(count.errors, count.requests))
    told = f"{count.errors:.0f} of {count.requests:.0f} requests failed ({count.share:.2%})"
    if count.share > limit:
        return failed(f"{told}, more than {limit:.2%}", **_details(count, limit))
    return passed(told, **_details(count, limit))


def lasts(settings: Mapping[str, Any]) -> float:
    return 0.0 if settings.get("prometheus") else _span(settings)
