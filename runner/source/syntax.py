"""What is wrong with text that is not YAML, in our own words."""

import re
from typing import Any

from runner.errors import Problem
from runner.source.positions import At


def syntax_problem(error: Any, text: str, at: At) -> Problem:
    """Our own words for what PyYAML found; its two parsers agree on positions, not on texts."""
    index = min(error.problem_mark.index if error.problem_mark else 0, len(text))
    opened = error.context_mark.index if error.context_mark else index
    for diagnose in (_tab_problem, _alias_problem, _documents_problem, _unclosed_problem):
        problem = diagnose(text, index, opened, at)
        if problem:
            return problem
    return _unreadable_problem(text, index, at)


def _tab_problem(text: str, index: int, _opened: int, at: At) -> Problem | None:
    start = text.rfind("\n", 0, index) + 1
    indent = re.compile(r"[ -]*(\t)").match(text, start)
    if not indent or indent.start(1) > index:
        return None
    hint = "indent with spaces; YAML does not allow tabs there"
    return Problem("tab", "a tab is used for indentation", at(indent.start(1), 1), hint)


_ANCHOR_OR_ALIAS = re.compile(r"([*&])([^\s,\[\]{}]*)")


def _alias_problem(text: str, index: int, opened: int, at: At) -> Problem | None:
    name = _ANCHOR_OR_ALIAS.match(text, index) or _ANCHOR_OR_ALIAS.match(text, opened)
    if not name:
        return None
    if name[1] == "&":
        message = f"the anchor `{name[0]}` is defined a second time"
        return Problem(
            "duplicate-anchor", message, at(name.start(), len(name[0])), "give it another name"
        )
    return Problem(
        "unknown-alias",
        f"`{name[0]}` refers to an anchor `&{name[2]}` that is not defined above it",
        at(name.start(), len(name[0])),
        "text that starts with `*` must be in quotes",
    )


def _documents_problem(text: str, index: int, _opened: int, at: At) -> Problem | None:
    if not text.startswith("---", index):
        return None
    message = "a second document starts here, but a file holds one"
    return Problem("several-documents", message, at(index, 3), "move it to a file of its own")


def _unclosed_problem(text: str, index: int, opened: int, at: At) -> Problem | None:
    opener = text[opened : opened + 1]
    if opener in ("'", '"') and index >= len(text.rstrip()):
        message = f"the quote {opener} is never closed"
        return Problem("unclosed", message, at(opened, 1), "add the same quote at the end")
    if opener in ("[", "{") and opened != index:
        closer = "]" if opener == "[" else "}"
        message = f"`{opener}` is not closed, or a comma is missing"
        hint = f"close it with `{closer}`; text that starts with `{opener}` must be in quotes"
        return Problem("unclosed", message, at(opened, 1), hint)
    return None


def _unreadable_problem(text: str, index: int, at: At) -> Problem:
    character = text[index : index + 1]
    before = text[text.rfind("\n", 0, index) + 1 : index]
    if character and character in "@`%|>":
        message, hint = f"text cannot start with {character}", "write it in quotes"
    elif character == "\\":
        message = "this backslash starts no escape that YAML knows"
        hint = "write `\\\\`, or use single quotes, in which a backslash is only itself"
    elif character == ":" and text[index + 1 : index + 2] in tuple(",[]{}"):
        message, hint = "a space is missing after `:`", "write `: `"
    elif character == ":":
        message = "a second `:` on this line, where no further mapping can start"
        hint = "text that holds `: ` must be in quotes"
    elif before.rstrip().endswith(("'", '"')):
        message, hint = "text goes on after its closing quote", "put all of it in quotes"
    elif not before.strip():
        message = "this line does not continue what stands above it"
        hint = "check its indentation against the lines above"
    else:
        message = "this is not valid YAML"
        hint = "look here and just above for a missing `:` or a stray quote or bracket"
    return Problem("yaml-syntax", message, at(index, 1), hint)
