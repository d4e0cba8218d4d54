"""`pipe run` before and around the run: what is refused or only warned of, and how to run again."""

import fcntl
import json
import os
import pty
import shlex
import sqlite3
import subprocess
import sys
import termios
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner import queue
from runner.cli import group, run
from runner.cli.loading import Loaded, load_pipeline
from runner.cli.typed import Options, command_to_run_again, words
from runner.errors import InvalidInputError
from runner.events import Result, RunFinished
from runner.plan import plan
from runner.secrets import Masker
from runner.store import Store
from tests.conftest import Finished, RunPipe

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
    assert refusal.value.message == "unknown function `nope`"
    assert [found.code for found in refusal.value.problems] == ["unknown-matrix-key", "expression"]


def test_an_event_file_that_nests_too_deep_is_refused(run_pipe: RunPipe) -> None:
    Path("p.yaml").write_text(PIPELINE % "github.sha")
    Path("event.json").write_text("[" * 200_000)
    refused = run_pipe("run", "p.yaml", "--dry-run", "--event-file", "event.json")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: cannot read the event in event.json: ")


@pytest.mark.parametrize("number", ["0", str(2**63), "9" * 20])
@pytest.mark.parametrize(
    "arguments",
    [("show",), ("logs",), ("cancel",), ("run", "p.yaml", "--from-failed"), ("runs", "--limit")],
)
def test_a_number_that_no_run_can_have_is_refused(arguments: tuple[str, ...], number: str) -> None:
    refused = CliRunner().invoke(group, [*arguments, number])
    assert refused.exit_code == 2
    assert f"{number} is not in the range" in refused.output


def test_a_dry_run_shows_permissions() -> None:
    Path("p.yaml").write_text(
        f"permissions: {{contents: read}}\n{PIPELINE % 'github.sha'}".replace(
            "runs-on:", "permissions: {}\n    runs-on:"
        )
    )
    shown = CliRunner().invoke(group, ["run", "p.yaml", "--dry-run"]).stdout
    assert shown.splitlines()[:3] == [
        "permissions contents: read",
        "",
        "build  permissions none",
    ]


# -- secrets that nobody gave --

ASKING = """\
on: push
env:
  ALL: ${{ secrets.everywhere }} ${{ secrets.GITHUB_TOKEN }}
jobs:
  build:
    runs-on: ubuntu-latest
    env: { "${{ secrets['KEY'] }}": x }
    steps:
      - run: echo ${{ secrets.TOKEN && toJSON(secrets) }} secrets.TEXT
  later:
    needs: build
    if: needs.build.result == 'success'
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: { token: "${{ secrets.LATER }}" }
  never:
    if: github.event_name == 'never'
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ secrets.NEVER }}
  after-never:
    needs: never
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ secrets.NEVER }}
"""


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ([], "`EVERYWHERE`, `KEY`, `LATER`, `TOKEN`"),
        (["-j", "build"], "`EVERYWHERE`, `KEY`, `TOKEN`"),
        (["-s", "token=", "-s", "KEY=1", "-s", "LATER=2"], "`EVERYWHERE`"),
        (["-s", "TOKEN=0", "-s", "KEY=1", "-s", "LATER=2", "-s", "EVERYWHERE=3"], ""),
        (["-j", "never"], ""),
    ],
)
def test_missing_secrets_are_warned_of_or_refused(arguments: list[str], missing: str) -> None:
    Path("p.yaml").write_text(ASKING)
    warned = CliRunner().invoke(group, ["run", "p.yaml", "--dry-run", *arguments])
    assert warned.exit_code == 0
    expected = f"warning[secret-not-given]: these secrets are not given, and so empty: {missing}\n"
    assert warned.stderr.startswith(expected) if missing else not warned.stderr


def test_required_secrets_that_are_missing_stop_the_run(run_pipe: RunPipe) -> None:
    Path("p.yaml").write_text(ASKING)
    refused = run_pipe("run", "p.yaml", "--require-secrets", "-s", "KEY=1", "-j", "build")
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        2,
        "",
        "error: these secrets are needed and not given: `EVERYWHERE`, `TOKEN`\n"
        "  give each with `--secret`, as in `--secret EVERYWHERE`\n",
    )


def test_secrets_of_an_environment_are_given_to_its_jobs_alone() -> None:
    Path("p.yaml").write_text(
        "on: push\njobs:\n"
        "  a: {runs-on: x, environment: Prod, steps: [{run: echo $X, env: {X: '${{ secrets.A }}'}}]}\n"
        "  b: {runs-on: x, steps: [{run: echo $X, env: {X: '${{ secrets.B }}'}}]}\n"
        "  c:\n    runs-on: x\n    environment: {name: '${{ github.ref_name }}'}\n"
        "    steps: [{run: echo $X, env: {X: '${{ secrets.C }}'}}]\n"
    )
    arguments = ["-s", "prod:A=1", "-s", "prod:B=2", "-s", "main:C=3"]
    warned = CliRunner().invoke(group, ["run", "p.yaml", "--dry-run", *arguments])
    assert "not given, and so empty: `B`\n" in warned.stderr


def test_nobody_is_asked_where_there_is_no_terminal(run_pipe: RunPipe) -> None:
    Path("p.yaml").write_text(ASKING)
    refused = run_pipe("run", "p.yaml", "--prompt-secrets", "-s", "KEY=1", "-j", "build")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "error: nobody is there to be asked for these secrets: `EVERYWHERE`, `TOKEN`\n"
        "  `--prompt-secrets` needs a terminal; give them with `--secret`\n",
    )
    bare = run_pipe("run", "p.yaml", "-s", "KEY")
    assert (bare.exit_code, "KEY is not set in the environment" in bare.stderr) == (2, True)


def at_a_terminal(answers: list[tuple[bytes, bytes]], *arguments: str, **env: str) -> str:
    """All that `pipe run` shows on a terminal where each question gets its answer."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("pipe")), "run", *arguments]
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", **env},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux says so when the last one at the other end is gone.
        while block := os.read(ours, 4096):
            shown += block
            if answers and shown.endswith(answers[0][0]):
                os.write(ours, answers.pop(0)[1])
    os.close(ours)
    assert process.wait() == 0, shown
    assert not answers, shown
    return shown.decode()


SECRETS_SHOWN = """\
on: push
jobs:
  one:
    runs-on: small
    steps:
      - run: test "${{ secrets.FIRST }} ${{ secrets.SECOND }}" = "one two" && echo "same"
"""


@pytest.mark.docker
def test_secrets_are_asked_for_at_a_terminal() -> None:
    Path("pipe.yaml").write_text("images:\n  small: pipe-test/busybox:1\n")
    Path("p.yaml").write_text(SECRETS_SHOWN)
    answers = [(b"Secret FIRST: ", b"one\n"), (b"Secret SECOND: ", b"two\n")]
    shown = at_a_terminal(answers, "p.yaml", "-s", "FIRST", "--prompt-secrets")
    assert shown.startswith("Secret FIRST: \r\nSecret SECOND: \r\n")
    assert "run 1 succeeded" in shown


# -- events that do not start it --

REACTING = """\
on:
  push: {branches: [main]}
  workflow_dispatch:
    inputs: {target: {required: true}}
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: echo}]
"""
OBSTACLE = 'branch "dev" matches none of on.push.branches [main]'


@pytest.fixture
def reacting(folder: Path) -> Path:
    """A repository with a pipeline that pushes to `dev`, which is checked out, do not start."""
    for arguments in (["init", "-qb", "dev"], ["commit", "-qm", "first", "--allow-empty"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
    (folder / "p.yaml").write_text(REACTING)
    return folder


@pytest.mark.parametrize("mode", [[], ["-q"], ["--dry-run"]])
@pytest.mark.parametrize(
    ("event", "why"),
    [
        ("push", OBSTACLE),
        ("release", "`release` is none of the events in `on`: push, workflow_dispatch"),
    ],
)
def test_an_event_that_starts_nothing_says_why(
    reacting: Path, run_pipe: RunPipe, pipe_home: Path, event: str, why: str, mode: list[str]
) -> None:
    found = run_pipe("run", "p.yaml", "--event", event, *mode, cwd=reacting)
    expected = Finished(0, f"p.yaml does not run: {why}\n", "")
    assert found == expected
    assert not (pipe_home / "pipe.db").exists()


def test_a_pull_request_whose_newest_commit_asks_for_no_runs(
    reacting: Path, run_pipe: RunPipe
) -> None:
    (reacting / "p.yaml").write_text(REACTING.replace("on:", "on:\n  pull_request:", 1))
    skipping = ["git", "commit", "-qm", "docs: more [skip ci]", "--allow-empty"]
    subprocess.run(skipping, cwd=reacting, check=True, capture_output=True)
    found = run_pipe("run", "p.yaml", "--event", "pull_request", "--dry-run", cwd=reacting)
    assert found.stdout == "p.yaml does not run: the commit's message says [skip ci]\n"
    elsewhere = reacting / "elsewhere.json"
    elsewhere.write_text('{"pull_request": {"head": {"sha": "0123456789"}}}')
    given = ["--event", "pull_request", "--event-file", elsewhere, "--dry-run"]
    assert run_pipe("run", "p.yaml", *given, cwd=reacting).stdout == "build\n    echo\n"


def test_an_event_that_starts_nothing_is_a_note_in_json(reacting: Path, run_pipe: RunPipe) -> None:
    found = run_pipe("run", "p.yaml", "--event", "push", "--json", cwd=reacting)
    told = json.loads(found.stdout)
    assert (told["event"], told["run"]) == ("Note", 0)
    assert told["message"] == f"p.yaml does not run: {OBSTACLE}"


@pytest.mark.parametrize(
    ("payload", "exit_code", "says"),
    [
        ({"ref": "refs/heads/main"}, 0, "build\n    echo\n"),
        ({"ref": "refs/tags/v1"}, 0, 'p.yaml does not run: "v1" is a tag, and on.push has'),
    ],
)
def test_the_payload_that_was_given_decides(
    reacting: Path, run_pipe: RunPipe, payload: dict[str, str], exit_code: int, says: str
) -> None:
    (reacting / "e.json").write_text(json.dumps(payload))
    arguments = ("--event", "push", "--event-file", "e.json", "--dry-run")
    found = run_pipe("run", "p.yaml", *arguments, cwd=reacting)
    assert (found.exit_code, found.stderr) == (exit_code, "")
    assert found.stdout.startswith(says)


def test_inputs_belong_to_runs_by_hand(reacting: Path, run_pipe: RunPipe) -> None:
    refused = run_pipe("run", "p.yaml", "--event", "push", "--input", "target=x", cwd=reacting)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: a run for `push` has no input `target`\n")
    (reacting / "e.json").write_text('{"inputs": {"target": 3}}')
    given = run_pipe("run", "p.yaml", "--event-file", "e.json", "--dry-run", cwd=reacting)
    assert given.exit_code == 0


def test_changes_that_nobody_knows_are_noted(folder: Path, run_pipe: RunPipe) -> None:
    (folder / "p.yaml").write_text(REACTING.replace("branches: [main]", "paths: [src/**]"))
    found = run_pipe("run", "p.yaml", "--event", "push", "--dry-run")
    assert found.stderr == (
        "note: which files changed is not known, so on.push.paths counts as met\n"
    )


# -- how to run again --


def typed(arguments: str) -> Options:
    """What `pipe run` makes of these arguments."""
    given = run.command.make_context("run", shlex.split(arguments)).params
    shown = {"dry_run", "progress", "verbose", "junit", "result"}
    return Options(**{name: value for name, value in given.items() if name not in shown})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("p.yaml", "p.yaml"),
        ("p.yaml -q -v --json", "p.yaml"),
        ("p.yaml -j a --job b", "p.yaml -j a -j b"),
        ("--input 'a=b c' p.yaml --input d==", "p.yaml --input 'a=b c' --input d=="),
        ("p.yaml -s A=hidden -s B --secret C=", "p.yaml --secret A --secret B --secret C"),
        ("--require-secrets p.yaml", "p.yaml --require-secrets"),
        ("p.yaml --prompt-secrets -s p:A=x", "p.yaml --secret p:A --prompt-secrets"),
        ("p.yaml --secret-file 'my secrets'", "p.yaml --secret-file 'my secrets'"),
        ("p.yaml --env A= --var B=c", "p.yaml --env A= --var B=c"),
        ("p.yaml --matrix os:x", "p.yaml --matrix os:x"),
        ("p.yaml --event-file e.json --event push", "p.yaml --event push --event-file e.json"),
        ("--skip-unmapped --host --bind p.yaml", "p.yaml --bind --host --skip-unmapped"),
        ("p.yaml --keep on-failure", "p.yaml --keep on-failure"),
        ("p.yaml --shell-on-failure", "p.yaml --shell-on-failure"),
        ("p.yaml --parallel 3 --from-failed 7", "p.yaml --from-failed 7 --parallel 3"),
    ],
)
def test_the_words_say_what_was_typed_but_for_secrets(arguments: str, expected: str) -> None:
    assert shlex.join(words(typed(arguments), Masker())) == expected


def test_a_secret_that_is_given_as_something_else_too_is_masked() -> None:
    options = typed("p.yaml -s A='it is' --env B='it is' --var C=x-it-is --input 'D=<it is>'")
    masker = Masker(["it is"])
    masked = ["--secret", "A", "--env", "B=***", "--var", "C=x-it-is"]
    assert words(options, masker) == ["p.yaml", "--input", "D=<***>", *masked]
    finished = RunFinished(run=8, time=1.0, result="failure")
    again = shlex.split(command_to_run_again(options, masker, finished))
    assert again[2:] == ["p.yaml", "--from-failed", "8", "--input", "D=<***>", *masked]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("success", ""),
        ("failure", "pipe run p.yaml --from-failed 8 -j a --secret B"),
        ("cancelled", "pipe run p.yaml --from-failed 8 -j a --secret B"),
    ],
)
def test_the_command_that_runs_again(result: Result, expected: str) -> None:
    options = typed("p.yaml --from-failed 7 -j a -s B=hidden")
    finished = RunFinished(run=8, time=1.0, result=result)
    assert command_to_run_again(options, Masker(), finished) == expected


# -- running again what failed --

FLAKY = """\
on: push
jobs:
  make:
    runs-on: small
    outputs:
      name: ${{ steps.name.outputs.name }}
    steps:
      - id: name
        run: echo name=made-before >> $GITHUB_OUTPUT; echo "make runs"
  check:
    needs: make
    runs-on: small
    strategy:
      fail-fast: false
      matrix:
        pass: ["always", "when asked"]
    steps:
      - run: |
          echo "${{ matrix.pass }}: ${{ needs.make.outputs.name }}"
          [ "${{ matrix.pass }}" = always ] || [ "$PASS" = yes ]
  ship:
    needs: check
    runs-on: small
    steps:
      - run: echo "ship runs"
"""


@pytest.mark.docker
def test_a_failed_run_is_continued(run_pipe: RunPipe, pipe_home: Path) -> None:
    Path("pipe.yaml").write_text("images:\n  small: pipe-test/busybox:1\n")
    Path("flaky.yaml").write_text(FLAKY)
    first = run_pipe(
        *("run", "flaky.yaml", "--env", "PASS=no", "--var", "V=hidden", "-s", "TOKEN=hidden")
    )
    assert first.exit_code == 1
    again = "pipe run flaky.yaml --from-failed 1 --secret TOKEN --env PASS=no --var 'V=***'"
    assert f"run again: {again}\n" in first.stdout
    assert stored_options(pipe_home)["arguments"] == [
        *("run", "flaky.yaml", "--secret", "TOKEN", "--env", "PASS=no", "--var", "V=***")
    ]
    second = run_pipe("run", "flaky.yaml", "--from-failed", "1", "--env", "PASS=yes", "--json")
    assert second.exit_code == 0
    assert ended(second) == {
        "make": ("success", "reused from run 1"),
        "check (1)": ("success", "reused from run 1"),
        "check (2)": ("success", ""),
        "ship": ("success", ""),
    }
    assert "when asked: made-before" in second.stdout
    assert "always: made-before" not in second.stdout
    assert "make runs" not in second.stdout
    assert stored_options(pipe_home)["from_failed"] == 1


@pytest.mark.docker
def test_what_has_changed_runs_again(run_pipe: RunPipe) -> None:
    Path("pipe.yaml").write_text("images:\n  small: pipe-test/busybox:1\n")
    Path("flaky.yaml").write_text(FLAKY)
    assert run_pipe("run", "flaky.yaml").exit_code == 1
    Path("flaky.yaml").write_text(FLAKY.replace("made-before", "made-now"))
    second = run_pipe("run", "flaky.yaml", "--from-failed", "1", "--env", "PASS=yes", "--json")
    assert set(ended(second).values()) == {("success", "")}
    assert "always: made-now" in second.stdout
    Path("other.yaml").write_text(FLAKY)
    for arguments, message in [
        (
            ("flaky.yaml", "--from-failed", "2"),
            "nothing failed in run 2\n  run it whole: `pipe run",
        ),
        (("flaky.yaml", "--from-failed", "3"), "there is no run 3"),
        (("other.yaml", "--from-failed", "1"), "run 1 is one of another pipeline: flaky.yaml"),
    ]:
        refused = run_pipe("run", *arguments)
        assert refused.exit_code == 2
        assert message in refused.stderr


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("", "run 1 has not ended yet\n  wait for it, or stop it: `pipe cancel 1`"),
        ("/elsewhere", "run 1 is one of another pipeline: flaky.yaml in /elsewhere"),
    ],
)
def test_a_run_that_cannot_be_continued_is_refused(
    run_pipe: RunPipe, folder: Path, pipe_home: Path, project: str, message: str
) -> None:
    Path("flaky.yaml").write_text(FLAKY)
    waiting = queue.Submission(
        file="flaky.yaml", text=FLAKY, project=project or str(folder), name="flaky"
    )
    with Store.open(pipe_home) as store:
        queue.enqueue(store, waiting, plan(queue.load_pipeline("flaky.yaml", FLAKY), {}), 1.0)
    refused = run_pipe("run", "flaky.yaml", "--from-failed", "1")
    assert (refused.exit_code, refused.stderr.startswith(f"error: {message}")) == (2, True)


def ended(finished: Finished) -> dict[str, tuple[str, str]]:
    """Result and reason of each job, from the events that were printed."""
    events = [json.loads(line) for line in finished.stdout.splitlines()]
    assert events[0]["event"] == "RunStarted"
    return {
        event["job"]: (event["result"], event["reason"])
        for event in events
        if event["event"] == "JobFinished"
    }


def stored_options(home: Path) -> dict[str, object]:
    """The options of the newest run."""
    with closing(sqlite3.connect(home / "pipe.db")) as database:
        query = "SELECT options FROM submission ORDER BY run DESC"
        options: dict[str, object] = json.loads(database.execute(query).fetchone()[0])
    return options
