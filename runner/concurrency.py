"""Concurrency groups: who asks for one, and who stands in its line while a decision is made."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from runner.errors import InvalidInputError, PipeError
from runner.expressions import resolve, to_string
from runner.expressions.values import fold
from runner.model import Concurrency
from runner.plan import Contexts, asker_of, called_in, callers_of
from runner.store.rows import Group, Line, LineEdit, Place

#: A run and the key of its job, which is "" for the run itself.
_Who = tuple[int, str]
_FALLBACK = "give it another name for that case, as in `${{ github.head_ref || github.run_id }}`"


@dataclass(frozen=True, slots=True)
class Claim:
    """`concurrency` as evaluated; `name` is the group's as written.

    A newcomer sends those away that wait, unless `keeps_waiting`, and who runs if `cancels_running`.
    """

    name: str
    cancels_running: bool = False
    keeps_waiting: bool = False


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
    return Claim(to_string(name), cancels, keeps)


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
        """Whether it is the first in the line that it joined."""
        line = self._line(self._groups[run, job])
        return bool(line) and _who(line[0]) == (run, job)

    def join(self, newcomer: Place, project: str, claim: Claim) -> Line:
        """Puts it at the end of a line; returns those that it sends away.

        Who waits leaves the line for it at once, who holds the group when it has ended.
        """
        group = (project, fold(claim.name))
        self._refuse_own(newcomer, group)
        line = self._line(group)
        kept = line if claim.keeps_waiting else line[:1]
        self._groups[_who(newcomer)] = group
        self._now[group] = (*kept, newcomer)
        self._newcomers.append(newcomer)
        return (*line[len(kept) :], *(line[:1] if claim.cancels_running else ()))

    def leave(self, run: int, job: str = "") -> int | None:
        """Takes it out of its line; returns the run that thereby gets a group, or may hold one."""
        group = self._groups.pop((run, job), None)
        if group is None:
            return None
        rest = tuple(place for place in self._line(group) if _who(place) != (run, job))
        self._now[group] = rest
        return rest[0].run if rest else None

    def deadlock(self) -> tuple[Place, Place] | None:
        """The last newcomer that would wait for ever, and who before it waits for it in turn."""
        for newcomer in reversed(self._newcomers):
            before = self._before_it(newcomer)
            if before and (found := before & self._held_up_by(newcomer)):
                return newcomer, min(found, key=lambda place: place.id)
        return None

    def edits(self) -> Iterator[LineEdit]:
        """All lines that were looked at."""
        for group, before in self._before.items():
            yield LineEdit(group, before, self._now[group])

    def _refuse_own(self, newcomer: Place, group: Group) -> None:
        for outer in _around(newcomer.job):
            if self._groups.get((newcomer.run, outer)) == group:
                holder = f"call `{asker_of(outer)}`" if outer else "the run itself"
                raise InvalidInputError(
                    f"concurrency: {holder} holds group `{newcomer.shown}`, so this would wait"
                    " for ever"
                )

    def _before_it(self, waiting: Place) -> set[Place]:
        group = self._groups.get(_who(waiting))
        line = self._line(group) if group else ()
        return set(itertools.takewhile(lambda place: _who(place) != _who(waiting), line))

    def _held_up_by(self, newcomer: Place) -> set[Place]:
        """What does not end before the newcomer has: what it is in, and what waits for that."""
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


def _around(place: str) -> Iterator[str]:
    """Where that could stand in line which a job is in: the run, and the calls."""
    outer = ("", *(each for call in callers_of(place) for each in (call, called_in(call))))
    return (each for each in outer if each != place)
