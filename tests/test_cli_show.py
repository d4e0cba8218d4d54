"""`pipe show`, `pipe runs` and `pipe run --dry-run` print what others wrote, and stay readable."""

import json
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.events import Annotation, StepFinished, StepStarted, SummaryWritten
from runner.plan import plan
from runner.queue import JobOutcome
from runner.store import Store
from tests.conftest import RunPipe

#: Clears the screen, renames the window, begins a line of its own and turns the rest around.
HOSTILE = "a\x1b[2Jb\x1b]0;c\x07\n\u202ed"
HARMLESS = "a[2Jb]0;c d"
PIPELINE = """\
on: push
jobs:
  build:
    name: "job a\\x1b[2Jb\\x1b]0;c\\x07\\n\\u202ed"
    runs-on: ubuntu-latest
    steps:
      - name: "step a\\x1b[2Jb\\x1b]0;c\\x07\\n\\u202ed"
        run: make
"""


@pytest.fixture
def finished(pipe_home: Path) -> None:
    """Run 1, whose every text is hostile."""
    pipeline = queue.load_pipeline("p.yaml", PIPELINE)
    submission = queue.Submission(
        file="p.yaml", text=PIPELINE, project="/project", name=f"run {HOSTILE}"
    )
    step: dict[str, Any] = {"run": 1, "time": 2.0, "job": "build", "attempt": 1, "step": 1}
    with Store.open(pipe_home) as store:
        queue.enqueue(store, submission, plan(pipeline, {}), 1.0)
        [lease] = queue.lease(store, "worker", run=1, now=1.0)
        names: dict[str, Any] = {
            "id": "__1",
            "name": f"step {HOSTILE}",
            "reason": f"reason {HOSTILE}",
        }
        store.record(StepFinished(**step, **names, outcome="failure", conclusion="failure"))
        note: dict[str, Any] = {"message": f"message {HOSTILE}", "file": f"file {HOSTILE}"}
        store.record(Annotation(**step, **note, level="error"))
        store.record(SummaryWritten(**step, text=f"# summary {HOSTILE}\n"))
        store.record(SummaryWritten(**step, text="- more"))
        outputs = {"out": f"output {HOSTILE}"}
        outcome = JobOutcome(
            "failure",
            outputs,
            f"because {HOSTILE}",
            environment=f"environment {HOSTILE}",
            environment_url="https://shop.example",
        )
        queue.finish(store, lease, outcome, 3.0)


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (
            ("show", "1"),
            ("run", "job", "step", "reason", "because", "message", "file", "output", "environment"),
        ),
        (("runs",), ("run",)),
        (("run", "p.yaml", "--dry-run"), ("job", "step")),
    ],
)
def test_no_text_can_drive_the_terminal(
    run_pipe: RunPipe, tmp_path: Path, arguments: tuple[str, ...], kinds: tuple[str, ...]
) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)
    shown = run_pipe(*arguments)
    assert shown.exit_code == 0, shown.stderr
    assert {kind: f"{kind} {HARMLESS}" in shown.stdout for kind in kinds} == dict.fromkeys(
        kinds, True
    )
    assert not set("\x1b\x07\u202e") & set(shown.stdout)


@pytest.mark.usefixtures("finished")
def test_summaries_and_environments_are_kept(run_pipe: RunPipe) -> None:
    shown = run_pipe("show", "1").stdout
    assert f"  environment environment {HARMLESS} https://shop.example\n" in shown
    assert shown.endswith("  # summary a[2Jb]0;c\n  d\n  - more\n")
    [job] = json.loads(run_pipe("show", "1", "--json").stdout)["jobs"]
    assert job["summary"] == f"# summary {HOSTILE}\n- more\n"
    assert (job["environment"], job["environment_url"]) == (
        f"environment {HOSTILE}",
        "https://shop.example",
    )


def test_a_step_of_an_attempt_that_was_lost_does_not_go_on(
    pipe_home: Path, run_pipe: RunPipe
) -> None:
    pipeline = queue.load_pipeline("p.yaml", PIPELINE)
    submission = queue.Submission(file="p.yaml", text=PIPELINE, project="/project", name="p")
    with Store.open(pipe_home) as store:
        [run] = queue.enqueue_all(store, [queue.Entry(submission, plan(pipeline, {}))], 1.0)
        [lease] = queue.lease(store, "me", run=run, now=1.0)
        store.record(
            StepStarted(run=run, time=2.0, job="build", attempt=1, step=1, id="__1", name="make")
        )
        queue.tend(store, lease.deadline + 1)
    shown = run_pipe("show", str(run)).stdout
    assert "  attempt 1: failure (lost)\n" in shown
    assert "  make: did not end, " in shown
