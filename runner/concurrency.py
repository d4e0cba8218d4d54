"""Concurrency groups: who asks for one, and who stands in its line while a decision is made."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.errors import InvalidInputError, PipeError
from runner.expressions import resolve, to_string
from runner.expressions.values import fold
from runner.model import Concurrency
from runner.plan import Contexts, asker_of, called_in, callers_of
from runner.store.rows import Group, Line, LineEdit, Place, holders

#: A run and the key of its job, which is "" for the run itself.
_Who = tuple[int, str]
#: As many as a limit allows at most.
MOST_AT_ONCE = 1000
_FALLBACK = "give it another name for that case, as in `${{ github.head_ref || github.run_id }}`"


@dataclass(frozen=True, slots=True)
class Claim:
    """`concurrency` as evaluated; `name` is the group's as written.

    A newcomer sends those away that wait, unless `keeps_waiting`, and the oldest of those that run
    if there is no room and it `cancels_running`. Up to `limit` hold the group at a time.
    """

    name: str
    cancels_running: bool = False
    keeps_waiting: bool = False
    limit: int = 1


def evaluated(concurrency: Concurrency, contexts: Contexts) -> Claim:
    """What is asked for in these contexts. Raises InvalidInputError."""
    name = resolve(concurrency.group, contexts)
    if isinstance(name, Mapping | list):
        raise InvalidInputError("the name of a group must be text")
    if not to_string(name):
        raise InvalidInputError("the name of the group is empty", hint=_FALLBACK)
    cancels = resolve(concurrency.cancel_in_progress, contexts)
    if not isinstance(cancels, bool):
        raise InvalidInputError("`cancel-in-progress` must be true or false")
    keeps = concurrency.queue == "max"
    if cancels and keeps:
        raise InvalidInputError("`cancel-in-progress` cannot be true with `queue: max`")
    return Claim(to_string(name), cancels, keeps, _limit(resolve(concurrency.limit, contexts)))


def _limit(value: Any) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or value not in range(1, MOST_AT_ONCE + 1):
        raise InvalidInputError(f"`limit` must be a whole number from 1 to {MOST_AT_ONCE}")
    return int(value)


class ChangedMeanwhileError(PipeError):
    """What was read one after the other does not fit together, so the decision is made again."""


class Lines:
    """The lines of groups as a decision finds them and changes them; nothing is written here.

    Its methods raise ChangedMeanwhileError when runs and lines were read at different times and
    somebody came or went between.
    """

    def __init__(
        self, read: Callable[[Group], Line], groups_of: Callable[[int], Mapping[str, str]]
    ) -> None:
        """`read` and `groups_of` (as `StoredRun.groups`) are for what is asked about first."""
        self._read = read
        self._groups_of = groups_of
        self._before: dict[Group, Line] = {}
        self._now: dict[Group, Line] = {}
        self._groups: dict[_Who, Group] = {}
        self._known: dict[int, Mapping[_Who, Group]] = {}
        self._newcomers: list[Place] = []
        self._elsewhere: dict[int, Mapping[str, str]] = {}

    def know(self, run: int, project: str, groups: Mapping[str, str]) -> None:
        """Where a run and its jobs stand: job key (the run's own is "") -> folded name."""
        self._known[run] = {(run, job): (project, name) for job, name in groups.items()}
        self._groups |= self._known[run]
        for group in self._before:
            self._check(run, group)

    def has(self, run: int, job: str = "") -> bool:
        """Whether there is a group that it has asked for."""
        return (run, job) in self._groups

    def holds(self, run: int, job: str = "") -> bool:
        """Whether it is among the first in the line that it joined, as many as may go on."""
        line = self._line(self._groups[run, job])
        return (run, job) in map(_who, holders(line))

    def join(self, newcomer: Place, project: str, claim: Claim) -> Line:
        """Puts it at the end of a line; returns those that it sends away.

        Who waits leaves the line for it at once, who holds the group when it has ended.
        """
        group = (project, fold(claim.name))
        line = self._line(group)
        self._refuse_own(newcomer, line)
        holding = holders(line)
        kept = line if claim.keeps_waiting else holding
        self._groups[_who(newcomer)] = group
        self._now[group] = (*kept, newcomer)
        self._newcomers.append(newcomer)
        ended = holding[: _too_many(holding, newcomer)] if claim.cancels_running else ()
        return (*line[len(kept) :], *ended)

    def leave(self, run: int, job: str = "") -> list[int]:
        """Takes it out of its line; returns the runs that thereby get a group."""
        group = self._groups.pop((run, job), None)
        if group is None:
            return []
        line = self._line(group)
        rest = self._now[group] = tuple(place for place in line if _who(place) != (run, job))
        held = holders(line)
        return [place.run for place in holders(rest) if place not in held]

    def deadlock(self) -> tuple[Place, Place] | None:
        """The last newcomer that would wait for ever, and who before it waits for it in turn."""
        for newcomer in reversed(self._newcomers):
            before = self._before_it(newcomer)
            held_up = self._held_up_by(newcomer) if before else set()
            stuck = self._stuck(newcomer, held_up) if before & held_up else set()
            if newcomer in stuck:
                return newcomer, min(before & stuck, key=lambda place: place.id)
        return None

    def edits(self) -> Iterator[LineEdit]:
        """All lines that were looked at."""
        for group, before in self._before.items():
            yield LineEdit(group, before, self._now[group])

    def _refuse_own(self, newcomer: Place, line: Line) -> None:
        """What it is in may have taken all the room that there ever is for it."""
        around = {(newcomer.run, outer) for outer in _around(newcomer.job)}
        own = tuple(place for place in line if _who(place) in around)
        if newcomer not in holders((*own, newcomer)):
            outer = own[0].job
            holder = f"call `{asker_of(outer)}`" if outer else "the run itself"
            raise InvalidInputError(
                f"concurrency: {holder} holds group `{newcomer.shown}`, so this would wait for ever"
            )

    def _before_it(self, waiting: Place) -> set[Place]:
        group = self._groups.get(_who(waiting))
        line = self._line(group) if group else ()
        return set(itertools.takewhile(lambda place: _who(place) != _who(waiting), line))

    def _stuck(self, newcomer: Place, held_up: set[Place]) -> set[Place]:
        """Those of all these that never end, if all others do."""
        project, _ = self._groups[_who(newcomer)]
        stuck = {newcomer, *held_up}
        while ended := {place for place in stuck if self._ends(place, stuck, project)}:
            stuck -= ended
        return stuck

    def _ends(self, place: Place, stuck: set[Place], project: str) -> bool:
        """Whether it gets its group, and what is in it ends, although these never do."""
        if any(other.run == place.run and place.job in _around(other.job) for other in stuck):
            return False
        group = self._group_of(place.run, place.job, project)
        line = self._line(group) if group else ()
        before = itertools.takewhile(lambda each: each != place, line)
        return place in holders((*(each for each in before if each in stuck), place))

    def _held_up_by(self, newcomer: Place) -> set[Place]:
        """What may not end before the newcomer has: what it is in, and what may wait for that."""
        project, _ = self._groups[_who(newcomer)]
        found: set[Place] = set()
        ahead = [newcomer]
        while ahead:
            new = set(self._waiting_for_what_it_is_in(ahead.pop(), project)) - found
            found |= new
            ahead += new
        return found

    def _waiting_for_what_it_is_in(self, place: Place, project: str) -> Iterator[Place]:
        """The run or the calls that it is in, as far as they have groups, and who waits for those."""
        for outer in _around(place.job):
            group = self._group_of(place.run, outer, project)
            line = self._line(group) if group else ()
            at = next(
                (at for at, each in enumerate(line) if _who(each) == (place.run, outer)), None
            )
            yield from line[at:] if at is not None else ()

    def _group_of(self, run: int, job: str, project: str) -> Group | None:
        if run in self._known:
            return self._groups.get((run, job))
        if run not in self._elsewhere:
            self._elsewhere[run] = self._groups_of(run)
        name = self._elsewhere[run].get(job)
        return (project, name) if name is not None else None

    def _line(self, group: Group) -> Line:
        if group not in self._now:
            self._before[group] = self._now[group] = self._read(group)
            for run in self._known:
                self._check(run, group)
        return self._now[group]

    def _check(self, run: int, group: Group) -> None:
        in_line = {_who(place) for place in self._before[group] if place.run == run}
        if in_line != {who for who, its in self._known[run].items() if its == group}:
            raise ChangedMeanwhileError(f"run {run} is not where it was in the line of {group[1]}")


def _who(place: Place) -> _Who:
    return place.run, place.job


def _too_many(holding: Line, newcomer: Place) -> int:
    """How many of those have to end before the newcomer can go on beside the rest."""
    room = min(place.capacity for place in (*holding, newcomer))
    return max(0, len(holding) + 1 - room)


def _around(place: str) -> Iterator[str]:
    """Where that could stand in line which a job is in: the run, and the calls."""
    outer = ("", *(each for call in callers_of(place) for each in (call, called_in(call))))
    return (each for each in outer if each != place)
