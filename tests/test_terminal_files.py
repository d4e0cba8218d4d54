"""What is left of a run in files: JUnit XML, the result as JSON, a summary for GitHub's job."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.events import Annotation, Result
from runner.terminal.files import Files
from runner.terminal.ledger import TAIL_BYTES
from runner.terminal.view import View, open_files, together
from tests.conftest import RunPipe
from tests.test_terminal import Script


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def tell(script: Script, files: Files, environ: Mapping[str, str] | None = None) -> View:
    view = open_files(files, read=script.read, environ=environ or {})
    script.emit = view.emit
    return view


def play(script: Script) -> None:
    """A job that fails, one that is skipped, one that may fail."""
    script.begin(jobs=3)
    script.queue("build")
    script.job("build", 1, name="Build & <it>")
    script.step("build", 0, "Set up job", 3)
    script.step_end("build", 0, "Set up job", 3)
    script.step("build", 1, "make", 3)
    script.output("build", 1, b"one\n\x1b[31mtwo\x1b[0m \x01]]>\xff\n", 3)
    script.tell(
        Annotation, 4, job="build", step=1, level="error", message="no", file="a.py", line=3
    )
    script.step_end("build", 1, "make", 5, code=2)
    script.step_end("build", 2, "after", 5, outcome="skipped", conclusion="skipped")
    script.job_end("build", 6, "failure", outputs={"v": "1"})
    script.job_end("later", 6, "skipped", reason="not today")
    script.job("soft", 1)
    script.step("soft", 1, "try", 1)
    script.step_end("soft", 1, "try", 2, code=1)
    script.job_end("soft", 2, "failure", softly=True)


def suites(path: Path) -> dict[str, ET.Element]:
    root = ET.parse(path).getroot()
    return {suite.get("name", ""): suite for suite in root.iter("testsuite")}


def test_junit(script: Script, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    with tell(script, Files(junit=path)):
        play(script)
        script.end(7, "failure")
        assert not path.exists()
    root = ET.parse(path).getroot()
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "4", "failures": "1", "errors": "0", "skipped": "3", "time": "7.000"}
    build = suites(path)["Build & <it>"]
    assert [case.get("name") for case in build] == ["make", "after"]
    failure = build[0][0]
    assert failure.tag == "failure"
    assert failure.get("message") == "exit code 2 at pipelines/ci.yaml:9:9"
    assert failure.text == "one\ntwo ]]>\ufffd"
    assert build[1][0].tag == "skipped"
    assert [each.get("message") for each in suites(path)["later"].iter("skipped")] == ["not today"]
    soft = suites(path)["soft"].find("./testcase/skipped")
    assert soft is not None
    assert "continue-on-error" in soft.get("message", "")


def test_a_run_that_never_ended_is_written_as_far_as_it_came(
    script: Script, tmp_path: Path
) -> None:
    files = Files(tmp_path / "junit.xml", tmp_path / "result.json")
    with tell(script, files):
        script.begin(jobs=2)
        script.job("build", 1)
        script.step("build", 1, "make", 1)
    assert suites(tmp_path / "junit.xml")["build"].get("errors") == "1"
    found = json.loads((tmp_path / "result.json").read_text())
    assert (found["result"], found["finished"], found["jobs"][0]["result"]) == (None, None, None)
    assert found["jobs"][0]["attempts"][0]["steps"][0]["name"] == "make"


def test_a_job_that_failed_for_no_step_is_a_failure(script: Script, tmp_path: Path) -> None:
    with tell(script, Files(junit=tmp_path / "junit.xml")):
        script.begin(jobs=1)
        script.job("build", 1)
        script.step("build", 1, "make", 1)
        script.step_end("build", 1, "make", 2)
        script.job_end("build", 3, "failure", reason="lost")
        script.end(3, "failure")
    failure = suites(tmp_path / "junit.xml")["build"].find("./testcase/failure")
    assert failure is not None
    assert failure.get("message") == "lost"


def test_of_a_job_that_was_tried_again_the_last_attempt_counts(
    script: Script, tmp_path: Path
) -> None:
    files = Files(tmp_path / "junit.xml", tmp_path / "result.json")
    with tell(script, files):
        script.begin(jobs=1)
        for attempt, code in ((1, 7), (2, 0)):
            script.job("build", attempt, attempt=attempt)
            script.step_end("build", 1, "make", attempt, code=code, attempt=attempt)
            result: Result = "failure" if code else "success"
            script.job_end("build", attempt, result, attempt=attempt, final=not code)
        script.end(7)
    build = suites(tmp_path / "junit.xml")["build"]
    assert (build.get("tests"), build.get("failures")) == ("1", "0")
    [job] = json.loads((tmp_path / "result.json").read_text())["jobs"]
    told = [
        (each["number"], each["result"], each["steps"][0]["exit_code"]) for each in job["attempts"]
    ]
    assert told == [(1, "failure", 7), (2, "success", 0)]


def test_result(script: Script, tmp_path: Path) -> None:
    with tell(script, Files(result=tmp_path / "result.json")):
        play(script)
        script.end(7, "failure", reason="so")
    found: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    assert (found["run"], found["result"], found["reason"]) == (12, "failure", "so")
    build = found["jobs"][0]
    assert build["outputs"] == {"v": "1"}
    assert build["result"] == "failure"
    last = build["attempts"][-1]["steps"]
    assert [step["number"] for step in last] == [0, 1, 2]
    assert last[1]["exit_code"] == 2
    assert last[1]["position"] == "pipelines/ci.yaml:9:9"
    assert [(each["file"], each["line"]) for each in found["annotations"]] == [("a.py", 3)]
    assert found["jobs"][2]["continue_on_error"] is True


def test_of_long_output_the_end_is_kept(script: Script, tmp_path: Path) -> None:
    with tell(script, Files(junit=tmp_path / "junit.xml")):
        script.begin(jobs=1)
        script.job("build", 1)
        script.step("build", 1, "make", 1)
        for number in range(50):
            script.output("build", 1, f"line {number}\n" + "x" * (TAIL_BYTES // 8) + "\n")
        script.step_end("build", 1, "make", 2, code=1)
        script.job_end("build", 3, "failure")
        script.end(3, "failure")
    failure = suites(tmp_path / "junit.xml")["build"].find("./testcase/failure")
    assert failure is not None
    assert "line 49\n" in (failure.text or "")
    assert "line 30\n" not in (failure.text or "")


def test_summary_of_the_job_around_us(script: Script, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    with tell(script, Files(), environ):
        play(script)
        script.end(7, "failure")
    before, heading, _, verdict, _, *table = path.read_text().split("\n")[:8]
    assert (before, heading) == ("before", "### CI")
    assert verdict.startswith("run 12 failed in 7.0 s")
    assert table[2] == (
        "| Build \\& \\<it\\> | ✗ failure | 5.0 s | make: exit code 2 at pipelines/ci.yaml:9:9 |"
    )


def test_elsewhere_no_summary_is_written(script: Script, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    with tell(script, Files(), {"GITHUB_STEP_SUMMARY": str(path)}):
        script.begin(jobs=0)
        script.end(1)
    assert not path.exists()


@pytest.mark.parametrize("name", [".", "nowhere/result.json"])
def test_a_file_that_cannot_be_written_is_refused_at_once(
    script: Script, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidInputError, match="cannot write to"):
        tell(script, Files(result=tmp_path / name))


def test_a_file_is_replaced_whole_and_what_is_no_file_is_written_into(
    script: Script, tmp_path: Path
) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with tell(script, Files(junit=pipe, result=link)):
        script.begin(jobs=0)
        script.end(1)
    assert link.is_symlink()
    assert json.loads(target.read_text())["result"] == "success"
    assert os.read(reader, 5) == b"<?xml"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "target"]


def test_what_went_wrong_while_writing_is_told(script: Script, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    view = tell(script, Files(result=folder / "result.json"))
    script.begin(jobs=0)
    folder.rmdir()
    with pytest.raises(EnvironmentMissingError, match="cannot write"):
        view.close()


def test_of_two_views_both_are_closed_whatever_happens() -> None:
    closed = []

    def fail() -> None:
        closed.append("first")
        raise EnvironmentMissingError("no")

    first = View(lambda event: None, fail)
    second = View(lambda event: None, lambda: closed.append("second"))
    with pytest.raises(EnvironmentMissingError):
        together(first, second).close()
    assert closed == ["first", "second"]


PIPELINE = """\
on: push
jobs:
  build:
    runs-on: self-hosted
    steps:
      - run: echo "key is $KEY"; exit 3
        env: {KEY: "${{ secrets.KEY }}"}
"""


def test_a_run_leaves_its_files_with_secrets_masked(run_pipe: RunPipe, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)
    files = ("--junit", "junit.xml", "--result", "result.json")
    ended = run_pipe("run", "p.yaml", "--host", "-s", "KEY=hunter2", *files)
    assert ended.exit_code == 1, ended.stderr
    failure = ET.parse(tmp_path / "junit.xml").getroot().find(".//failure")
    assert failure is not None
    assert "key is ***" in (failure.text or "")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["jobs"][0]["attempts"][0]["steps"][1]["exit_code"] == 3
    assert "hunter2" not in (tmp_path / "result.json").read_text()
