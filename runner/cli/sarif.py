"""Problems as SARIF 2.1.0, which code scanning and editors show beside the lines they are about."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner.errors import Position, Problem
from runner.lint import FILE_RULES, RULES, Rule

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(found: Iterable[tuple[str, Problem]]) -> dict[str, Any]:
    """One run with all problems; each comes with the file that was checked."""
    problems = list(found)
    codes = sorted({problem.code for _, problem in problems})
    driver = {
        "name": "pipe",
        "semanticVersion": version("pipe-runner"),
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, file, codes) for file, problem in problems],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    rule = RULES.get(code) or FILE_RULES.get(code) or Rule("error", code, "")
    described = {
        "id": code,
        "shortDescription": {"text": rule.means},
        "defaultConfiguration": {"level": rule.severity},
    }
    return described | ({"help": {"text": rule.advice}} if rule.advice else {})


def _result(problem: Problem, file: str, codes: Sequence[str]) -> dict[str, Any]:
    hint = f"\n{problem.hint}" if problem.hint else ""
    return {
        "ruleId": problem.code,
        "ruleIndex": codes.index(problem.code),
        "level": problem.severity,
        "message": {"text": f"{problem.message}{hint}"},
        "locations": [{"physicalLocation": _location(problem.position, file)}],
    }


def _location(place: Position | None, file: str) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _artifact(place.file if place else file)}
    if place:
        location["region"] = {
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": place.column + max(place.length, 1),
        }
    return location


def _artifact(file: str) -> dict[str, str]:
    path = Path(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}
