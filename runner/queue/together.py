"""Several runs that change at once, and are written in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from runner.concurrency import ChangedMeanwhileError, Lines
from runner.errors import InvalidInputError, PipeError
from runner.events import Event, JobQueued, RunFinished
from runner.plan import asker_of
from runner.queue.boundary import Boundary
from runner.queue.change import Change
from runner.queue.happenings import send_away
from runner.queue.outcome import UNPARSEABLE, JobOutcome
from runner.queue.past import Past
from runner.store import Store, dead, hot, lines
from runner.store.connection import Database
from runner.store.rows import RunEdit, StoredRun

_NONE: Mapping[int, Sequence[Event]] = {}


class UnreadableRunError(PipeError):
    """What is kept of a run makes no sense any more, so nothing can be decided about it."""

    def __init__(self, run: int, error: Exception) -> None:
        super().__init__(f"run {run} cannot be read: {type(error).__name__}: {error}")
        self.run = run


class Together:
    """The runs that change at once: one, those that it sends away, and those that it frees."""

    def __init__(self, store: Store, now: float) -> None:
        self.lines = Lines(partial(lines.read, store.notes), partial(lines.groups, store.notes))
        self.past = Past(store, now)
        self.boundary = Boundary(store)
        self._store = store
        self._now = now
        self._changes: dict[int, Change] = {}
        self._befores: dict[int, StoredRun | None] = {}
        #: Those about which more may follow now; the values mean nothing.
        self._open: dict[int, None] = {}
        #: The dead letters that new runs go on with.
        self._letters: dict[int, int | None] = {}

    def enter(self, run: StoredRun, letter: int | None = None) -> None:
        """A new run, and what follows; `letter` is the run whose dead letter goes on as it."""
        self.add(run, letter).enter()
        self.settle(run.id)

    def add(self, run: StoredRun, letter: int | None = None) -> Change:
        """A new run, about which nothing is decided yet."""
        self._letters[run.id] = letter
        self._befores[run.id] = None
        self.lines.know(run.id, run.submission.project, {})
        change = self._changes[run.id] = Change(run, self._now, self)
        return change

    def of(self, run: int, known: StoredRun | None = None) -> Change:
        """The run on its way; read when it is asked for first, unless it is `known`."""
        if run not in self._changes:
            with reading(run):
                before = self._befores[run] = known or hot.load_run(self._store.notes, run)
            self.lines.know(run, before.submission.project, before.groups)
            self._changes[run] = Change(before, self._now, self)
        return self._changes[run]

    def settle(self, run: int) -> None:
        """Does what follows in the run, and in all others that are concerned."""
        self._open[run] = None
        while self._open or self._ends_deadlock():
            each, _ = self._open.popitem()
            self.do(each, Change.settle)

    def do(self, run: int, act: Callable[[Change], None]) -> None:
        """Raises UnreadableRunError when what is kept of the run does not even allow that."""
        change = self.of(run)
        if self._befores[run] is None:
            # Whoever asked for it is told what is wrong.
            act(change)
            return
        with reading(run, InvalidInputError):
            act(change)

    def send_away(self, run: int, job: str, reason: str) -> None:
        send_away(self.of(run), job, reason)
        self._open[run] = None

    def free(self, run: int, job: str = "") -> None:
        """It has ended: who comes next in its line, if it stood in one, may go on."""
        for following in self.lines.leave(run, job):
            self._open[following] = None

    def _ends_deadlock(self) -> bool:
        """Whether a newcomer would have waited for ever, and so has failed."""
        found = self.lines.deadlock()
        if found is None:
            return False
        newcomer, other = found
        reason = (
            f"concurrency: {other} comes first in group `{newcomer.shown}`, but waits for what this"
            " job is in, so neither would ever go on"
        )
        self.of(newcomer.run).end(asker_of(newcomer.job), JobOutcome("failure", reason=reason))
        self._open[newcomer.run] = None
        return True

    def is_written(
        self,
        then: Callable[[Database], None] | None = None,
        earlier: Mapping[int, Sequence[Event]] = _NONE,
    ) -> bool:
        """Whether nothing had to be written or it could be; False when others were faster.

        `then` is done in the transaction that writes; what runs have of `earlier` is not yet written.
        """
        runs = [
            RunEdit(
                before=self._befores[id_],
                after=change.run,
                events=[*earlier.get(id_, ()), *change.events],
                dead=change.dead,
                successes=change.successes,
                letter=self._letters.get(id_),
                approvals=change.approvals,
                admissions=change.admissions,
            )
            for id_, change in self._changes.items()
        ]
        groups = list(self.lines.edits())
        is_same = all(not edit.events and edit.changes_nothing for edit in runs)
        if is_same and all(edit.before == edit.after for edit in groups):
            return True
        # Whoever gets a job that needs them finds the artifacts; in vain they do no harm.
        self.past.adopt()
        return hot.save(self._store.promises, runs, groups, then)

    def concerns_others(self) -> bool:
        """Whether somebody who waits has something to do now, or an end to hear of."""
        news = (JobQueued, RunFinished)
        changes = self._changes.values()
        return any(isinstance(event, news) for each in changes for event in each.events)


@contextmanager
def reading(run: int, *signs: type[PipeError]) -> Iterator[None]:
    """What goes wrong inside means that the run is damaged; an error of ours, if it is one of these."""
    try:
        yield
    except Exception as error:
        if isinstance(error, PipeError) and not isinstance(error, signs):
            raise
        raise UnreadableRunError(run, error) from error


def change(
    store: Store,
    run: int,
    now: float,
    act: Callable[[Change], None],
    known: StoredRun | None = None,
    then: Callable[[Database], None] | None = None,
    earlier: Sequence[Event] = (),
) -> list[Event]:
    """Does something to a run, and all that follows; returns the events recorded for that run.

    `known` is the run as it was some time ago, and may be still. `then` is done in the transaction
    that writes; it may be done again, in another one. `earlier` happened in the run before. A run
    that cannot be read dies of that; if it is this one, UnreadableRunError is raised then.
    """
    while True:
        together = Together(store, now)
        try:
            together.of(run, known)
            known = None
            together.do(run, act)
            together.settle(run)
            if together.is_written(then, {run: earlier}):
                break
        except ChangedMeanwhileError:
            continue
        except UnreadableRunError as error:
            abandon(store, error.run, error.message, now)
            if error.run == run:
                raise
    if together.concerns_others():
        store.wake()
    return together.of(run).events


def alter(store: Store, run: int, now: float, act: Callable[[Change], None]) -> list[Event]:
    """As `change`; that the run cannot be read is no matter, as it has ended of that."""
    with suppress(UnreadableRunError):
        return change(store, run, now, act)
    return []


def abandon(store: Store, run: int, error: str, now: float) -> None:
    """The run cannot be read: it becomes a dead letter, and who waited for it goes on."""
    for freed in dead.bury(store.promises, run, UNPARSEABLE, error, now):
        alter(store, freed, now, lambda _: None)
    store.wake()
