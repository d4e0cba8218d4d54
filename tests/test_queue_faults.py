"""Workers and submitters that are killed at any moment: nothing promised is lost or done twice.

What was promised is written down beside the store, by whoever got the promise.
"""

import itertools
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.cli.submitting import Terms, submit
from runner.cli.typed import Options
from runner.events import JobFinished, RunFinished
from runner.store import Store, hot, limits, workers
from runner.store.rows import StoredJob
from tests.conftest import readable
from tests.leftovers import folders, wait_until
from tests.servers import FAST, Server, running
from tests.test_faults import make_project

REPOSITORY = Path(__file__).parent.parent
WORKERS, SUBMITTERS = 3, 2
#: Seconds within which a dead worker's job is leased again, on a machine that is busy.
RESCUED = 15.0
ONE = """\
on: push
jobs:
  only:
    runs-on: self-hosted
    steps:
      - run: echo "$GITHUB_RUN_ID $GITHUB_JOB" >> {done}
"""
TWO = """\
on: push
jobs:
  make:
    runs-on: self-hosted
    outputs:
      made: ${{{{ steps.it.outputs.made }}}}
    steps:
      - id: it
        run: |
          echo "$GITHUB_RUN_ID $GITHUB_JOB" >> {done}
          echo "made=for $GITHUB_RUN_ID" >> "$GITHUB_OUTPUT"
  use:
    runs-on: self-hosted
    needs: make
    steps:
      - run: |
          test "${{{{ needs.make.outputs.made }}}}" = "for $GITHUB_RUN_ID"
          echo "$GITHUB_RUN_ID $GITHUB_JOB" >> {done}
"""
WIDE = """\
on: push
jobs:
  leg:
    runs-on: self-hosted
    strategy:
      matrix:
        n: [1, 2, 3, 4, 5, 6]
    steps:
      - run: echo "$GITHUB_RUN_ID leg (${{{{ matrix.n }}}})" >> {done}
"""
#: Of different shapes, as what a kill can hit differs.
PIPELINES = {"one.yaml": ONE, "two.yaml": TWO, "wide.yaml": WIDE}

pytestmark = pytest.mark.timeout(180)


# -- what a submitter does --


def keep_submitting(name: str, log: str, enough: str) -> None:
    """Queues one run after the other, and writes each down when it is promised; none twice.

    A run has the number of its line as its key, so whoever was killed before it wrote a line,
    asks for that run again.
    """
    with Path(log).open("ab+") as file:
        file.seek(0)
        # A line that was not written to its end was not promised.
        whole = file.read().rpartition(b"\n")[0]
        file.truncate(len(whole) + 1 if whole else 0)
        for number in itertools.count(whole.count(b"\n") + 1 if whole else 0):
            pipeline = list(PIPELINES)[number % len(PIPELINES)]
            [run] = submit([Options(file=pipeline)], Terms(key=f"{name}-{number}", owner=name))
            file.write(b"%d\n" % run)
            file.flush()
            os.fsync(file.fileno())
            # Not before: who was killed before this line has to ask for its last run again.
            if Path(enough).exists():
                return


# -- what is killed --


@dataclass(frozen=True)
class Backend:
    """Where the queue is kept: how processes are told, and what goes wrong there meanwhile."""

    env: Mapping[str, str] = field(default_factory=dict)

    def open(self, home: Path) -> Store:
        return Store.open(home)

    def disturb(self) -> None:
        """What can be restarted beside workers and submitters; a file cannot."""


@dataclass(frozen=True)
class RestartedServer(Backend):
    """A server that is ended and started again, with whatever its clients are doing."""

    server: Server = field(kw_only=True)
    url: str = field(kw_only=True)

    def open(self, home: Path) -> Store:
        return Store.open(home, self.url)

    def disturb(self) -> None:
        self.server.stop()
        self.server.start()


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "sqlite":
        yield Backend()
        return
    with running(FAST) as server:
        url = server.new_database()
        yield RestartedServer({"PIPE_DATABASE_URL": url}, server=server, url=url)


@dataclass
class Fleet:
    """Processes by name, in a project of theirs; whoever is killed is started again."""

    folder: Path
    home: Path
    env: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    #: When each process was started, by its name, and killed, by its number.
    begun: dict[str, float] = field(default_factory=dict)
    killed: dict[int, float] = field(default_factory=dict)

    def start(self, name: str) -> None:
        self.begun[name] = time.time()
        command = [str(Path(sys.executable).with_name("pipe")), "worker", "--jobs", "2"]
        if name.startswith("submitter"):
            call = "from tests.test_queue_faults import keep_submitting as it; it(*sys.argv[1:])"
            code = f"import sys; sys.path.append({str(REPOSITORY)!r}); {call}"
            command = [sys.executable, "-c", code, name, str(self.log(name)), str(self.enough)]
        with self.output(name).open("ab") as output:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=self.folder / "project",
                env=os.environ | {"PIPE_ALLOW_HOST": "1"} | dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self, name: str) -> None:
        process = self.processes[name]
        process.kill()
        process.wait()
        self.killed[process.pid] = time.time()

    def stop(self, kind: str, patience: float = 60.0) -> None:
        """Tells those of that kind to end by themselves; each has to."""
        mine = {name: each for name, each in self.processes.items() if name.startswith(kind)}
        for name, process in mine.items():
            if kind == "worker":
                process.send_signal(signal.SIGTERM)
            assert process.wait(patience) == 0, self.said(name)
            del self.processes[name]

    @property
    def enough(self) -> Path:
        return self.folder / "enough"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.promised"

    def has_promised(self, name: str) -> bool:
        """Since it was started."""
        log = self.log(name)
        return log.exists() and log.stat().st_mtime > self.begun[name]

    def output(self, name: str) -> Path:
        return self.folder / f"{name}.output"

    def said(self, name: str) -> str:
        return readable(self.output(name).read_bytes())[-4000:]

    def promised(self) -> list[int]:
        """The runs that submitters were promised."""
        logs = self.folder.glob("*.promised")
        return [int(run) for log in logs for run in log.read_text().split()]

    def done(self) -> Counter[tuple[int, str]]:
        """How often each job was begun, as jobs themselves wrote it down."""
        lines = (self.folder / "done").read_text().splitlines()
        return Counter((int(run), job) for run, job in (line.split(" ", 1) for line in lines))


@contextmanager
def fleet(folder: Path, home: Path, backend: Backend) -> Iterator[Fleet]:
    done = folder / "done"
    done.touch()
    make_project(
        folder / "project", {name: text.format(done=done) for name, text in PIPELINES.items()}
    )
    started = Fleet(folder, home, backend.env)
    try:
        yield started
    finally:
        for process in started.processes.values():
            process.kill()
            process.wait()


# -- the test --


@dataclass(frozen=True)
class Figures:
    """What a test of this kind did, for those who want to know how much it means."""

    kills: int
    runs: int
    jobs: int
    lost: int
    seconds: float
    rescues: list[float]

    def __str__(self) -> str:
        rescues = self.rescues or [0.0]
        return (
            f"{self.kills} kills, {self.runs} runs with {self.jobs} jobs in {self.seconds:.0f} s;"
            f" {self.lost} attempts lost; a lost job was leased again after"
            f" {statistics.median(rescues):.2f} s (median), {max(rescues):.2f} s (most);"
            " 0 lost, 0 finished twice"
        )


def test_no_kill_loses_or_doubles_anything(
    tmp_path: Path, pipe_home: Path, backend: Backend
) -> None:
    sys.stdout.write(f"{kill_at_random(20, 40, tmp_path, pipe_home, backend)}\n")


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_many_kills_lose_and_double_nothing(
    tmp_path: Path, pipe_home: Path, backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = kill_at_random(200, 5000, tmp_path, pipe_home, backend)
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")


def kill_at_random(kills: int, jobs: int, folder: Path, home: Path, backend: Backend) -> Figures:
    """Kills one process after the other while so many jobs are done, and looks at what is left."""
    begun = time.monotonic()
    with backend.open(home) as store, fleet(folder, home, backend) as started:
        limits.change(store.promises, limits.Scope("global", "", maximum=50), store.now())
        names = [f"worker-{n}" for n in range(WORKERS)]
        names += [f"submitter-{n}" for n in range(SUBMITTERS)]
        for name in names:
            started.start(name)
        for number in range(kills):
            wait_for_jobs(store, started, jobs * number // kills)
            threading.Event().wait(random.uniform(0.0, 0.3))
            check_running(started)
            victim = choose_victim(store, started)
            started.kill(victim)
            if random.random() < 0.1:
                backend.disturb()
            started.start(victim)
        started.enough.touch()
        started.stop("submitter")
        wait_until(lambda: not open_runs(store), lambda: stuck(store, started), 60 + jobs / 5)
        # Before it is known, a signal just ends it.
        wait_until(lambda: len(known_workers(store, started)) == WORKERS, "all are known", 60.0)
        started.stop("worker")
        seconds = time.monotonic() - begun
        lost, rescues = check(store, started)
        check_leftovers(store, started)
        return Figures(kills, len(started.promised()), jobs_of(store), lost, seconds, rescues)


def check_running(started: Fleet) -> None:
    for name, process in started.processes.items():
        assert process.poll() is None, started.said(name)


def wait_for_jobs(store: Store, started: Fleet, many: int) -> None:
    """Until so many are done: kills must not be all that happens."""
    wait_until(lambda: jobs_of(store, "finished") >= many, lambda: stuck(store, started), 60.0)


def choose_victim(store: Store, started: Fleet) -> str:
    """Mostly one that is at work, and leaves a worker behind; else all would only ever be starting."""
    if random.random() < 0.15:
        return random.choice(list(started.processes))

    def able() -> list[str]:
        submitting = [name for name in started.processes if started.has_promised(name)]
        working = known_workers(store, started)
        return submitting + (working if len(working) > 1 else [])

    return random.choice(wait_until(able, "one of them works", 60.0))


def known_workers(store: Store, started: Fleet) -> list[str]:
    known = {worker.name.split(":")[1] for worker in workers.all_workers(store.notes)}
    return [name for name, process in started.processes.items() if str(process.pid) in known]


def stuck(store: Store, started: Fleet) -> object:
    names = [name for name in started.processes if name.startswith("worker")]
    return open_runs(store)[:20], [started.said(name) for name in names]


def open_runs(store: Store) -> list[int]:
    with store.notes.reading() as database:
        found = database.execute("SELECT id FROM run WHERE state != 'finished'").fetchall()
    return [row["id"] for row in found]


def jobs_of(store: Store, state: str = "") -> int:
    """How many jobs there are, or are in that state."""
    sql = "SELECT count(*) AS found FROM job WHERE :state IN (state, '')"
    with store.notes.reading() as database:
        return int(database.execute(sql, {"state": state}).fetchone()["found"])


def check(store: Store, started: Fleet) -> tuple[int, list[float]]:
    """That what was promised was done, and once; how many attempts were lost, and for how long."""
    promised = started.promised()
    assert len(set(promised)) == len(promised) > 0
    with store.notes.reading() as database:
        runs = [row["id"] for row in database.execute("SELECT id FROM run").fetchall()]
    # Each key was asked for until it was promised: there is no other run.
    assert sorted(promised) == sorted(runs)
    done = started.done()
    lost, rescues = 0, []
    for run in runs:
        found = check_run(store, run, done)
        lost += len(found)
        rescues += [
            pause for pid, at in found if (pause := rescue_of(started, pid, at)) is not None
        ]
    assert sum(done.values()) <= jobs_of(store) + lost
    assert max(rescues, default=0.0) < RESCUED
    assert limits.reconcile(store.promises, store.now()) == []
    counted = {str(scope): scope.running for scope in limits.all_scopes(store.notes)}
    assert set(counted.values()) == {0}
    return lost, rescues


def check_run(store: Store, run: int, done: Counter[tuple[int, str]]) -> list[tuple[int, float]]:
    """Of one run: the processes whose attempts were lost, and when the next ones began."""
    stored = hot.load_run(store.notes, run)
    events = [event for _, event in store.events(run)]
    assert [type(event) for event in events].count(RunFinished) == 1
    assert isinstance(events[-1], RunFinished), events[-3:]
    attempts = attempts_of(store, run)
    found = []
    for key, job in stored.jobs.items():
        mine = [event for event in events if isinstance(event, JobFinished) and event.job == key]
        check_ends(mine)
        # Three workers that were killed in it are as many as a job gets.
        assert job.result == "success" or poisoned(stored.jobs), (run, stored, events)
        begun = attempts.get(key, [])
        assert len(begun) <= 1 + job.losses, (run, key, begun)
        assert done[run, key] <= len(begun)
        assert done[run, key] >= (job.result == "success")
        for (worker, _), (_, started_at) in itertools.pairwise(begun):
            found.append((int(worker.split(":")[1]), started_at))
    return found


def poisoned(jobs: Mapping[str, StoredJob]) -> bool:
    return any(job.reason == "poison" and job.losses == 3 for job in jobs.values())


def check_ends(ends: list[JobFinished]) -> None:
    """One final end of a job, the last; and no attempt that ended twice."""
    assert [event.final for event in ends] == [False] * (len(ends) - 1) + [True], ends
    numbers = [event.attempt for event in ends]
    assert numbers == sorted(set(numbers)), ends
    assert {event.reason for event in ends[:-1]} <= {"lost"}, ends


def attempts_of(store: Store, run: int) -> dict[str, list[tuple[str, float]]]:
    """Who began each job, and when, by its key, in order."""
    with store.notes.reading() as database:
        rows = database.execute(
            "SELECT job, worker, started_at FROM attempt WHERE run = :run ORDER BY job, number",
            {"run": run},
        ).fetchall()
    found: dict[str, list[tuple[str, float]]] = {}
    for row in rows:
        found.setdefault(row["job"], []).append((row["worker"], row["started_at"]))
    return found


def rescue_of(started: Fleet, pid: int, leased_again: float) -> float | None:
    killed = started.killed.get(pid)
    return None if killed is None else leased_again - killed


def check_leftovers(store: Store, started: Fleet) -> None:
    """Of processes nothing is left; of their boxes what `pipe doctor --clean` removes."""
    environment = os.fsencode(f"PIPE_HOME={started.home}")

    def left() -> list[str]:
        mine = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if environment in (process / "environ").read_bytes().split(b"\0"):
                    mine.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
        return mine

    wait_until(lambda: not left(), lambda: left())
    store.wake()
    assert list((started.home / "wake").iterdir()) == []
    assert workers.all_workers(store.notes) == []
    pipe = Path(sys.executable).with_name("pipe")
    command = [str(pipe), "doctor", "--clean"]
    subprocess.run(command, cwd=started.folder, check=False, capture_output=True)
    assert folders(started.home) == []
