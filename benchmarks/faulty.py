"""Releases that are bad: how long until that is noticed, and until users have the good one again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.sandbox import FailedError
from benchmarks.switches import deployed, monotonic

if TYPE_CHECKING:
    from tests.load import Answer
    from tests.shops import Shop

#: Requests a second, while so much else happens.
RATE = 50.0
#: An answer that takes longer is bad, as the check of the shop says.
SLOW = 0.5


@dataclass(frozen=True, slots=True)
class Trouble:
    """A bad release: what the report says of it, and the bad answers that users got."""

    report: Mapping[str, Any]
    bad: "Sequence[Answer]"
    failed: int

    @property
    def detected(self) -> float:
        """Seconds from the first bad answer, or from the first question about a release that no
        user saw, to the verdict."""
        verdict = self.report["failure"]["time"]
        if self.bad:
            return monotonic(verdict) - min(each.sent + each.took for each in self.bad)
        [began] = [each["time"] for each in self.report["moves"] if each["move"] == "ready"]
        return float(verdict - began)

    @property
    def restored(self) -> float:
        """Seconds from the verdict until the proxy has given all traffic back."""
        return float(self.report["seconds_to_restore"])

    @property
    def outlived(self) -> float:
        """Seconds from the verdict until the last request left that got a bad answer."""
        return max(each.sent for each in self.bad) - monotonic(self.report["failure"]["time"])


def trouble(shop: "Shop", version: str, fault: str, **changes: Any) -> Trouble:
    """Deploy a version with that fault, which goes back by itself."""
    from tests.load import under_load

    with under_load(shop.plan(RATE)) as load:
        report = deployed(shop, version, fault, **changes)
    if report["state"] not in ("rolled-back", "failed"):
        raise FailedError(f"{fault}: {report['state']}")
    bad = [each for each in load.answers if is_bad(each)]
    return Trouble(report, bad, sum(1 for each in load.answers if each.fault))


def is_bad(answer: "Answer") -> bool:
    return bool(answer.fault) or (answer.kind != "slow" and answer.took > SLOW)
