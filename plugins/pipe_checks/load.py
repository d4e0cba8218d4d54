"""The check `load`: how an address does under requests that come at a steady rate."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipe_checks.http import ADDRESS, EXPECT, REQUEST, asking, ms
from pipe_checks.schemas import choice, duration, number, percent, table, text, whole
from pipe_checks.settings import Settings
from pipe_checks.subjects import short
from pipe_checks.trust import trust
from runner.plugin import CheckResult, DeliveryError, PluginCheck, failed, inconclusive, passed

if TYPE_CHECKING:
    from pipe_checks.shooting import Shot
    from runner.plugin import CheckCall

RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/([sm])")
#: What one process of ours can do without disturbing its own measurement, and remember.
FASTEST, MOST = 500.0, 200_000
SCHEMA = table(
    {
        **ADDRESS,
        **REQUEST,
        "expect": EXPECT,
        "rate": text(
            "How many requests start in a second or minute, however slow the answers are.",
            "20/s",
            "600/m",
            default="20/s",
            pattern=f"^{RATE.pattern}$",
        ),
        "for": duration("How long it is measured.", "1m", default="30s"),
        "warm-up": duration("How long requests come before that.", "0s", default="5s"),
        "connections": choice(
            "Connections that are used again, a new one for each request, or half of each.",
            *("both", "keep-alive", "new"),
            default="both",
        ),
        "min-samples": whole(
            "How many requests the comparison needs, of either version.", 500, default=200
        ),
        "max": table(
            {
                "error-rate": percent(
                    "The part of the requests that may fail.", "0.1%", default="1%"
                ),
                "p50": duration("The longest that half of the answers may take.", "50ms"),
                "p95": duration("The longest that 95 of 100 answers may take.", "400ms"),
                "p99": duration("The longest that 99 of 100 answers may take.", "1s"),
                "p95-vs-old": number(
                    "How many times as long as for the old version the time of 95 of 100 answers "
                    "may be. The old version is measured just before.",
                    1.3,
                    minimum=0,
                ),
            },
            description="What is too much.",
            examples=[{"error-rate": "1%", "p95": "400ms", "p95-vs-old": 1.3}],
        ),
    }
)
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Pace:
    """How requests come: so many a second, for so long, the first of them only to warm up."""

    rate: float
    warm_up: float
    span: float
    keep: float

    @property
    def lead(self) -> int:
        return math.ceil(self.warm_up * self.rate)

    @property
    def measured(self) -> int:
        return max(1, math.floor(self.span * self.rate))


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that does not hold: its name in `max`, and by how much."""

    name: str
    message: str
    value: float
    limit: float


def run(call: "CheckCall") -> CheckResult:
    from pipe_checks.shooting import shoot

    settings = Settings(call.with_)
    pace, limits = _pace(settings), settings.inner("max")
    allowed = limits.share("error-rate", "1%")
    asked, places = asking(call, settings)
    statuses = settings.wholes("expect", [200])
    questions, tls = [asked.at(place) for place in places if place.host], trust(call, settings)
    if len(questions) < len(places):
        return failed("an instance has no address: does it run?")
    shots = shoot(call, pace, questions, tls, statuses, enough=allowed * pace.measured)
    if not shots:
        return inconclusive("there was no time for a single request")
    return _judged(call, settings, shots, pace)


def _pace(settings: Settings) -> Pace:
    found = RATE.fullmatch(settings.text("rate", "20/s"))
    rate = float(found[1]) / (60 if found[2] == "m" else 1) if found else 0.0
    if not 0 < rate <= FASTEST:
        raise DeliveryError(f"`rate` is not one such as `20/s`, of at most {FASTEST:.0f} a second")
    warm_up, span = settings.seconds("warm-up", "5s"), settings.seconds("for", "30s")
    if rate * (warm_up + span) > MOST:
        raise DeliveryError(f"that would be more than {MOST} requests: lower `rate` or `for`")
    keep = {"both": 0.5, "keep-alive": 1.0, "new": 0.0}.get(settings.text("connections", "both"))
    if keep is None:
        raise DeliveryError("`connections` is none of `both`, `keep-alive` and `new`")
    return Pace(rate, warm_up, span, keep)


def _judged(
    call: "CheckCall", settings: Settings, shots: Sequence["Shot"], pace: Pace
) -> CheckResult:
    times = {name: _percentile(shots, share) for name, share in PERCENTILES.items()}
    wrong = [shot.problem for shot in shots if shot.problem]
    limits = settings.inner("max")
    breaches = [*_errors(shots, wrong, limits), *_slow(times, limits)]
    doubts = [] if len(shots) >= pace.measured else [_unfinished(shots, pace)]
    if limits.has("p95-vs-old") and call.before is not None:
        found = _compared(settings, call.before, len(shots), times["p95"])
        breaches += [found] if isinstance(found, Breach) else []
        doubts += [found] if isinstance(found, str) else []
    evidence = _evidence(shots, wrong, times) | {"exceeded": [each.name for each in breaches]}
    share = Breach("", "", len(wrong) / len(shots), limits.share("error-rate", "1%"))
    first = (breaches or [share])[0]
    details: dict[str, Any] = {"value": round(first.value, 5), "limit": first.limit}
    details |= {"samples": len(shots), "evidence": evidence}
    if breaches:
        return failed("; ".join(each.message for each in breaches), **details)
    if doubts:
        return inconclusive("; ".join(doubts), **details)
    return passed(f"{len(shots)} requests, {len(wrong)} failed{_told(times)}", **details)


def _told(times: Mapping[str, float | None]) -> str:
    return "".join(f", {name} {ms(time)}" for name, time in times.items() if time is not None)


def _unfinished(shots: Sequence["Shot"], pace: Pace) -> str:
    return f"only {len(shots)} of {pace.measured} requests could be made"


def _percentile(shots: Sequence["Shot"], share: float) -> float | None:
    """The time in which this part of all good answers was there."""
    times = sorted(shot.seconds for shot in shots if not shot.problem)
    return round(times[math.ceil(share * len(times)) - 1], 5) if times else None


def _evidence(
    shots: Sequence["Shot"], wrong: Sequence[str], times: Mapping[str, float | None]
) -> dict[str, Any]:
    from collections import Counter

    return {
        "requests": len(shots),
        "errors": len(wrong),
        **times,
        "kept-connections": sum(shot.is_kept for shot in shots),
        "problems": {
            short(problem, 120): count for problem, count in Counter(wrong).most_common(8)
        },
    }


def _errors(shots: Sequence["Shot"], wrong: Sequence[str], limits: Settings) -> Iterator[Breach]:
    share, limit = len(wrong) / len(shots), limits.share("error-rate", "1%")
    if share > limit:
        often = max(wrong, key=wrong.count)
        told = f"{len(wrong)} of {len(shots)} requests failed ({share:.2%}), more than {limit:.2%}"
        yield Breach("error-rate", f"{told}: {short(often)}", share, limit)


def _slow(times: Mapping[str, float | None], limits: Settings) -> Iterator[Breach]:
    for name, time in times.items():
        if limits.has(name) and time is not None and time > (limit := limits.seconds(name, "")):
            yield Breach(name, f"{name} is {ms(time)}, more than {ms(limit)}", time, limit)


def _compared(
    settings: Settings, before: CheckResult, count: int, p95: float | None
) -> Breach | str | None:
    """How this does against the version before: too badly, or why nobody can tell."""
    needed, limit = (
        settings.whole("min-samples", 200),
        settings.inner("max").number("p95-vs-old", 0),
    )
    old = before.evidence.get("p95")
    if not isinstance(old, int | float) or not old or not p95:
        return "the old version could not be measured" if p95 else "no request succeeded"
    if min(count, before.samples or 0) < needed:
        had = f"{count} requests and {before.samples or 0} of the old version"
        return f"{had} are too few to compare: {needed} of each are needed"
    told = f"p95 is {ms(p95)}, {p95 / old:.2f} times that of the old version ({ms(old)})"
    if p95 / old <= limit:
        return None
    return Breach("p95-vs-old", f"{told}, more than {limit:g}", p95 / old, limit)


def compares(settings: Mapping[str, Any]) -> bool:
    return "p95-vs-old" in (settings.get("max") or {})


def lasts(settings: Mapping[str, Any]) -> float:
    read = Settings(settings)
    return read.seconds("warm-up", "5s") + read.seconds("for", "30s")


CHECK = PluginCheck("load", SCHEMA, run, compares=compares, lasts=lasts)
