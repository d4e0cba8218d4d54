"""How much a benchmark does: how many pairs, and how large each is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """`runs` is the number of pairs that was asked for, None for each benchmark's own."""

    runs: int | None = None
    scale: float = 1.0

    def describe(self) -> str:
        """For people: what a figure's median is of."""
        return f"{self.runs} of each" if self.runs else "as many as each benchmark usually takes"

    def pairs(self, usual: int) -> int:
        """How many pairs to measure where `usual` are enough for a steady median."""
        return self.runs or usual

    def sized(self, full: int) -> int:
        """`full` of something, scaled, and at least two of it."""
        return max(2, round(full * self.scale))
