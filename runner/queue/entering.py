"""How a run comes into the queue."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from runner.concurrency import ChangedMeanwhileError
from runner.errors import PipeError
from runner.plan import Plan
from runner.queue.outcome import NOTHING_REUSED, JobOutcome
from runner.queue.together import Together
from runner.store import Store, hot
from runner.store.rows import StoredRun, Submission, blocked

_KEPT_CONTEXTS = {"github", "inputs", "vars"}


def enqueue(
    store: Store,
    submission: Submission,
    plan: Plan,
    now: float,
    reused: Mapping[str, JobOutcome] = NOTHING_REUSED,
) -> int:
    """Starts a run and returns its number, which is never used again.

    Once this returns, the run survives a loss of power. `github.run_id`, `run_number` and
    `run_attempt` are added to its contexts. `reused` has the outcomes of jobs that do not run, by
    key; each counts from when its needs have ended and its condition holds.

    A run with `concurrency` joins the line of its group; InvalidInputError if that has no value.
    """
    _refuse_secrets(submission)
    while True:
        numbers = hot.next_numbers(store.notes, submission.project, submission.file)
        together = Together(store, now)
        with suppress(ChangedMeanwhileError):
            run = together.enter(_new_run(submission, plan, numbers, now), reused)
            if together.is_written():
                return run


def _new_run(submission: Submission, plan: Plan, numbers: tuple[int, int], now: float) -> StoredRun:
    id_, run_number = numbers
    known = {"run_id": str(id_), "run_number": str(run_number), "run_attempt": "1"}
    github = {**submission.contexts.get("github", {}), **known}
    submission = replace(submission, contexts={**submission.contexts, "github": github})
    return StoredRun(
        id=id_,
        run_number=run_number,
        submission=submission,
        plan=plan,
        jobs={job.key: blocked(job, at, submission) for at, job in enumerate(plan.jobs)},
        created_at=now,
    )


def _refuse_secrets(submission: Submission) -> None:
    unknown = submission.contexts.keys() - _KEPT_CONTEXTS
    if unknown:
        raise PipeError(f"these contexts must not be stored: {', '.join(sorted(unknown))}")
    if submission.contexts.get("github", {}).get("token"):
        raise PipeError("`github.token` is a secret and must not be stored")
