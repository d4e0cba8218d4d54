"""Asking checks until their answers stand."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

from runner.delivery.call import AskedCall
from runner.delivery.contained import FailedError, contained
from runner.delivery.definition import Ask
from runner.plugin.delivery import CheckResult, PluginCheck, Verdict

#: From the best to the worst.
_ORDER: Sequence[Verdict] = ("pass", "inconclusive", "error", "fail")
#: Seconds that a check may keep answering otherwise before it fails, where nobody said.
WITHIN = 60.0
#: Seconds that a check has beyond its own time limit.
_GRACE = 1.0


class MakesCalls(Protocol):
    """Makes the call of a check that is asked now; `deadline` is of `time.monotonic()`."""

    def __call__(self, ask: Ask, deadline: float) -> AskedCall: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check said at last, how often it was asked, and for how many seconds."""

    ask: Ask
    result: CheckResult
    asked: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks checks of plugins. `gone` tells why asking on is pointless, or ""."""

    checks: "dict[str, PluginCheck]"
    calls: MakesCalls
    cancelled: Callable[[], bool]
    gone: Callable[[], str] = lambda: ""

    def once(self, ask: Ask, deadline: float | None = None) -> CheckResult:
        """One question. A check that raises or hangs has the verdict `error`."""
        check = self.checks[ask.check]
        lasts = check.lasts(ask.settings)
        at = min(time.monotonic() + ask.timeout, deadline or float("inf")) + lasts
        call = self.calls(ask, at)
        try:
            result = contained(
                f"check `{ask}`",
                "run",
                lambda: check.run(call),
                deadline=at,
                cancelled=self.cancelled,
                grace=_GRACE,
            )
        except FailedError as error:
            return CheckResult("error", error.message)
        if not isinstance(result, CheckResult):
            return CheckResult("error", f"the check `{ask}` gave {result!r} and no CheckResult")
        return result

    def until(self, ask: Ask, deadline: float, *, patient: bool) -> Answer:
        """Ask until its answer stands: so many passes in a row, or so many others.

        A `patient` one takes no number of others for an answer as long as there is time.
        """
        began = time.monotonic()
        end = min(deadline, began + (WITHIN if ask.within is None else ask.within))
        asked = passes = others = 0
        while True:
            result = self.once(ask, end)
            asked += 1
            passes, others = (passes + 1, 0) if result.verdict == "pass" else (0, others + 1)
            why = "" if result.verdict == "pass" else self.gone()
            if why:
                result = CheckResult("fail", f"{why}; {result.message}" if result.message else why)
            over = passes >= ask.successes or (not patient and others >= ask.failures)
            if over or why or self.cancelled() or not _pause(ask.interval, end, self.cancelled):
                stands = _short_of(result, passes, ask.successes)
                return Answer(ask, stands, asked, time.monotonic() - began)

    def all(self, asks: Iterable[Ask], deadline: float, *, patient: bool) -> list[Answer]:
        """Ask several at the same time, each until its answer stands."""
        return _at_once(lambda ask: self.until(ask, deadline, patient=patient), tuple(asks))

    def each(self, asks: Iterable[Ask], deadline: float) -> list[Answer]:
        """Ask several at the same time, each once: what one brings about, another may count."""
        return _at_once(lambda ask: Answer(ask, self.once(ask, deadline), 1, 0.0), tuple(asks))


def _at_once(answer: Callable[[Ask], Answer], asks: Sequence[Ask]) -> list[Answer]:
    if not asks:
        return []
    with ThreadPoolExecutor(len(asks), thread_name_prefix="check") as pool:
        return list(pool.map(answer, asks))


def worst(answers: Iterable[Answer]) -> Answer | None:
    """The one that decides; those that are not required only report."""
    required = [answer for answer in answers if answer.ask.required]
    return max(required, key=lambda answer: _ORDER.index(answer.result.verdict), default=None)


def _short_of(result: CheckResult, passes: int, wanted: int) -> CheckResult:
    """A pass counts only if there were enough of them in a row."""
    if result.verdict != "pass" or passes >= wanted:
        return result
    message = f"passed {passes} of {wanted} times in a row when its time was over"
    return replace(result, verdict="fail", message=message)


def _pause(seconds: float, end: float, cancelled: Callable[[], bool]) -> bool:
    """Wait; False when there is no time for another question."""
    until = time.monotonic() + seconds
    if until >= end:
        return False
    while (left := until - time.monotonic()) > 0:
        if cancelled():
            return False
        time.sleep(min(0.05, left))
    return True
