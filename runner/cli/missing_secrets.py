"""Secrets that the jobs of a run ask for by name, and that nobody gave."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from runner.cli.given_secrets import Ask
from runner.cli.loading import Loaded
from runner.cli.preparing import Preparation
from runner.cli.upcoming import jobs_to_run
from runner.environments import possible_secrets
from runner.errors import InvalidInputError, Problem
from runner.expressions import has_expression, parse_template


def asked_for(loaded: Loaded, prepared: Preparation, ask: Ask) -> Preparation:
    """With what is missing asked for, one after the other. Raises InvalidInputError without a terminal."""
    missing = _missing(loaded, prepared)
    if missing and ask is None:
        raise InvalidInputError(
            f"nobody is there to be asked for these secrets: {_listed(missing)}",
            hint="`--prompt-secrets` needs a terminal; give them with `--secret`",
        )
    answers = {name: ask(name) for name in missing} if ask else {}
    return replace(prepared, secrets={**prepared.secrets, **answers})


def for_workers(loaded: Loaded, prepared: Preparation) -> str:
    """A line about the secrets that a worker has to have for the run; empty if it needs none."""
    names = _missing(loaded, prepared)
    return f"note: give `pipe worker` these secrets: {_listed(names)}" if names else ""


def warnings(loaded: Loaded, prepared: Preparation, *, required: bool) -> tuple[Problem, ...]:
    """One warning that names all of them, if there are any; raises InvalidInputError if `required`."""
    missing = _missing(loaded, prepared)
    if not missing:
        return ()
    hint = f"give each with `--secret`, as in `--secret {missing[0]}`"
    if required:
        message = f"these secrets are needed and not given: {_listed(missing)}"
        raise InvalidInputError(message, hint=hint)
    message = f"these secrets are not given, and so empty: {_listed(missing)}"
    return (Problem("secret-not-given", message, None, hint, severity="warning"),)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _missing(loaded: Loaded, prepared: Preparation) -> list[str]:
    """The names, upper-case, in what is written for the jobs that are going to run.

    What a call passes by name is asked for where it is called.
    """
    missing: set[str] = set()
    for upcoming in jobs_to_run(prepared):
        if upcoming.inherits:
            data = loaded.document_of(upcoming.pipeline).data
            outside = (value for key, value in data.items() if key not in ("jobs", "on"))
            written = _names([*outside, data["jobs"][upcoming.job.id]])
            wanted = {name.upper() for name in written}
            missing |= wanted - possible_secrets(upcoming.job.environment, prepared.secrets)
    return sorted(missing - {"GITHUB_TOKEN"})


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
