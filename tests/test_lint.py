"""What `lint` says about whole files (`cases/lint`), and how it looks when it is printed."""

from pathlib import Path
from typing import Any

import pytest

from runner.cli.problems import render
from runner.errors import Problem
from runner.lint import lint
from runner.lint.findings import SEVERITIES
from runner.parse import parse
from runner.source import load, read

CASES = sorted((Path(__file__).parent / "cases" / "lint").glob("*.yaml"))
STEPS: dict[str, dict[str, Any]] = {
    "template": {
        "type": "object",
        "required": ["source"],
        "additionalProperties": False,
        "properties": {
            "source": {"type": "string"},
            "target": {"type": "string"},
            "mode": {"type": "string"},
        },
    }
}


def problems(text: str) -> list[Problem]:
    document = load(text, "p.yaml")
    return lint(parse(document), document, STEPS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path) -> None:
    document = read(case, case.name)
    found = lint(parse(document), document, STEPS)
    shown = render(found, {document.file: document.text}, color=False)
    assert shown == case.with_suffix(".out").read_text(encoding="utf-8").removesuffix("\n")


def test_every_code_has_a_case() -> None:
    shown = "".join(case.with_suffix(".out").read_text(encoding="utf-8") for case in CASES)
    for code, severity in SEVERITIES.items():
        assert f"{severity}[{code}]" in shown
