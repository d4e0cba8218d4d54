"""Text of strangers that is written to the files that set variables for all later steps."""

import re
from collections.abc import Iterable, Iterator

from runner.errors import Problem
from runner.lint.findings import finding
from runner.lint.injection import untrusted
from runner.lint.scripts import Script, scripts
from runner.lint.uses import Use
from runner.model import Pipeline
from runner.source import Document

_TO_FILE = re.compile(r">>?\s*[\"']?\$\{?(GITHUB_ENV|GITHUB_PATH)\b")
#: A group of commands whose output goes to such a file all together.
_GROUP = re.compile(r"\{[ \t]*\n([^{}]*(?:\$\{[^{}]*\}[^{}]*)*)\}\s*" + _TO_FILE.pattern)


def check(pipeline: Pipeline, document: Document, uses: Iterable[Use]) -> Iterator[Problem]:
    """Every line that writes a variable with untrusted text there."""
    for script in scripts(pipeline, uses):
        names = [name for name, found in script.variables.items() if _is_untrusted(found)]
        if names:
            either = "|".join(map(re.escape, names))
            yield from _written(script, re.compile(rf"\$\{{?({either})\b"), document)


def _is_untrusted(uses: Iterable[Use]) -> bool:
    return any(True for use in uses for _ in untrusted(use.expression))


def _written(script: Script, variable: re.Pattern[str], document: Document) -> Iterator[Problem]:
    groups = [(found.start(1), found.end(1), found[2]) for found in _GROUP.finditer(script.text)]
    for line in script.lines():
        to_file = _TO_FILE.search(line.text)
        around = next((file for a, b, file in groups if a <= line.offset < b), "")
        file = to_file[1] if to_file else around
        if file and (found := variable.search(line.text)):
            position = document.locate_in(script.path, line.offset + found.start(), len(found[0]))
            message = f"`{found[1]}` may hold anything, and here it goes to `${file}`"
            hint = "write it to `$GITHUB_OUTPUT`, or reduce it to harmless letters first"
            yield finding("untrusted-environment", message, position, hint)
