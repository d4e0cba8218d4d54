"""Commands that a script prints, and that GitHub does not take any more."""

import re
from collections.abc import Iterable, Iterator, Mapping

from runner.errors import Problem
from runner.lint.findings import finding
from runner.lint.scripts import scripts
from runner.lint.uses import Use
from runner.model import Pipeline
from runner.source import Document

#: Command -> the file that took its place.
_INSTEAD: Mapping[str, str] = {
    "set-output": "GITHUB_OUTPUT",
    "save-state": "GITHUB_STATE",
    "set-env": "GITHUB_ENV",
    "add-path": "GITHUB_PATH",
}
_COMMAND = re.compile(rf"::({'|'.join(_INSTEAD)})(?: [^:]|::)")


def check(pipeline: Pipeline, document: Document, uses: Iterable[Use]) -> Iterator[Problem]:
    """Every command that was replaced by a file."""
    for script in scripts(pipeline, uses):
        for line in script.lines():
            for found in _COMMAND.finditer(line.text):
                at = document.locate_in(script.path, line.offset + found.start(), len(found[1]) + 2)
                message = f"`::{found[1]}::` is deprecated"
                yield finding("deprecated-command", message, at, _hint(_INSTEAD[found[1]]))


def _hint(file: str) -> str:
    written = "/folder" if file == "GITHUB_PATH" else "name=value"
    return f'write `echo "{written}" >> "${file}"`'
