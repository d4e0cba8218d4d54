"""Steps that run beside the others of their job: started, waited for, ended."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.errors import InvalidInputError, did_you_mean
from runner.events import Result
from runner.execute.around import StepEnd
from runner.execute.step import StepRun
from runner.execute.trying import Try

#: More steps than this do not run at once, as on GitHub; the others queue.
MOST = 10
#: Seconds between looks at whether a step that queues, or a group, still has to go on.
TICK = 0.1


@dataclass(slots=True)
class _Beside:
    """A step in a thread of its own."""

    run: StepRun
    unwanted: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    crash: BaseException | None = None

    def start(self, slots: threading.Semaphore) -> None:
        self.run.unwanted = self.unwanted.is_set
        if self.run.begin():
            name = f"step {self.run.number}"
            self.thread = threading.Thread(target=self._work, args=(slots,), name=name, daemon=True)
            self.thread.start()

    def _work(self, slots: threading.Semaphore) -> None:
        try:
            if not self._has_slot(slots):
                self.run.drop()
                return
            try:
                self.run.carry_on()
            finally:
                slots.release()
        except BaseException as error:
            # Somebody waits for this step, and is told then.
            self.crash = error

    def _has_slot(self, slots: threading.Semaphore) -> bool:
        """Wait for a slot, which one who need not begin any more does not get."""
        while not self.run.is_pointless():
            if slots.acquire(timeout=TICK):
                return True
        return False

    def is_running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def settle(self) -> StepEnd:
        if self.thread is not None:
            self.thread.join()
        if self.crash is not None:
            raise self.crash
        return self.run.settle()


class Background:
    """The background steps of one job."""

    def __init__(self) -> None:
        self._slots = threading.Semaphore(MOST)
        #: Those whose end nobody has asked for, in the order of their start.
        self._open: list[_Beside] = []
        self._settled: set[str] = set()

    def start(self, run: StepRun) -> None:
        """Start a step, or skip it by its condition; what it does counts from when it is settled."""
        beside = _Beside(run)
        beside.start(self._slots)
        self._open.append(beside)

    def wait(self, trying: Try, ids: Iterable[str]) -> StepEnd:
        """Wait for those steps, or for all; fails with the first that failed."""
        return _verdict(trying, [(each, each.settle()) for each in self._take(list(ids))])

    def cancel(self, trying: Try, id_: str) -> StepEnd:
        """End a step that still runs; one that has failed before is not forgotten."""
        ended = []
        for each in self._take([id_]):
            was_running = each.is_running()
            each.unwanted.set()
            end = each.settle()
            if not was_running:
                ended.append((each, end))
        return _verdict(trying, ended)

    def group(self, trying: Try, runs: Iterable[StepRun]) -> StepEnd:
        """Run these side by side, until all of them have ended."""
        stop, members = trying.stop(), [_Beside(run) for run in runs]
        for each in members:
            each.start(self._slots)
        for each in members:
            while each.is_running():
                assert each.thread is not None
                each.thread.join(TICK)
                if stop.reason() == "timeout":
                    for other in members:
                        other.unwanted.set()
        end = _verdict(trying, [(each, each.settle()) for each in members])
        if stop.timed_out == "step":
            trying.complain("the time limit of these steps is over")
            return StepEnd("failure", "failure", reason="timeout")
        return end

    def abandon(self) -> None:
        """The box is gone: have all end, and let none go on when the job is over."""
        for each in self._open:
            each.unwanted.set()
        for each in self._open:
            if each.thread is not None:
                each.thread.join()

    def finish(self) -> list[StepRun]:
        """Wait for all that is left; those that failed."""
        ended = [(each.run, each.settle()) for each in self._take([])]
        return [run for run, end in ended if end.conclusion == "failure"]

    def _take(self, ids: list[str]) -> list[_Beside]:
        wanted = {id_.lower() for id_ in ids}
        taken = [each for each in self._open if not ids or each.run.step.id.lower() in wanted]
        missing = wanted - self._settled - {each.run.step.id.lower() for each in taken}
        if missing:
            hint = did_you_mean(min(missing), [each.run.step.id for each in self._open])
            raise InvalidInputError(
                f"no background step `{min(missing)}` was started before this one", hint=hint
            )
        self._open = [each for each in self._open if each not in taken]
        self._settled |= {each.run.step.id.lower() for each in taken}
        return taken


def _verdict(trying: Try, ended: list[tuple[_Beside, StepEnd]]) -> StepEnd:
    result: Result = "success"
    for each, end in ended:
        if end.conclusion == "failure":
            trying.complain(f"step `{each.run.step.name or each.run.step.id}` failed")
            result = "failure"
    if any(end.outcome == "cancelled" for _, end in ended) and trying.around.clock.ending():
        return StepEnd("cancelled", "cancelled", reason="cancelled")
    reason = next((end.reason for _, end in ended if end.conclusion == "failure"), "")
    return StepEnd(result, result, reason=reason)
