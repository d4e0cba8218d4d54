"""Which parts of the logs the steps that run have written, so that they can be read if need be."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runner.events import OutputWritten


@dataclass(slots=True)
class _Step:
    last: OutputWritten
    spans: list[list[int]]


@dataclass(slots=True)
class Written:
    """Ranges by step; those that touch are kept as one, so that long output costs no memory."""

    _steps: dict[tuple[str, int], _Step] = field(default_factory=dict)

    def add(self, output: OutputWritten) -> None:
        """Takes note of a range."""
        start, end = output.offset, output.offset + output.length
        step = self._steps.get((output.job, output.step))
        if step is None:
            self._steps[output.job, output.step] = _Step(output, [[start, end]])
            return
        step.last = output
        if step.spans[-1][1] == start:
            step.spans[-1][1] = end
        else:
            step.spans.append([start, end])

    def take(self, job: str, step: int) -> Sequence[OutputWritten]:
        """All that a step wrote, in order; it is forgotten here."""
        found = self._steps.pop((job, step), None)
        if found is None:
            return ()
        return [replace(found.last, offset=a, length=b - a) for a, b in found.spans]

    def tail(self, job: str, step: int, size: int) -> OutputWritten | None:
        """The last bytes that a step wrote, at most `size`; None if it wrote nothing."""
        found = self._steps.get((job, step))
        if found is None:
            return None
        start, end = found.spans[-1]
        start = max(start, end - size)
        return replace(found.last, offset=start, length=end - start)

    def forget(self, job: str) -> None:
        """Drops what is left of a job."""
        for source in [source for source in self._steps if source[0] == job]:
            del self._steps[source]
