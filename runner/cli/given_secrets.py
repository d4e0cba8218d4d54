"""The secrets that were given for a run: on the command line, in a file, at a prompt."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.typed import Options
from runner.secrets import parse_assignment, read_secret_file

if TYPE_CHECKING:
    from runner.terminal.mode import Mode

#: Asks for the secret of that name; None where nobody is there to answer.
Ask = Callable[[str], str] | None


def given_secrets(options: Options, ask: Ask) -> dict[str, str]:
    """All of them by name; those of an environment as `production:TOKEN`. Raises InvalidInputError."""
    found = read_secret_file(Path(options.secret_file)) if options.secret_file else {}
    for text in options.secrets:
        name = text.rpartition(":")[2]
        known: Mapping[str, str] = os.environ
        if ask and "=" not in text and name and name not in known:
            parse_assignment(f"{text}=")  # so that nobody types a secret for a name that is refused
            known = {name: ask(text)}
        found |= [parse_assignment(text, known)]
    return found


def asking(progress: "Mode") -> Ask:
    """A prompt with hidden input, where a person is there to answer it."""
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return _prompt if is_terminal and not in_ci and progress not in ("json", "quiet") else None


def _prompt(name: str) -> str:
    answer: str = click.prompt(
        f"Secret {name}", default="", show_default=False, hide_input=True, err=True
    )
    return answer
