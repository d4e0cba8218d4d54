"""Jobs with `sources` from the command line to their containers, and back from earlier runs."""

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import Finished, RunPipe
from tests.test_cases import make_project

pytestmark = pytest.mark.docker

PIPELINE = """\
on: push
jobs:
  build:
    runs-on: small
    sources: [src, "!**/*.md"]
    outputs:
      said: ${{ steps.make.outputs.said }}
    steps:
      - id: make
        run: |
          mkdir out && cp src/app out
          echo "said=$(cat src/app)" >> $GITHUB_OUTPUT
      - uses: actions/upload-artifact@v4
        with: { name: dist, path: out }
      - uses: ./act
  legs:
    strategy:
      matrix: { n: [1, 2] }
    runs-on: small
    sources: ["leg*"]
    steps:
      - run: cat leg* && [ "$FAIL" != ${{ matrix.n }} ]
  use:
    needs: build
    runs-on: small
    steps:
      - uses: actions/download-artifact@v4
        with: { name: dist }
      - run: echo "use ${{ needs.build.outputs.said }} $(cat app)"
  call:
    uses: ./called.yaml
    with: { level: "${{ inputs.level }}" }
"""
CALLED = """\
on: { workflow_call: { inputs: { level: { type: string } } } }
jobs:
  inner:
    runs-on: small
    sources: ["**/app"]
    steps:
      - run: echo "inner ${{ inputs.level }}"
"""
ACTION = "name: act\nruns: { using: composite, steps: [{ run: sh act/say.sh, shell: sh }] }\n"
FILES = {
    "pipeline.yaml": PIPELINE.replace(
        "on: push", "on: { workflow_dispatch: { inputs: { level: {} } } }"
    ),
    "called.yaml": CALLED,
    "src/app": "one",
    "src/notes.md": "notes",
    "leg": "leg",
    "act/action.yml": ACTION,
    "act/say.sh": "echo said",
}
ALL = {"build", "legs (1)", "legs (2)", "call / inner"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    for name, text in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    make_project(source, tmp_path / "project")
    return tmp_path / "project"


def reused(finished: Finished) -> set[str]:
    """The jobs that did not run again."""
    events: list[Any] = [json.loads(line) for line in finished.stdout.splitlines()]
    ends = {e["job"]: e for e in events if e["event"] == "JobFinished"}
    started = {event["job"] for event in events if event["event"] == "JobStarted"}
    found = {key for key, end in ends.items() if end["reused_from"]}
    assert not found & started
    return found


def test_only_jobs_whose_inputs_changed_run_again(project: Path, run_pipe: RunPipe) -> None:
    def run(*arguments: str) -> set[str]:
        return reused(run_pipe("run", "pipeline.yaml", "--json", *arguments, cwd=project))

    assert run() == set()
    (project / "src/notes.md").write_text("other")
    subprocess.run(["git", "commit", "-qam", "second"], cwd=project, check=True)
    assert run() == ALL
    (project / "src/app").write_text("two")
    assert run() == {"legs (1)", "legs (2)"}
    again = run_pipe("run", "pipeline.yaml", "--json", cwd=project)
    assert reused(again) == ALL
    assert "use two two" in again.stdout
    (project / "act/say.sh").write_text("echo more")
    assert run() == ALL - {"build"}
    assert run("--input", "level=x") == set()
    assert run("--no-reuse", "--input", "level=x") == set()


def test_what_failed_runs_again_alone(project: Path, run_pipe: RunPipe) -> None:
    arguments = ("run", "pipeline.yaml", "--json", "-j", "legs")
    text = (project / "pipeline.yaml").read_text()
    (project / "pipeline.yaml").write_text(
        text.replace("matrix: {", "fail-fast: false\n      matrix: {")
    )
    for _ in range(2):
        failed = run_pipe(*arguments, "--env", "FAIL=2", cwd=project)
        assert failed.exit_code == 1
    assert reused(failed) == {"legs (1)"}


def test_a_run_says_what_it_reused(project: Path, run_pipe: RunPipe) -> None:
    command = ("run", "pipeline.yaml", "-j", "build", "-j", "legs")
    run_pipe(*command, cwd=project)
    files = ("--junit", "../junit.xml", "--result", "../result.json")
    again = run_pipe(*command, *files, cwd=project)
    assert "build | ✓ job succeeded (reused from run 1)" in again.stdout
    assert ": 3 jobs, 3 reused\n" in again.stdout
    assert "image" not in again.stdout, "no container was opened"
    suites = ET.parse(project.parent / "junit.xml").getroot()
    assert {each.text for each in suites.iter("system-out")} == {"reused from run 1"}
    told = json.loads((project.parent / "result.json").read_text())
    assert [job["reused_from"] for job in told["jobs"]] == [1, 1, 1]
    shown = run_pipe("show", "2").stdout
    assert "build: success (reused from run 1)\n  output said: one" in shown
    assert "dist" in run_pipe("artifacts", "2").stdout


def test_a_run_in_the_checkout_says_that_nothing_can_be_reused(
    project: Path, run_pipe: RunPipe
) -> None:
    command = ("run", "pipeline.yaml", "-j", "legs", "--bind")
    for _ in range(2):
        bound = run_pipe(*command, cwd=project)
        assert "! nothing is reused: this run has no copy of the source to compare" in bound.stdout
        assert "reused from" not in bound.stdout
