"""How a run comes into the queue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.concurrency import ChangedMeanwhileError
from runner.errors import PipeError
from runner.plan import Plan
from runner.queue.change import Change
from runner.queue.groups import claim_of_run
from runner.queue.outcome import NOTHING_REUSED, UNPARSEABLE, JobOutcome, with_reused
from runner.queue.telling import run_finished
from runner.queue.together import Together, UnreadableRunError, abandon, change
from runner.store import Store, hot
from runner.store.rows import DeadLetter, RunEdit, StoredRun, Submission, blocked

_KEPT_CONTEXTS = {"github", "inputs", "vars"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that is to enter the queue: at `due_at` (seconds since the epoch), or at once.

    `reused` has the outcomes of jobs that do not run, by key; each counts from when its needs have
    ended and its condition holds. The run dies if it waits for its start for more than `patience`
    seconds.
    """

    submission: Submission
    plan: Plan
    reused: Mapping[str, JobOutcome] = field(default_factory=dict)
    due_at: float | None = None
    patience: float | None = None
    #: The run whose dead letter goes on as this one.
    letter: int | None = None


def enqueue(
    store: Store,
    submission: Submission,
    plan: Plan,
    now: float,
    reused: Mapping[str, JobOutcome] = NOTHING_REUSED,
    patience: float | None = None,
) -> int:
    """Starts a run and returns its number, which is never used again; as `enqueue_all`."""
    [run] = enqueue_all(store, [Entry(submission, plan, reused, patience=patience)], now)
    return run


def enqueue_all(store: Store, entries: Sequence[Entry], now: float) -> list[int]:
    """Starts all of these runs or none, and returns their numbers, which are never used again.

    Once this returns, they survive a loss of power. `github.run_id`, `run_number` and `run_attempt`
    are added to their contexts. Whoever has a submission key that is known, gets that run.

    A run with `concurrency` joins the line of its group; InvalidInputError if that has no value.
    RefusedError if somebody has had all runs of this day.
    """
    for entry in entries:
        _refuse_secrets(entry.submission)
    while True:
        together = Together(store, now)
        later: list[int] = []
        try:
            runs = list(_enter(store, together, entries, now, later))
            if together.is_written():
                break
        except ChangedMeanwhileError:
            continue
        except UnreadableRunError as error:
            # One that it came to wait for, or to send away.
            abandon(store, error.run, error.message, now)
    for run in later:
        change(store, run, now, Change.enter)
    store.wake()
    return runs


def _enter(
    store: Store,
    together: Together,
    entries: Sequence[Entry],
    now: float,
    later: list[int],
) -> Iterator[int]:
    """The numbers of the runs; `later` gets those that enter once they are written."""
    numbers = Numbers(store)
    known: dict[tuple[str, str], int] = {}
    for entry in entries:
        submission = entry.submission
        key = submission.submission_key
        if key is not None:
            found = known.get((submission.project, key))
            found = found or hot.submitted(store.notes, submission.project, key)
            if found is not None:
                yield found
                continue
        run = _new_run(entry, numbers.next(submission), now)
        if key is not None:
            known[submission.project, key] = run.id
        if _may_reuse(submission):
            claim_of_run(run)  # raises what entering would
            together.add(run, letter=entry.letter)
            later.append(run.id)
        else:
            together.enter(run, entry.letter)
        yield run.id


def _may_reuse(submission: Submission) -> bool:
    """Whether artifacts may be taken over as the run enters: then its number has to be its own."""
    return bool(submission.options.get("sources")) and submission.options.get("reuse", True)


def enqueue_dead(store: Store, submission: Submission, error: str, now: float) -> int:
    """Records a run that could not even be planned, as a dead letter; returns its number.

    Whoever has a submission key that is known, gets that run.
    """
    while True:
        key = submission.submission_key
        known = hot.submitted(store.notes, submission.project, key) if key is not None else None
        if known is not None:
            return known
        run = _new_run(Entry(submission, Plan(())), Numbers(store).next(submission), now)
        dead = replace(run, state="finished", result="failure", reason=UNPARSEABLE, finished_at=now)
        letter = DeadLetter(UNPARSEABLE, "", error)
        if hot.save(store.promises, [RunEdit(None, dead, [run_finished(dead, now)], letter)]):
            return run.id


class Numbers:
    """The ids that new runs will have, and their numbers among the runs of their files."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: int | None = None
        self._runs: dict[tuple[str, str], int] = {}

    def next(self, submission: Submission) -> tuple[int, int]:
        """Those of one more run."""
        which = (submission.project, submission.file)
        if self._last is None or which not in self._runs:
            id_, number = hot.next_numbers(self._store.notes, *which)
            self._last = id_ - 1 if self._last is None else self._last
            self._runs[which] = number - 1
        self._last += 1
        self._runs[which] += 1
        return self._last, self._runs[which]


def _new_run(entry: Entry, numbers: tuple[int, int], now: float) -> StoredRun:
    id_, run_number = numbers
    submission = entry.submission
    known = {"run_id": str(id_), "run_number": str(run_number), "run_attempt": "1"}
    github = {**submission.contexts.get("github", {}), **known}
    submission = replace(
        submission,
        contexts={**submission.contexts, "github": github},
        options=with_reused(submission, entry.reused),
    )
    enters_at = max(now, entry.due_at or now)
    return StoredRun(
        id=id_,
        run_number=run_number,
        submission=submission,
        plan=entry.plan,
        jobs={
            job.key: blocked(job, at, submission, enters_at)
            for at, job in enumerate(entry.plan.jobs)
        },
        created_at=now,
        # One that is written before it enters is due, so that somebody sees to it in any case.
        due_at=enters_at if enters_at > now or _may_reuse(submission) else None,
        expires_at=None if entry.patience is None else enters_at + entry.patience,
    )


def _refuse_secrets(submission: Submission) -> None:
    unknown = submission.contexts.keys() - _KEPT_CONTEXTS
    if unknown:
        raise PipeError(f"these contexts must not be stored: {', '.join(sorted(unknown))}")
    if submission.contexts.get("github", {}).get("token"):
        raise PipeError("`github.token` is a secret and must not be stored")
