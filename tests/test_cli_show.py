"""`pipe show`, `pipe runs` and `pipe run --dry-run` print what others wrote, and stay readable."""

from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.events import Annotation, StepFinished
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
        outputs = {"out": f"output {HOSTILE}"}
        queue.finish(store, lease, JobOutcome("failure", outputs, f"because {HOSTILE}"), 3.0)


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (("show", "1"), ("run", "job", "step", "reason", "because", "message", "file", "output")),
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
