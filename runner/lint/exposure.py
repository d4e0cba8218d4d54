"""Secrets where others can see them: in the text of a script, printed, or written in the file."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from runner.errors import Problem
from runner.expressions import has_expression
from runner.lint.findings import finding
from runner.lint.injection import is_script
from runner.lint.nodes import Name, carried, lower
from runner.lint.scripts import Script, scripts
from runner.lint.uses import Use
from runner.model import Path, Pipeline
from runner.source import Document

_KEYS = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|AKIA(?![A-Z0-9]*EXAMPLE)[A-Z0-9]{16}|xox[abprs]-[A-Za-z0-9-]{20,})\b"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)
#: Something prints: not in `$( )`, and nothing takes up what is printed.
_PRINTS = re.compile(
    r"(?:^|[;&|{(]|\bthen\b|\bdo\b|\belse\b)\s*(?:echo|printf(?! -v))\b([^|>;&]*)$"
)
_TAKEN_UP = re.compile(r"[^;&]*(?:[|>)`]|\\$)")
_GROUP_GOES_ON = re.compile(r"^\s*(?:\}|\)|done|fi)[\"']?\s*(?:\||>)", re.MULTILINE)


def check(pipeline: Pipeline, document: Document, uses: Iterable[Use]) -> Iterator[Problem]:
    """Every secret that leaves the place where it is kept."""
    found = list(uses)
    for use in found:
        if is_script(use.scalar.path, pipeline):
            yield from _in_script(use, document)
    for script in scripts(pipeline, found):
        yield from _printed(script, document)
    yield from _credentials(pipeline, document)
    yield from _keys(document.data, (), document)


def _in_script(use: Use, document: Document) -> Iterator[Problem]:
    held = set(carried(use.expression.root))
    for reference in use.expression.references:
        if lower(reference.path) in held and _is_secret(lower(reference.path)):
            position = use.position(document, reference.offset, reference.length)
            name = ".".join(part or "*" for part in reference.path)
            message = f"the secret `{name}` becomes part of the script"
            hint = "pass it through `env:` and use the variable"
            yield finding("secret-in-script", message, position, hint)


def _is_secret(name: Name) -> bool:
    return name[:1] == ("secrets",) or name == ("github", "token")


def _printed(script: Script, document: Document) -> Iterator[Problem]:
    names = [name for name, uses in script.variables.items() if _holds_secret(uses)]
    if not names or _GROUP_GOES_ON.search(script.text):
        return
    either = "|".join(map(re.escape, names))
    variable = re.compile(rf"\$(?:({either})\b|\{{({either})\}})")
    for line in script.lines():
        for found in variable.finditer(line.text):
            if _is_shown(line.text[: found.start()], line.text[found.end() :]):
                at = document.locate_in(script.path, line.offset + found.start(), len(found[0]))
                message = f"the secret in `{found[1] or found[2]}` is printed"
                hint = "take it out: what is masked here may be readable in another spelling"
                yield finding("printed-secret", message, at, hint)


def _holds_secret(uses: Iterable[Use]) -> bool:
    return any(_is_secret(name) for use in uses for name in carried(use.expression.root))


def _is_shown(before: str, after: str) -> bool:
    prints = _PRINTS.search(before)
    if not prints or "::add-mask::" in prints[1] or prints[1].count("'") % 2:
        return False
    return not _TAKEN_UP.match(after)


def _credentials(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    for job in pipeline.jobs.values():
        written = document.data["jobs"][job.id]
        services = written.get("services")
        boxes = {(*job.path, "container"): written.get("container")}
        if isinstance(services, dict):
            boxes |= {(*job.path, "services", name): box for name, box in services.items()}
        for path, box in boxes.items():
            password = _password(box)
            if password and not has_expression(password):
                position = document.locate((*path, "credentials", "password"))
                hint = "make it a secret, and write `${{ secrets.NAME }}`"
                yield finding("written-credentials", "a password is written here", position, hint)


def _password(box: Any) -> str:
    credentials = box.get("credentials") if isinstance(box, dict) else None
    password = credentials.get("password") if isinstance(credentials, dict) else None
    return str(password or "")


def _keys(value: Any, path: Path, document: Document) -> Iterator[Problem]:
    """Every text that has the form of a key which some service gives out."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from _keys(item, (*path, key), document)
    elif isinstance(value, str) and (found := _KEYS.search(value)):
        position = document.locate_in(path, found.start(), len(found[0]))
        hint = "make it a secret, and give it a new value: this one is known by now"
        yield finding("written-credentials", "a key is written here", position, hint)
