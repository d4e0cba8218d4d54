"""The name of a queue on the command line: what a pipeline file can say, and nothing else."""

import re

from runner.errors import InvalidInputError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def queue_name(text: str) -> str:
    """The text itself. Raises InvalidInputError if no pipeline file can name such a queue."""
    if not _NAME.fullmatch(text):
        raise InvalidInputError(
            f"`{text}` is no name of a queue",
            hint="it holds only letters, digits, `_` and `-`, at most 100 of them",
        )
    return text
