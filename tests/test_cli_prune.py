"""`pipe prune`: what it forgets, and what stays."""

import json
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest

from runner import queue
from runner.plan import plan
from runner.queue import JobOutcome, Submission
from runner.storage import LogWriter, Storage
from runner.store import Store
from tests.conftest import RunPipe
from tests.test_queue import CONTEXTS, ONE

DAY = 86400.0


def ended(store: Store, result: JobOutcome, days_ago: float) -> int:
    """A submitted run that ended so long ago, with a log."""
    then = time.time() - days_ago * DAY
    submission = Submission(file="ci.yaml", text=ONE, project="/p", name="CI", contexts=CONTEXTS)
    first = plan(queue.load_pipeline("ci.yaml", ONE), CONTEXTS)
    run = queue.enqueue(store, submission, first, then)
    [lease] = queue.lease(store, "worker", now=then)
    with LogWriter(Storage(store.home).log(run, "build", 1)) as writer:
        writer.write(1, b"said\n", then)
    queue.finish(store, lease, result, then)
    return run


def left(run_pipe: RunPipe) -> list[int]:
    return [run["id"] for run in json.loads(run_pipe("runs", "--json").stdout)]


def test_old_runs_go_with_their_logs_but_not_the_newest_nor_dead_letters(
    pipe_home: Path, run_pipe: RunPipe
) -> None:
    with Store.open(pipe_home) as store:
        old = ended(store, JobOutcome("success"), 50)
        dead = ended(store, JobOutcome("failure"), 50)
        kept = ended(store, JobOutcome("success"), 50)
        young = ended(store, JobOutcome("success"), 1)
    foreseen = run_pipe("prune", "--keep", "2", "--dry-run", "--json")
    assert (json.loads(foreseen.stdout), left(run_pipe)) == ([old], [young, kept, dead, old])
    pruned = run_pipe("prune", "--keep", "2", "--json")
    assert json.loads(pruned.stdout)["runs"] == 1
    assert left(run_pipe) == [young, kept, dead]
    assert sorted(int(path.name) for path in (pipe_home / "logs").iterdir()) == [dead, kept, young]
    run_pipe("queue", "purge", "--all")
    run_pipe("prune", "--keep", "0", "--older-than", "2d")
    assert left(run_pipe) == [young]


@pytest.mark.docker
def test_images_go_that_were_built_here_and_no_others(pipe_home: Path, run_pipe: RunPipe) -> None:
    with Store.open(pipe_home):
        mine, others = built(pipe_home), built(Path("/elsewhere"))
    assert json.loads(run_pipe("prune", "--json").stdout)["images"] == 1
    assert (is_there(mine), is_there(others)) == (False, True)
    subprocess.run(["docker", "rmi", others], check=True, capture_output=True)


def built(home: Path) -> str:
    """An image as a job of that home builds it."""
    labels = [f"--label=pipe.home={home}", f"--label=some={uuid4()}"]
    made = subprocess.run(
        ["docker", "build", "-q", *labels, "-"],
        input=b"FROM pipe-test/busybox:1\n",
        capture_output=True,
        check=True,
    )
    return made.stdout.decode().strip()


def is_there(image: str) -> bool:
    return (
        subprocess.run(["docker", "inspect", image], capture_output=True, check=False).returncode
        == 0
    )
