"""How it is told that a value of a job cannot be had."""

from collections.abc import Iterator
from contextlib import contextmanager

from runner.errors import InvalidInputError


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Put the key of the job in front of what is wrong with its value."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{key}: {error.message}", hint=error.hint) from error


def explained(error: InvalidInputError) -> str:
    """What is wrong in one sentence, with what to do about it."""
    return f"{error.message} ({error.hint})" if error.hint else error.message
