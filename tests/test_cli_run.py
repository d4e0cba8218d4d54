"""`pipe run` before and around the run: what is refused or only warned of, and how to run again."""

from pathlib import Path

import pytest

from runner.cli.loading import Loaded, load_pipeline
from runner.errors import InvalidInputError

PIPELINE = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ %s }}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(expression: str) -> Loaded:
    """A pipeline with this expression in it, read from its file."""
    Path("p.yaml").write_text(PIPELINE % expression)
    return load_pipeline("p.yaml", Path())


# -- what is checked before a run --


@pytest.mark.parametrize(
    ("expression", "codes"),
    [
        ("github.sha", []),
        ("steps.nowhere.outputs.x", ["unknown-step-id"]),
        ("needs.other.result", ["unknown-need"]),
        ("matrix.os", ["unknown-matrix-key"]),
    ],
)
def test_references_to_nothing_are_warned_of_each_time(expression: str, codes: list[str]) -> None:
    for _ in range(2):
        warnings = loaded(expression).warnings
        assert [(found.code, found.severity) for found in warnings] == [
            (code, "warning") for code in codes
        ]


def test_what_cannot_run_is_refused_with_every_error() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        loaded("matrix.os }} ${{ nope()")
    assert refusal.value.message == "unknown function 'nope'"
    assert [found.code for found in refusal.value.problems] == ["unknown-matrix-key", "expression"]
