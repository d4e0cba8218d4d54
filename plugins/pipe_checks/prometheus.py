"""The check `prometheus`: the values of a query are within limits."""

import math
from typing import TYPE_CHECKING, Any

from pipe_checks.metrics import SERVER, metrics
from pipe_checks.schemas import choice, number, table, text, whole
from pipe_checks.settings import Settings
from runner.plugin import CheckResult, DeliveryError, PluginCheck, failed, inconclusive, passed

if TYPE_CHECKING:
    from runner.plugin import CheckCall

SCHEMA = table(
    {
        **SERVER,
        "query": text(
            "What to ask, in PromQL. Each of its values, one a series, has to be within the limits.",
            'histogram_quantile(0.95, sum by (le) (rate(http_seconds_bucket{release="7"}[5m])))',
        ),
        "min": number("The least that is good.", 0.99),
        "max": number("The most that is good.", 0.05),
        "samples": text(
            "A query for how many observations there are behind the values. Without it, the values "
            "themselves are counted.",
            'sum(increase(http_requests_total{release="7"}[5m]))',
        ),
        "min-samples": whole("How many of those are needed to tell.", 50, default=1),
        "no-data": choice(
            "The verdict when there are no values.",
            *("pass", "fail", "inconclusive"),
            default="inconclusive",
        ),
    },
    required=["url", "query"],
)


def run(call: "CheckCall") -> CheckResult:
    settings = Settings(call.with_)
    if not (settings.has("min") or settings.has("max")):
        raise DeliveryError("give a limit: `min`, `max` or both")
    server = metrics(call, settings)
    values = server.ask(settings.text("query"))
    if not values:
        return _without(settings)
    counts = settings.has("samples")
    samples = int(server.total(settings.text("samples"))) if counts else len(values)
    needed = settings.whole("min-samples", 1)
    if samples < needed:
        return inconclusive(f"{samples} samples are too few: {needed} are needed", samples=samples)
    return _judged(settings, values, samples)


def _without(settings: Settings) -> CheckResult:
    verdict = settings.text("no-data", "inconclusive")
    answers = {"pass": passed, "fail": failed, "inconclusive": inconclusive}
    if verdict not in answers:
        raise DeliveryError("`no-data` is none of `pass`, `fail` and `inconclusive`")
    return answers[verdict]("there is no data", samples=0)


def _judged(settings: Settings, values: list[float], samples: int) -> CheckResult:
    least, most = min(values), max(values)
    # as text: JSON has no infinity
    evidence = {"values": [str(value) for value in sorted(values)[:10]]}
    if settings.has("max") and most > (limit := settings.number("max", 0)):
        return failed(
            f"{most:g} is more than {limit:g}", **_details(most, limit, samples, evidence)
        )
    if settings.has("min") and least < (limit := settings.number("min", 0)):
        return failed(
            f"{least:g} is less than {limit:g}", **_details(least, limit, samples, evidence)
        )
    value, name = (most, "max") if settings.has("max") else (least, "min")
    limit = settings.number(name, 0)
    return passed(f"{value:g}, with {name} {limit:g}", **_details(value, limit, samples, evidence))


def _details(value: float, limit: float, samples: int, evidence: Any) -> dict[str, Any]:
    shown = value if math.isfinite(value) else None
    return {"value": shown, "limit": limit, "samples": samples, "evidence": evidence}


CHECK = PluginCheck("prometheus", SCHEMA, run)
