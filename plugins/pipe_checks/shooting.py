"""Makes requests at a steady rate, whether or not those before are answered."""

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipe_checks.deadlines import MARGIN, Deadline
from pipe_checks.fetching import Question, exchange
from pipe_checks.subjects import Place
from pipe_checks.wires import Wire, connect, trouble
from runner.plugin import DeliveryError

if TYPE_CHECKING:
    from ssl import SSLContext

    from pipe_checks.load import Pace
    from runner.plugin import CheckCall

#: How many requests are under way at once; later ones wait, and their time counts.
AT_ONCE = 128
#: Who has no answer after so many seconds has none.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Shot:
    """A request: the seconds from when it was due to its answer, and what was wrong."""

    seconds: float
    problem: str = ""
    is_kept: bool = False


@dataclass(slots=True)
class Connections:
    """Those that can be used again. Lists are safe among threads for what is done here."""

    tls: "SSLContext"
    idle: dict[Place, list[Wire]] = field(default_factory=dict)

    def take(self, asked: Question, deadline: Deadline, *, keep: bool) -> tuple[Wire, bool]:
        """A connection, and whether it was used before. Raises OSError and DeliveryError."""
        place = asked.place
        while keep and (waiting := self.idle.get(place)):
            wire = self._pop(waiting)
            if wire is None:
                break
            wire.deadline = deadline
            if wire.is_quiet():
                return wire, True
            wire.close()
        tls = self.tls if place.scheme == "https" else None
        return connect(place.host, place.port, deadline, tls, asked.name), False

    def give_back(self, place: Place, wire: Wire) -> None:
        self.idle.setdefault(place, []).append(wire)

    def close(self) -> None:
        for wire in [wire for waiting in self.idle.values() for wire in waiting]:
            wire.close()

    def _pop(self, waiting: list[Wire]) -> Wire | None:
        try:
            return waiting.pop()
        except IndexError:
            return None


@dataclass(slots=True)
class Shooting:
    """A measurement under way; `last` is when all of it has to be over."""

    call: "CheckCall"
    pace: "Pace"
    questions: Sequence[Question]
    statuses: Collection[int]
    connections: Connections
    start: float
    last: float
    shots: list[Shot] = field(default_factory=list)
    failures: int = 0
    refusal: DeliveryError | None = None

    def goes_on(self, number: int, enough: float) -> bool:
        """Wait until a request is due; False when there is none to make any more."""
        if self.failures > enough or self.refusal or time.monotonic() >= self.last:
            return False
        return self.call.wait(self._due(number) - time.monotonic())

    def make(self, number: int) -> None:
        due, share = self._due(number), self.pace.keep
        keep = int((number + 1) * share) > int(number * share)
        asked = self.questions[number % len(self.questions)]
        deadline = Deadline(min(due + PATIENCE, self.last), self.call.cancelled)
        try:
            problem, is_kept = _ask(self.connections, asked, deadline, self.statuses, keep=keep)
        except DeliveryError as error:
            self.refusal = error
            return
        is_cut_short = self.call.cancelled() or time.monotonic() >= self.last
        if number >= self.pace.lead and not (problem and is_cut_short):
            self.shots.append(Shot(time.monotonic() - due, problem, is_kept))
            self.failures += bool(problem)

    def _due(self, number: int) -> float:
        return self.start + number / self.pace.rate


def shoot(
    call: "CheckCall",
    pace: "Pace",
    questions: Sequence[Question],
    tls: "SSLContext",
    statuses: Collection[int],
    enough: float,
) -> list[Shot]:
    """The requests that count, after those to warm up. Ends early when the call has to end, and
    when more than `enough` have failed. Raises DeliveryError for what cannot be asked at all."""
    now = time.monotonic()
    connections = Connections(tls)
    shooting = Shooting(
        call, pace, questions, statuses, connections, now, now + call.remaining() - MARGIN
    )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(pace.lead + pace.measured):
            if not shooting.goes_on(number, enough):
                break
            pool.submit(shooting.make, number)
    connections.close()
    if shooting.refusal:
        raise shooting.refusal
    return shooting.shots


def _ask(
    connections: Connections,
    asked: Question,
    deadline: Deadline,
    statuses: Collection[int],
    *,
    keep: bool,
) -> tuple[str, bool]:
    """What is wrong with the answer, and whether the connection was used before."""
    is_kept = False
    try:
        wire, is_kept = connections.take(asked, deadline, keep=keep)
    except OSError as error:
        return trouble(error), is_kept
    can_stay = False
    try:
        answer, can_stay = exchange(wire, asked, keep=keep)
    except OSError as error:
        return trouble(error), is_kept
    finally:
        if can_stay:
            connections.give_back(asked.place, wire)
        else:
            wire.close()
    return "" if answer.status in statuses else f"it answers {answer.status}", is_kept
