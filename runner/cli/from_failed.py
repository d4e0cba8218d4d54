"""`--from-failed RUN`: what a new run takes over from that one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runner.cli.history import open_store
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner.cli.loading import Loaded
    from runner.model import Pipeline
    from runner.plan import Contexts, Plan
    from runner.queue import JobOutcome
    from runner.store.rows import StoredRun


def taken_over(
    number: int, loaded: "Loaded", pipeline: "Pipeline", plan: "Plan", contexts: "Contexts"
) -> "Mapping[str, JobOutcome]":
    """The outcomes of the jobs that do not run again, by key.

    Raises InvalidInputError if there is no such run, it is one of another pipeline, or goes on
    still, or nothing in it failed.
    """
    from runner.queue import load_pipeline, reused
    from runner.reuse import Earlier, reusable
    from runner.store import hot
    from runner.store.rows import states_of

    with open_store() as store:
        run = hot.load_run(store.notes, number)
    _check(run, loaded)
    submission = run.submission
    stored = load_pipeline(submission.file, submission.text, submission.called)
    found = reusable(pipeline, plan, contexts, Earlier(stored, run.plan, states_of(run)))
    return {key: reused(number, outputs) for key, outputs in found.items()}


def _check(run: "StoredRun", loaded: "Loaded") -> None:
    file, project = loaded.document.file, str(loaded.project.root)
    if (run.submission.file, run.submission.project) != (file, project):
        theirs = run.submission.file
        if run.submission.project != project:
            theirs = f"{theirs} in {run.submission.project}"
        raise InvalidInputError(
            f"run {run.id} is one of another pipeline: {theirs}",
            hint="`pipe runs` shows which run is of which pipeline",
        )
    if run.state != "finished":
        raise InvalidInputError(
            f"run {run.id} has not ended yet",
            hint=f"wait for it, or stop it: `pipe cancel {run.id}`",
        )
    if run.result == "success":
        raise InvalidInputError(
            f"nothing failed in run {run.id}", hint=f"run it whole: `pipe run {file}`"
        )
