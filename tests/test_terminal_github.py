"""A run inside a job of GitHub: its log's commands are ours alone."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.events import Annotation
from runner.terminal.github import command, harmless, harmless_json
from runner.terminal.mode import Mode
from runner.terminal.view import open_view
from tests.conftest import RunPipe
from tests.test_terminal import Script

INSIDE = {"GITHUB_ACTIONS": "true", "CI": "true"}
#: How GitHub's runner reads: lines end with any of these.
LINE_ENDS = re.compile("\r\n|\r|\n")


def obeyed(log: str) -> list[str]:
    """The commands that GitHub's runner would obey in a log."""
    found, token = [], ""
    for line in LINE_ENDS.split(log):
        colons = re.match(r"\s*::([\w-]+)(?: [^:]*)?::(.*)", line)
        if token:
            token = "" if line.strip() == f"::{token}::" else token
        elif colons and colons[1] == "stop-commands":
            token = colons[2]
        elif colons or "##[" in line:
            found.append(line)
    assert not token
    return found


@pytest.fixture
def show(tmp_path: Path) -> Callable[[Callable[[Script], None], Mode], str]:
    def shown(play: Callable[[Script], None], mode: Mode = "auto") -> str:
        script, raw = Script(tmp_path), io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="utf-8")
        with open_view(
            stream, mode=mode, read=script.read, rerun=lambda end: "pipe run", environ=INSIDE
        ) as view:
            script.emit = view.emit
            play(script)
        stream.flush()
        return raw.getvalue().decode()

    return shown


def hostile(script: Script) -> None:
    """All that a step and a pipeline can say is a command."""
    evil = "::add-mask::a\n ::set-output name=x::y\r::error::z\nx ##[add-path]/evil\n::token::\n"
    script.begin(jobs=1)
    script.job("build", 1, name="##[group]build")
    script.step("build", 1, "::error::step", 1)
    script.output("build", 1, evil * 2 + "no end")
    script.tell(
        Annotation,
        2,
        job="build",
        step=1,
        level="warning",
        message="a%\n::error::b",
        title="t,:",
        file="a,b.py",
        line=3,
    )
    script.note("##[set-env name=a]b", 2, job="build")
    script.step_end("build", 1, "::error::step", 3, code=1)
    script.job_end("build", 4, "failure")
    script.end(4, "failure", reason="##[error]")


Show = Callable[..., str]


def test_steps_and_names_give_no_commands(show: Show) -> None:
    log = show(hostile)
    assert [line.partition("::")[2].partition(" ")[0] for line in obeyed(log)] == [
        "warning",
        "error",
        "group::##[group]build",
        "endgroup::",
    ]
    assert "::add-mask::a" in log


@pytest.mark.parametrize("mode", ["json", "quiet"])
def test_other_views_give_no_commands_either(show: Show, mode: Mode) -> None:
    log = show(hostile, mode)
    assert obeyed(log) == []
    if mode == "json":
        told = [json.loads(line) for line in log.splitlines()]
        assert "##[add-path]" in "".join(event.get("text", "") for event in told)


def test_annotations_have_githubs_own_form(show: Show) -> None:
    log = show(hostile)
    warning, error, *_ = obeyed(log)
    assert warning == "::warning title=t%2C%3A,file=a%2Cb.py,line=3::a%25%0A::error::b"
    assert error == (
        "::error title=##[group]build,file=pipelines/ci.yaml,line=9,col=9::"
        "::error::step failed with exit code 1 after 2.0 s"
    )


def test_what_a_job_printed_is_a_group_at_its_end(show: Show) -> None:
    def play(script: Script) -> None:
        script.begin(jobs=2)
        for job in ("build", "test"):
            script.job(job, 1)
            script.step(job, 1, f"make {job}", 1)
        for number in range(2):
            script.output("build", 1, f"building {number}\n")
            script.output("test", 1, f"testing {number}\n")
        for job in ("test", "build"):
            script.step_end(job, 1, f"make {job}", 2)
            script.job_end(job, 3)
        script.end(4)

    lines = [re.sub("[0-9a-f]{16}", "T", line) for line in show(play).splitlines()]
    start = lines.index("::group::test")
    assert lines[start : start + 7] == [
        "::group::test",
        "▸ make test",
        "::stop-commands::T",
        "testing 0",
        "testing 1",
        "::T::",
        "::endgroup::",
    ]
    assert lines.index("::group::build") > start


def test_a_job_that_did_not_end_shows_what_it_printed(show: Show) -> None:
    def play(script: Script) -> None:
        script.begin(jobs=1)
        script.job("build", 1)
        script.step("build", 1, "make", 1)
        script.output("build", 1, "half a line")
        script.step_end("build", 1, "make", 2)

    assert "\nhalf a line\n" in show(play)


def test_a_token_is_never_used_twice(show: Show) -> None:
    def play(script: Script) -> None:
        script.begin(jobs=1)
        script.job("build", 1)
        for number in range(5):
            script.output("build", number, "x\n")
            script.step_end("build", number, "make", 2)
        script.job_end("build", 2)

    tokens = re.findall("::stop-commands::(.*)", show(play))
    assert len(set(tokens)) == 5


@pytest.mark.parametrize(
    "text", ["::error::x", "  ::error::x", "a\n::error::x", "a\r\t::a::", "##[group]x", "a ##[x]b"]
)
def test_harmless_text_looks_the_same(text: str) -> None:
    assert obeyed(text)
    assert obeyed(harmless(text)) == []
    assert harmless(text).replace("\u200b", "") == text
    assert json.loads(harmless_json(json.dumps(text))) == text


@pytest.mark.parametrize("text", ["a::b", "std::string", "# [x]", "plain"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_a_command_escapes_what_it_carries() -> None:
    assert command("error", "a\r\n%", file="a:b,c", line=0, title="") == (
        "::error file=a%3Ab%2Cc::a%0D%0A%25"
    )
    assert command("endgroup") == "::endgroup::"


PIPELINE = """\
name: "##[error]name"
on: push
jobs:
  build:
    runs-on: self-hosted
    steps:
      - run: |
          echo "::warning file=a.py,line=1::look at $KEY"
          printf '::set-output name=a::b\\n##[group]evil\\n::no-such::\\n'
        env: {KEY: "${{ secrets.KEY }}"}
"""


def test_a_run_inside_a_job_of_github(run_pipe: RunPipe, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)
    summary = tmp_path / "summary.md"
    env = INSIDE | {"GITHUB_STEP_SUMMARY": str(summary)}
    ended = run_pipe("run", "p.yaml", "--host", "-s", "KEY=hunter2", env=env)
    assert ended.exit_code == 0, ended.stderr
    commands = [line.split("::")[1].split(" ")[0] for line in obeyed(ended.stdout)]
    assert set(commands) == {"warning", "group", "endgroup"} | ({"error"} & set(commands))
    assert "::warning file=a.py,line=1::look at ***\n" in ended.stdout
    assert "hunter2" not in ended.stdout + summary.read_text()
    assert "| build | ✓ success |" in summary.read_text()
    assert obeyed(ended.stderr) == []
