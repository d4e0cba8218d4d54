"""Several runs that change at once, and are written in one transaction."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from runner.concurrency import ChangedMeanwhileError, Lines
from runner.events import Event, JobQueued, RunFinished
from runner.plan import asker_of
from runner.queue.change import Change
from runner.queue.outcome import NOTHING_REUSED, JobOutcome
from runner.queue.past import Past
from runner.store import Store, hot, lines
from runner.store.rows import RunEdit, StoredRun


class Together:
    """The runs that change at once: one, those that it sends away, and those that it frees."""

    def __init__(self, store: Store, now: float) -> None:
        self.lines = Lines(partial(lines.read, store.notes), partial(lines.groups, store.notes))
        self.past = Past(store, now)
        self._store = store
        self._now = now
        self._changes: dict[int, Change] = {}
        self._befores: dict[int, StoredRun | None] = {}
        #: Those about which more may follow now; the values mean nothing.
        self._open: dict[int, None] = {}
        #: The dead letters that new runs go on with.
        self._letters: dict[int, int | None] = {}

    def enter(
        self, run: StoredRun, reused: Mapping[str, JobOutcome], letter: int | None = None
    ) -> None:
        """A new run, and what follows; `letter` is the run whose dead letter goes on as it."""
        self.add(run, reused, letter).enter()
        self.settle(run.id)

    def add(
        self,
        run: StoredRun,
        reused: Mapping[str, JobOutcome] = NOTHING_REUSED,
        letter: int | None = None,
    ) -> Change:
        """A new run, about which nothing is decided yet."""
        self._letters[run.id] = letter
        self._befores[run.id] = None
        self.lines.know(run.id, run.submission.project, {})
        change = self._changes[run.id] = Change(run, self._now, self, reused)
        return change

    def of(
        self,
        run: int,
        known: StoredRun | None = None,
        reused: Mapping[str, JobOutcome] = NOTHING_REUSED,
    ) -> Change:
        """The run on its way; read when it is asked for first, unless it is `known`."""
        if run not in self._changes:
            before = self._befores[run] = known or hot.load_run(self._store.notes, run)
            self.lines.know(run, before.submission.project, before.groups)
            self._changes[run] = Change(before, self._now, self, reused)
        return self._changes[run]

    def settle(self, run: int) -> None:
        """Does what follows in the run, and in all others that are concerned."""
        self._open[run] = None
        while self._open or self._ends_deadlock():
            each, _ = self._open.popitem()
            self.of(each).settle()

    def send_away(self, run: int, job: str, reason: str) -> None:
        self.of(run).send_away(job, reason)
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

    def is_written(self) -> bool:
        """Whether nothing had to be written or it could be; False when others were faster."""
        runs = [
            RunEdit(
                before=self._befores[id_],
                after=change.run,
                events=change.events,
                dead=change.dead,
                successes=change.successes,
                letter=self._letters.get(id_),
            )
            for id_, change in self._changes.items()
        ]
        groups = list(self.lines.edits())
        is_same = all(edit.before == edit.after for edit in runs)
        if is_same and all(edit.before == edit.after for edit in groups):
            return True
        # Whoever gets a job that needs them finds the artifacts; in vain they do no harm.
        self.past.adopt()
        return hot.save(self._store.promises, runs, groups)

    def concerns_others(self) -> bool:
        """Whether somebody who waits has something to do now, or an end to hear of."""
        news = (JobQueued, RunFinished)
        changes = self._changes.values()
        return any(isinstance(event, news) for each in changes for event in each.events)


def change(
    store: Store,
    run: int,
    now: float,
    act: Callable[[Change], None],
    known: StoredRun | None = None,
    reused: Mapping[str, JobOutcome] = NOTHING_REUSED,
) -> list[Event]:
    """Does something to a run, and all that follows; returns the events recorded for that run.

    `known` is the run as it was some time ago, and may be still. `reused` has the outcomes of jobs
    that do not run, by key, for a run that enters.
    """
    while True:
        together = Together(store, now)
        with suppress(ChangedMeanwhileError):
            changing = together.of(run, known, reused)
            known = None
            act(changing)
            together.settle(run)
            if together.is_written():
                if together.concerns_others():
                    store.wake()
                return changing.events
