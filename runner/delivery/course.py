"""Going through the moves of a deployment, each written down before it is made and after."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.delivery import moves as m
from runner.delivery.asking import Answer, worst
from runner.delivery.carry import Crew, plain, reason_of, told
from runner.delivery.contained import FailedError
from runner.store.deliveries import Entry, Holder, journal

_LOOK = 0.25


@dataclass(slots=True)
class Course:
    """The moves of one deployment, and how far it has come."""

    moves: Sequence[m.Move]
    crew: Crew
    holder: Holder
    now: Callable[[], float]
    cancelled: Callable[[], bool]
    exposed: bool = False
    begun: set[type[m.Move]] = field(default_factory=set)
    _at: int = 0
    _state: str = ""

    def go(self, start: int = 0) -> None:
        """Make all moves from there on. Raises FailedError; OutdatedError when others took over."""
        for index in range(start, len(self.moves)):
            self._step(index, self.moves[index])

    def pick_up(self, entries: Sequence[Entry]) -> int:
        """What an earlier process wrote down; returns the first move that may not have been made."""
        done = {entry.move for entry in entries if entry.kind == "outcome"}
        begun = {entry.move for entry in entries if entry.kind == "intent"}
        self.exposed = any(self.moves[index].exposes for index in begun)
        self.begun = {type(self.moves[index]) for index in begun}
        for entry in entries:
            if entry.kind == "outcome" and isinstance(self.moves[entry.move], m.Baseline):
                self.crew.remember_baseline(entry.data)
        return next(
            (index for index in range(len(self.moves)) if index not in done), len(self.moves)
        )

    def is_proved(self, start: int) -> bool:
        """Whether all that is left from that move on is to clear away the old release."""
        clearing = (m.Drain, m.Stop, m.Remove, m.Keep)
        return all(isinstance(move, clearing) for move in self.moves[start:])

    def last_shift(self, before: int) -> m.Shift | None:
        """How traffic was divided when that move came."""
        made = [move for move in self.moves[:before] if isinstance(move, m.Shift)]
        return made[-1] if made else None

    def fail(self, error: FailedError) -> None:
        """Write down why it cannot go on: whoever finds the journal goes back, and not on."""
        failure = {"reason": error.reason, "message": error.message}
        self.holder.write(self._at, "failure", failure, self.now())

    def _step(self, index: int, move: m.Move) -> None:
        self._at = index
        self._check_time()
        if move.state != self._state:
            self._state = move.state
            self.holder.enter(move.state, self.now())
        self.holder.write(index, "intent", m.to_json(move), self.now())
        self.exposed |= move.exposes
        self.begun.add(type(move))
        self.holder.write(index, "outcome", self._make(move), self.now())

    def _check_time(self) -> None:
        if self.cancelled():
            raise FailedError("the deployment was cancelled", "cancelled")
        if time.monotonic() >= self.crew.deadline:
            limit = self.crew.definition.limit
            raise FailedError(f"the deployment's time limit of {limit:g} s is over", "timeout")

    def _make(self, move: m.Move) -> Mapping[str, Any]:
        match move:
            case m.Watch(seconds):
                return self._watch(seconds, soak=move.soak)
            case m.Promote():
                return self._promote()
            case m.Live():
                return self._live(move)
            case _:
                return self.crew.carry_out(move)

    # -- what takes its time

    def _live(self, move: m.Move) -> Mapping[str, Any]:
        outcome = self.crew.carry_out(move)
        until = time.monotonic() + self.crew.definition.rollback.pause_limit
        while outcome["verdict"] == "inconclusive" and self._pauses(until):
            self._wait(self.crew.definition.verify.soak.every)
            outcome = self.crew.carry_out(move)
        return outcome

    def _pauses(self, until: float) -> bool:
        """What an inconclusive answer means; True to ask again. Raises FailedError to go back."""
        policy = self.crew.definition.rollback.on_inconclusive
        if policy == "go-on":
            return False
        if policy == "rollback" or time.monotonic() >= until:
            raise FailedError("the checks stayed inconclusive", "health-failed")
        left = until - time.monotonic()
        self.crew.say(f"the checks cannot tell yet: asking again, for {left:.0f} s at most")
        return True

    def _watch(self, seconds: float, *, soak: bool) -> Mapping[str, Any]:
        """Ask again and again; so many failures of one check in a row end it."""
        settings = self.crew.definition.verify.soak
        every = min(settings.every, seconds) if soak else min(settings.every, max(1.0, seconds / 5))
        until, rows, last = time.monotonic() + seconds, dict[str, int](), list[Answer]()
        while (left := until - time.monotonic()) > 0:
            self._wait(min(every, left))
            last = self.crew.watch()
            self._count(rows, last, settings.fail_after)
        self.crew.say(f"watched for {seconds:g} s")
        decisive = worst(last)
        if decisive and decisive.result.verdict == "inconclusive":
            self._outlast(decisive)
        return {"checks": [plain(answer) for answer in last]}

    def _count(self, rows: dict[str, int], answers: Sequence[Answer], fail_after: int) -> None:
        for answer in answers:
            name = str(answer.ask)
            is_bad = answer.result.verdict in ("fail", "error") and answer.ask.required
            rows[name] = rows.get(name, 0) + 1 if is_bad else 0
            if is_bad:
                self.crew.asked("soak", answer)
            if rows[name] >= fail_after:
                raise FailedError(
                    told("soak", answer), reason_of(answer, self.crew.definition.rollback.on)
                )

    def _outlast(self, answer: Answer) -> None:
        """The window is over and nobody knows."""
        until = time.monotonic() + self.crew.definition.rollback.pause_limit
        while answer.result.verdict == "inconclusive" and self._pauses(until):
            self._wait(self.crew.definition.verify.soak.every)
            found = worst(self.crew.watch())
            answer = found or replace(answer, result=replace(answer.result, verdict="pass"))
        if answer.result.verdict in ("fail", "error"):
            raise FailedError(
                told("soak", answer), reason_of(answer, self.crew.definition.rollback.on)
            )

    def _promote(self) -> Mapping[str, Any]:
        """Wait for `promoted` or `rejected` in the journal, which a person writes there."""
        until = time.monotonic() + self.crew.definition.rollback.pause_limit
        self.crew.say("waits for a person: `pipe approve` lets it go on")
        self.holder.pause(self._at, self.crew.letters("approval"), self.now())
        while time.monotonic() < until:
            for entry in reversed(journal(self.holder.connection, self.holder.deployment)):
                if entry.kind == "promoted":
                    return entry.data
                if entry.kind == "rejected":
                    raise FailedError(f"{entry.data.get('by', 'somebody')} rejected it", "rejected")
            self._wait(_LOOK)
        raise FailedError("nobody let it go on in time", "timeout")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check_time()
            time.sleep(min(0.05, left))
