"""Secrets that the jobs of a run ask for by name, and that nobody gave."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from runner.cli.loading import Loaded
from runner.cli.preparing import Preparation
from runner.cli.upcoming import jobs_to_run
from runner.errors import InvalidInputError, Problem
from runner.expressions import has_expression, parse_template


def warnings(loaded: Loaded, prepared: Preparation, *, required: bool) -> tuple[Problem, ...]:
    """One warning that names all of them, if there are any; raises InvalidInputError if `required`."""
    given = {name.upper() for name in prepared.secrets}
    missing = sorted(_asked_for(loaded, prepared) - given - {"GITHUB_TOKEN"})
    if not missing:
        return ()
    names = ", ".join(f"`{name}`" for name in missing)
    hint = f"give each with `--secret`, as in `--secret {missing[0]}`"
    if required:
        raise InvalidInputError(f"these secrets are needed and not given: {names}", hint=hint)
    message = f"these secrets are not given, and so empty: {names}"
    return (Problem("secret-not-given", message, None, hint, severity="warning"),)


def _asked_for(loaded: Loaded, prepared: Preparation) -> set[str]:
    """The names, upper-case, in what is written for the jobs that are going to run.

    What a call passes by name is asked for where it is called.
    """
    written = []
    for upcoming in jobs_to_run(prepared):
        if upcoming.inherits:
            data = loaded.document_of(upcoming.pipeline).data
            outside = (value for key, value in data.items() if key not in ("jobs", "on"))
            written += [*outside, data["jobs"][upcoming.job.id]]
    return {name.upper() for name in _names(written)}


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        yield from chain.from_iterable(map(_names, value))
    # Most expressions need not be parsed for this.
    elif isinstance(value, str) and has_expression(value) and "secrets" in value.lower():
        yield from _names_in(value)


def _names_in(text: str) -> Iterator[str]:
    for _, expression in parse_template(text).expressions:
        for reference in expression.references:
            context, name = (*reference.path, None)[:2]
            if context == "secrets" and name is not None:
                yield name
