"""What was measured: pairs of values, their medians and ratios, and the bound they are held to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Unit = Literal["s", "ms", "MB", "jobs", "requests"]
Verdict = Literal["goal", "yes", "MISSED", ""]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two values taken one right after the other; `baseline` is None where there is nothing to compare."""

    ours: float
    baseline: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the baseline ours is."""
        return self.ours / self.baseline if self.baseline else None


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that the ratio, or our value in the figure's unit, should be; `goal` is better still."""

    limit: float
    goal: float | None = None
    of: Literal["ratio", "ours"] = "ratio"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `pairs` are in `unit`, at least one; `against` names the baseline."""

    name: str
    unit: Unit
    pairs: tuple[Pair, ...]
    against: str = ""
    bound: Bound | None = None

    @property
    def ours(self) -> float:
        """The median of our values."""
        return median(pair.ours for pair in self.pairs)

    @property
    def baseline(self) -> float | None:
        """The median of the baseline's values."""
        values = [pair.baseline for pair in self.pairs if pair.baseline is not None]
        return median(values) if values else None

    @property
    def ratio(self) -> float | None:
        """The median of the ratios, which is not the ratio of the medians."""
        return median(ratios) if (ratios := self._ratios()) else None

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest ratio or, without a baseline, value of ours."""
        values = self._ratios() or [pair.ours for pair in self.pairs]
        return min(values), max(values)

    @property
    def verdict(self) -> Verdict:
        """Whether the bound is kept; empty when there is none."""
        if self.bound is None:
            return ""
        value = self.ratio if self.bound.of == "ratio" else self.ours
        if value is None or value > self.bound.limit:
            return "MISSED"
        return "goal" if self.bound.goal is not None and value <= self.bound.goal else "yes"

    def to_json(self) -> dict[str, Any]:
        """The figure for programs: the medians, and each pair."""
        return {
            "name": self.name,
            "unit": self.unit,
            "against": self.against,
            "ours": self.ours,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "spread": self.spread,
            "limit": self.bound.limit if self.bound else None,
            "goal": self.bound.goal if self.bound else None,
            "bound_of": self.bound.of if self.bound else None,
            "met": self.verdict in ("goal", "yes") if self.bound else None,
            "pairs": [[pair.ours, pair.baseline] for pair in self.pairs],
        }

    def _ratios(self) -> list[float]:
        return [pair.ratio for pair in self.pairs if pair.ratio is not None]


def take_pairs(
    ours: Callable[[], float], baseline: Callable[[], float], runs: int
) -> tuple[Pair, ...]:
    """`runs` pairs, measured in turn, after one of each that does not count."""
    ours(), baseline()
    return tuple(Pair(ours(), baseline()) for _ in range(runs))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` percent of all are not above (nearest rank)."""
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]
