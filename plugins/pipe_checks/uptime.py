"""The check `uptime`: instances stay alive for a while without starting again."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipe_checks.schemas import duration, table
from pipe_checks.settings import Settings
from runner.plugin import CheckResult, DeliveryError, PluginCheck, failed, inconclusive, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall, Instance

SCHEMA = table(
    {"for": duration("How long they have to stay alive.", "30s", default="10s")},
)
#: Seconds between two looks.
PAUSE = 1.0


def run(call: "CheckCall") -> CheckResult:
    if not call.instances:
        raise DeliveryError("there are no instances whose uptime could be checked")
    span = _span(call.with_)
    first = {each.name: each for each in call.observe()}
    for looks, (waited, pause) in enumerate(_pauses(span), start=1):
        problems = list(_problems(call, first))
        details: dict[str, Any] = {"value": round(waited, 1), "limit": span, "samples": looks}
        if problems:
            return failed("; ".join(problems[:5]), **details)
        if pause and not call.wait(pause):
            return inconclusive(
                f"only {waited:.0f} of {span:g} seconds could be watched", **details
            )
    names = {"instances": [each.name for each in call.instances][:20]}
    return passed(f"{len(first)} alive for {span:g} seconds", evidence=names, **details)


def _span(settings: Mapping[str, Any]) -> float:
    return Settings(settings).seconds("for", "10s")


def _pauses(span: float) -> Iterator[tuple[float, float]]:
    """How long it has been watched at each look, and the pause after it; none after the last."""
    waited = 0.0
    while waited < span:
        pause = min(PAUSE, span - waited)
        yield waited, pause
        waited += pause
    yield span, 0.0


def _problems(call: "CheckCall", first: Mapping[str, "Instance"]) -> Iterator[str]:
    now = {each.name: each for each in call.observe()}
    for wanted in call.instances:
        found = now.get(wanted.name)
        before = first.get(wanted.name, wanted)
        if found is None or not found.is_running:
            yield f"{wanted.name} does not run"
        elif found.restarts > before.restarts:
            yield f"{wanted.name} has started again"


CHECK = PluginCheck("uptime", SCHEMA, run, lasts=_span)
