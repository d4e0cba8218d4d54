"""Waiting for runs that workers do: their output as it comes, and how they ended."""

from collections.abc import Sequence

import click

from runner.cli.history import open_store, took, verdict
from runner.cli.logs import follow_run
from runner.cli.storage import open_storage
from runner.errors import EXIT_CANCELLED, EXIT_RUN_FAILED, EXIT_SUCCESS

_CODES = {"success": EXIT_SUCCESS, "cancelled": EXIT_CANCELLED}


def await_all(runs: Sequence[int]) -> int:
    """Follows one after the other to its end; returns the worst of their exit codes."""
    try:
        return max([_await(run) for run in runs], default=EXIT_SUCCESS)
    except KeyboardInterrupt:
        followed = " && ".join(f"pipe logs -f {run}" for run in runs)
        click.echo(f"\nnot waited for any longer, but not cancelled: {followed}", err=True)
        return EXIT_CANCELLED


def _await(run: int) -> int:
    with open_store() as store:
        found = follow_run(store, open_storage(), run)
    ended = verdict(found.state, found.result, found.reason)
    click.echo(f"run {run}: {ended}, {took(found.started_at, found.finished_at)}", err=True)
    return _CODES.get(found.result or "", EXIT_RUN_FAILED)
