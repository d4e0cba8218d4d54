"""`pipe rerun RUN`: once more, where it ran before: in the queue, or in this terminal."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.history import open_store
from runner.cli.run_number import RUN_NUMBER
from runner.errors import EnvironmentMissingError, InvalidInputError

if TYPE_CHECKING:
    from runner.queue import Submission
    from runner.store import Store
    from runner.store.rows import StoredRun

#: What stands for the value of a secret in what is stored.
_MASK = "***"


@click.command("rerun", short_help="Run a past run again.")
@click.argument("run", type=RUN_NUMBER)
@click.option("--failed", is_flag=True, help="Only what did not succeed.")
@click.pass_context
def command(context: click.Context, /, run: int, failed: bool) -> None:
    """Run RUN again, which has ended: a run that was submitted is queued again, as it was.

    One of `pipe run` runs here and now: the same command, in the folder where it was typed, on the
    source as it is today.
    """
    from runner.queue.again import read_ended
    from runner.store.rows import is_submitted

    with open_store() as store:
        stored = read_ended(store, run)
        if failed and stored.result == "success":
            raise InvalidInputError(
                f"nothing failed in run {run}", hint=f"run it whole: `pipe rerun {run}`"
            )
        if is_submitted(stored):
            click.echo(_queue(store, stored, failed=failed))
            return
    context.exit(_run_here(stored, failed=failed))


def _queue(store: "Store", run: "StoredRun", *, failed: bool) -> int:
    from runner import queue
    from runner.cli.requeueing import entry_again
    from runner.cli.storage import open_storage
    from runner.store import dead

    entry = entry_again(store, open_storage(), run.id, from_start=not failed)
    letters = dead.letters(store.notes, run.id)
    if any(letter.requeued_as is None for letter in letters):
        entry = replace(entry, letter=run.id)
    [number] = queue.enqueue_all(store, [entry], store.now())
    return number


def _run_here(run: "StoredRun", *, failed: bool) -> int:
    from runner.cli.run import command as run_command

    arguments = _arguments(run.submission)
    if failed:
        arguments += ["--from-failed", str(run.id)]
    said = shlex.join(["pipe", "run", *arguments])
    if any(_MASK in word for word in arguments):
        raise InvalidInputError(
            f"the command of run {run.id} held a secret, which is not stored",
            hint=f"type it again: {said}",
        )
    _enter(run)
    click.echo(said, err=True)
    code = run_command.main(arguments, prog_name="pipe run", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _arguments(submission: "Submission") -> list[str]:
    """What stood behind `pipe run`, but for the run that it took up."""
    words = [str(word) for word in submission.options.get("arguments", ())][1:]
    while "--from-failed" in words:
        at = words.index("--from-failed")
        del words[at : at + 2]
    return words or [submission.file]


def _enter(run: "StoredRun") -> None:
    submission = run.submission
    folder = Path(str(submission.options.get("typed_in", submission.project)))
    try:
        os.chdir(folder)
    except OSError as error:
        raise EnvironmentMissingError(
            f"the folder of run {run.id} is gone: {folder}",
            hint="run the pipeline where it is now: `pipe run FILE`",
        ) from error
