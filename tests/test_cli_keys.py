"""What a file says about its runs, as `pipe run` and `pipe submit` keep it."""

from pathlib import Path

import pytest

from runner.store import Store, hot
from tests.conftest import RunPipe

KEYS = "priority: 7\nqueue: nightly\ntimeouts: {queue: 1h, run: 90s}\n"
JOBS = "on: push\njobs: {a: {runs-on: self-hosted, steps: [{run: 'true'}]}}\n"


@pytest.mark.parametrize(
    "command", [("submit",), ("run", "--host", "--bind")], ids=["submit", "run"]
)
@pytest.mark.parametrize(
    ("keys", "expected"),
    [(KEYS, (7, "nightly", 90, 3600)), ("", (0, "default", None, None))],
    ids=["written", "without"],
)
def test_what_the_file_says_is_kept(
    tmp_path: Path,
    pipe_home: Path,
    run_pipe: RunPipe,
    command: tuple[str, ...],
    keys: str,
    expected: tuple[int, str, float | None, float | None],
) -> None:
    (tmp_path / "p.yaml").write_text(keys + JOBS)
    verb, *options = command
    finished = run_pipe(verb, "p.yaml", *options, cwd=tmp_path)
    assert finished.exit_code == 0, finished.stderr
    with Store.open(pipe_home) as store:
        run = hot.load_run(store.notes, 1)
    patience = None if run.expires_at is None else run.expires_at - run.created_at
    submission = run.submission
    found = (submission.priority, submission.queue, submission.time_limit, patience)
    assert found == pytest.approx(expected)


def test_a_run_that_takes_too_long_fails(
    tmp_path: Path, pipe_home: Path, run_pipe: RunPipe
) -> None:
    script = "jobs: {a: {runs-on: self-hosted, steps: [{run: sleep 60}]}}\n"
    (tmp_path / "p.yaml").write_text("on: push\ntimeouts: {run: 300ms}\n" + script)
    finished = run_pipe("run", "p.yaml", "--host", "--bind", cwd=tmp_path)
    assert finished.exit_code == 1
    assert "the run's time limit is over (`timeouts.run`)" in finished.stdout
    assert "run 1 failed" in finished.stdout
    assert "(timeout)" in run_pipe("runs").stdout
