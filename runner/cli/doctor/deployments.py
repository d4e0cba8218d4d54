"""Deployments that nobody works on any more, although they have not ended."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runner.cli.opening import opened_store
from runner.errors import EnvironmentMissingError
from runner.store.finding import Finding


def deployments(home: Path) -> Iterator[Finding]:
    """What a killed process has left is not ended here: that may change what users see."""
    from runner.delivery.unfinished import unfinished

    # What is wrong with the database is told already.
    with suppress(EnvironmentMissingError), opened_store(home) as store:
        found = unfinished(store)
        if not found:
            yield Finding("deployments", "ok", "none was left unfinished")
            return
        first = found[0]
        text = f"{len(found)} left unfinished, {first.id} of {first.subject} the first"
        yield Finding("deployments", "warning", text, "`pipe recover` ends them")
