"""Runs that are interrupted, killed and starved: what they say, and what they leave behind."""

import io
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

from runner.cli import main
from tests.conftest import RunPipe, readable
from tests.leftovers import (
    PATIENCE,
    alive,
    everything,
    folders,
    in_memory,
    wait_until,
    wait_until_gone,
)

REPOSITORY = Path(__file__).parent.parent
CONFIG = """\
images:
  small: pipe-test/busybox:1
  nonroot: pipe-test/nonroot:1
"""
HELLO = """\
on: push
jobs:
  hello:
    runs-on: small
    steps:
      - run: echo hello
"""
SLOW = """\
on: push
jobs:
  slow:
    runs-on: small
    steps:
      - run: echo written > made; echo begun; sleep 60
      - run: echo never
      - if: always()
        run: echo cleaned
"""
STUBBORN = """\
on: push
jobs:
  stubborn:
    runs-on: small
    steps:
      - run: |
          trap 'echo told' INT TERM
          echo begun
          while true; do sleep 0.1 || true; done
      - if: always()
        run: echo cleaned
"""
SEVERAL = """\
on: push
jobs:
  one:
    runs-on: small
    steps:
      - run: echo one > made
      - run: sleep 0.2
      - run: cat made
  two:
    runs-on: small
    needs: one
    steps:
      - run: echo two
"""
PIPELINES = {"hello": HELLO, "slow": SLOW, "stubborn": STUBBORN, "several": SEVERAL}

pytestmark = pytest.mark.docker


def make_project(folder: Path, files: Mapping[str, str]) -> Path:
    """A committed project with these files in it."""
    folder.mkdir()
    for name, text in {"pipe.yaml": CONFIG, **files}.items():
        (folder / name).write_text(text)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def git_status(project: Path) -> str:
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(
        tmp_path / "project", {f"{name}.yaml": text for name, text in PIPELINES.items()}
    )


@dataclass(frozen=True)
class Running:
    """A `pipe` that goes on while a test looks at it; what it prints goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path

    def shown(self) -> str:
        return readable(self.output.read_bytes())

    def wait_for(self, text: str) -> None:
        def is_there() -> bool:
            assert text in self.shown() or self.process.poll() is None, self.shown()
            return text in self.shown()

        wait_until(is_there, lambda: f"{text!r} in {self.shown()}")

    def end(self) -> int:
        """Its exit code; fails when it does not end."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it goes on: {self.shown()}") from None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


StartPipe = Callable[..., Running]


@pytest.fixture
def start_pipe(project: Path, tmp_path: Path) -> Iterator[StartPipe]:
    """Starts `pipe` in the project (or in `cwd`, with more `env`); the test's end is its end."""
    started: list[Running] = []

    def start(
        *arguments: str, cwd: Path = project, env: Mapping[str, str] | None = None
    ) -> Running:
        output = tmp_path / f"output-{len(started)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [Path(sys.executable).with_name("pipe"), *arguments],
                cwd=cwd,
                env=os.environ | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        started.append(Running(process, output))
        return started[-1]

    yield start
    for running in started:
        running.kill()


def printed(home: Path, *arguments: str) -> str:
    """What `pipe` prints on success, run in this process: what reads the store loads slowly."""
    out = io.TextIOWrapper(io.BytesIO())
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setenv("PIPE_HOME", str(home))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    assert ended.value.code == 0, arguments
    out.seek(0)
    return out.read()


def recorded(home: Path, run: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(home, "show", str(run), "--json"))
    return found


def check_store(home: Path) -> None:
    with closing(sqlite3.connect(home / "pipe.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def is_explained(shown: str) -> None:
    """No traceback, and after the error a line that says what to do."""
    assert "Traceback" not in shown
    assert "\n  " in shown.partition("error: ")[2]


# -- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run(
    number: signal.Signals,
    project: Path,
    pipe_home: Path,
    start_pipe: StartPipe,
    run_pipe: RunPipe,
) -> None:
    running = start_pipe("run", "slow.yaml")
    running.wait_for("| begun")
    running.process.send_signal(number)
    assert running.end() == 130
    assert "| cleaned" in running.shown()
    assert "| never" not in running.shown()
    wait_until_gone(project, pipe_home)
    run = recorded(pipe_home)
    assert (run["state"], run["result"]) == ("finished", "cancelled")
    assert git_status(project) == ""


def test_a_second_signal_stops_at_once(
    project: Path, pipe_home: Path, start_pipe: StartPipe, run_pipe: RunPipe
) -> None:
    running = start_pipe("run", "stubborn.yaml")
    running.wait_for("| begun")
    running.process.send_signal(signal.SIGINT)
    running.wait_for("| told")
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    assert "| cleaned" not in running.shown()
    # Only the first request reached it: what follows later was not waited for.
    assert running.shown().count("| told") == 1
    wait_until_gone(project, pipe_home)
    assert recorded(pipe_home)["result"] == "cancelled"


@pytest.mark.parametrize("cleaner", [("run", "hello.yaml"), ("doctor", "--clean")])
def test_a_killed_runner_takes_its_box_along(
    cleaner: tuple[str, ...],
    project: Path,
    pipe_home: Path,
    start_pipe: StartPipe,
    run_pipe: RunPipe,
) -> None:
    running = start_pipe("run", "slow.yaml")
    running.wait_for("| begun")
    running.kill()
    wait_until_gone(project, pipe_home, alive)
    run = recorded(pipe_home)
    assert (run["state"], run["result"], run["reason"]) == ("finished", "failure", "lost")
    assert [(job["result"], job["reason"]) for job in run["jobs"]] == [("failure", "lost")]
    (listed,) = json.loads(printed(pipe_home, "runs", "--json"))
    assert (listed["result"], listed["reason"]) == ("failure", "lost")
    assert "begun" in printed(pipe_home, "logs", "1")
    left = folders(pipe_home)
    assert left != []
    assert run_pipe(*cleaner, cwd=project).exit_code == 0
    wait_until_gone(project, pipe_home)
    assert in_memory(left) == []
    assert git_status(project) == ""


def test_killed_at_any_moment(
    project: Path, pipe_home: Path, start_pipe: StartPipe, run_pipe: RunPipe
) -> None:
    kill_at_random(5, project, pipe_home, start_pipe, run_pipe)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_killed_at_many_moments(
    project: Path, pipe_home: Path, start_pipe: StartPipe, run_pipe: RunPipe
) -> None:
    kill_at_random(60, project, pipe_home, start_pipe, run_pipe)


def kill_at_random(
    times: int, project: Path, home: Path, start_pipe: StartPipe, run_pipe: RunPipe
) -> None:
    """Kill runs at moments spread over how long a whole one takes; each is cleaned up after."""
    begun = time.monotonic()
    assert run_pipe("run", "several.yaml", cwd=project).exit_code == 0
    whole = time.monotonic() - begun
    for number in range(times):
        running = start_pipe("run", "several.yaml")
        moment = whole * (number + random.random()) / times
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(moment)
        running.kill()
        what = f"killed after {moment:.3f} of {whole:.3f} s: {running.shown()}"
        check_after_kill(what, project, home, run_pipe)
    assert run_pipe("run", "several.yaml", cwd=project).exit_code == 0
    wait_until_gone(project, home)


def check_after_kill(what: str, project: Path, home: Path, run_pipe: RunPipe) -> None:
    left = folders(home)
    cleaned = run_pipe("doctor", "--clean", cwd=project)
    assert cleaned.exit_code == 0, (what, cleaned)
    wait_until(lambda: not everything(project, home), lambda: (what, everything(project, home)))
    assert in_memory(left) == [], what
    check_store(home)
    for run in json.loads(printed(home, "runs", "--json")):
        assert run["state"] == "finished", what
        assert (run["result"], run["reason"]) in {("success", ""), ("failure", "lost")}, what
    assert git_status(project) == "", what


# -- other processes


def test_another_process_follows_and_cancels(
    project: Path, pipe_home: Path, start_pipe: StartPipe, run_pipe: RunPipe
) -> None:
    running = start_pipe("run", "slow.yaml")
    running.wait_for("| begun")
    follower = start_pipe("logs", "-f", "1")
    follower.wait_for("begun")
    assert running.process.poll() is None
    assert follower.process.poll() is None
    cancelled = run_pipe("cancel", "1", cwd=project)
    assert cancelled.exit_code == 0, cancelled
    assert running.end() == 130
    assert follower.end() == 0
    assert "cleaned" in follower.shown()
    wait_until_gone(project, pipe_home)
    assert recorded(pipe_home)["result"] == "cancelled"
    assert "has ended already" in printed(pipe_home, "cancel", "1")


#: At every moment `left` is `right`, or one more.
EDITOR = """\
import itertools, pathlib, sys, time
for number in itertools.count():
    for name in ("left", "right"):
        part = pathlib.Path(sys.argv[1], ".git", name)
        part.write_text(f"{number}\\n")
        part.replace(pathlib.Path(sys.argv[1], name))
    time.sleep(0.02)
"""
TOGETHER = """\
on: push
jobs:
  work:
    runs-on: small
    container:
      image: pipe-test/busybox:1
      volumes: ["{meeting}:/meeting"]
    steps:
      - run: |
          cat left right > before
          echo mine > "of-$WHO"
          touch "/meeting/$WHO"
          until test -e /meeting/go; do sleep 0.05; done
          cat left right | cmp before - && echo unchanged
          echo "files:" of-*
          echo "saw $(cat left) $(cat right)."
"""


def test_two_runs_and_an_editor_do_not_disturb_each_other(
    tmp_path: Path, pipe_home: Path, start_pipe: StartPipe
) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    files = {"left": "0\n", "right": "0\n", "work.yaml": TOGETHER.format(meeting=meeting)}
    shared = make_project(tmp_path / "shared", files)
    with edited(shared):
        runs = {
            who: start_pipe("run", "work.yaml", "--env", f"WHO={who}", cwd=shared)
            for who in ("one", "two")
        }
        wait_until(
            lambda: {file.name for file in meeting.iterdir()} == set(runs),
            lambda: [running.shown() for running in runs.values()],
        )
        read = int((shared / "left").read_text())
        wait_until(lambda: int((shared / "left").read_text()) > read + 2, "the editor goes on")
        (meeting / "go").touch()
        for running in runs.values():
            assert running.end() == 0, running.shown()
    for who, running in runs.items():
        shown = running.shown()
        assert "| unchanged" in shown
        assert f"| files: of-{who}\n" in shown
        left, right = map(int, shown.partition("| saw ")[2].partition(".")[0].split())
        assert left - right in (0, 1), "parts of two states of the source"
    wait_until_gone(shared, pipe_home)
    subprocess.run(["git", "checkout", "-q", "left", "right"], cwd=shared, check=True)
    assert git_status(shared) == ""


@contextmanager
def edited(project: Path) -> Iterator[None]:
    """A process of its own changes files of the project all the time."""
    editor = subprocess.Popen([sys.executable, "-c", EDITOR, project])
    try:
        yield
    finally:
        editor.kill()
        editor.wait()


# -- disks


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """Something mounted at the new folder `folder`, for as long as the test needs it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder.mkdir()
    subprocess.run(["mount", *arguments, str(folder)], check=True)
    try:
        yield folder
    finally:
        # The engine may hold it for the moment in which it removes a container.
        command = ["umount", str(folder)]
        wait_until(lambda: not subprocess.run(command, check=False).returncode, f"{command}")


PRINTING = "echo begun; dd if=/dev/zero bs=1M count=64 2>&- | tr '\\0' x | fold -w 1000; echo done"
WRITING = "echo begun; dd if=/dev/zero of=big bs=1M count=64; echo done"


@pytest.mark.parametrize(
    ("command", "mode"),
    [(PRINTING, "local"), (PRINTING, "framed"), (PRINTING, "host"), (WRITING, "local")],
    ids=["printing-local", "printing-framed", "printing-host", "writing-local"],
)
def test_a_full_disk_is_named(
    command: str, mode: str, project: Path, tmp_path: Path, run_pipe: RunPipe
) -> None:
    place = "self-hosted" if mode == "host" else "small"
    text = HELLO.replace("echo hello", json.dumps(command)).replace("small", place)
    (project / "full.yaml").write_text(text)
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=24m", "none") as disk:
        env = {"PIPE_HOME": str(disk / "home")}
        if mode != "host":
            env["PIPE_ENGINE_MODE"] = mode
        finished = run_pipe("run", "--host", "full.yaml", cwd=project, env=env, timeout=60)
        assert finished.exit_code in (1, 4), finished.stderr
        assert "Traceback" not in finished.stdout + finished.stderr
        assert str(disk) in finished.stdout + finished.stderr
        assert "space" in finished.stdout + finished.stderr
        wait_until_gone(project, disk / "home")
        run = recorded(disk / "home")
        assert (run["state"], run["result"]) == ("finished", "failure")
        assert "begun" in printed(disk / "home", "logs", "1")
        check_store(disk / "home")


def test_a_read_only_home_is_refused(project: Path, tmp_path: Path, run_pipe: RunPipe) -> None:
    with mounted(tmp_path / "fixed", "-t", "tmpfs", "-o", "ro", "none") as disk:
        for home in (disk, disk / "home"):
            env = {"PIPE_HOME": str(home)}
            finished = run_pipe("run", "hello.yaml", cwd=project, env=env)
            assert finished.exit_code == 4, finished
            is_explained(finished.stdout + finished.stderr)
            assert str(home) in finished.stderr


# -- the engine


@pytest.mark.parametrize("address", ["unix://{}/none", "unix://{}/dead", "tcp://127.0.0.1:1"])
def test_no_engine(
    address: str, project: Path, tmp_path: Path, pipe_home: Path, run_pipe: RunPipe
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    env = {"DOCKER_HOST": address.format(tmp_path)}
    finished = run_pipe("run", "hello.yaml", cwd=project, env=env, timeout=PATIENCE)
    assert finished.exit_code == 4, finished
    is_explained(finished.stdout + finished.stderr)
    assert "pipe doctor" in finished.stderr
    assert json.loads(printed(pipe_home, "runs", "--json")) == []


class Proxy:
    """Stands at a socket of its own between `pipe` and the engine, until it is cut."""

    def __init__(self, path: Path, engine: str) -> None:
        self._engine = engine
        self._path = path
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on the engine is gone, in the middle of whatever was said."""
        self._path.unlink(missing_ok=True)
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._engine)
                self._open += [client, engine]
                for source, target in ((client, engine), (engine, client)):
                    threading.Thread(target=_forward, args=(source, target), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not address.startswith("unix://"):
        pytest.skip("the engine has no socket here")
    proxy = Proxy(tmp_path / "engine", address.removeprefix("unix://"))
    yield proxy
    proxy.cut()


@pytest.mark.parametrize("mode", ["local", "framed", "remote"])
def test_the_engine_goes_away(
    mode: str,
    proxy: Proxy,
    project: Path,
    tmp_path: Path,
    pipe_home: Path,
    start_pipe: StartPipe,
    run_pipe: RunPipe,
) -> None:
    env = {"DOCKER_HOST": f"unix://{tmp_path}/engine", "PIPE_ENGINE_MODE": mode}
    running = start_pipe("run", "slow.yaml", env=env)
    running.wait_for("| begun")
    proxy.cut()
    assert running.end() == 1, running.shown()
    assert "Traceback" not in running.shown()
    assert "engine" in running.shown()
    run = recorded(pipe_home)
    assert (run["state"], run["result"]) == ("finished", "failure")
    assert [job["reason"] for job in run["jobs"]] == ["lost"]
    wait_until_gone(project, pipe_home, alive)
    assert run_pipe("doctor", "--clean", cwd=project).exit_code == 0
    wait_until_gone(project, pipe_home)


# -- users


OWNED = """\
on: push
jobs:
  hello:
    runs-on: {image}
    steps:
      - run: |
          mkdir -m 700 closed
          echo "as $(id -u)" > closed/made
          cat closed/made
"""


@dataclass(frozen=True)
class User:
    """An ordinary user of this machine with a project."""

    home: Path
    project: Path
    number: int = 4321
    interpreter: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def start_pipe(
        self, *arguments: str, groups: tuple[int, ...] = (), env: Mapping[str, str] | None = None
    ) -> Running:
        output = self.home / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*self.interpreter, "-c", "from runner.cli import main; main()", *arguments],
                cwd=self.project,
                env={**self.env, **(env or {})},
                user=self.number,
                group=self.number,
                extra_groups=groups,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        return Running(process, output)


@pytest.fixture
def user() -> Iterator[User]:
    """The interpreter and the code are mounted where everybody may enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    import click as of_site

    top = Path(tempfile.mkdtemp(prefix="pipe-user-"))
    top.chmod(0o755)
    shown = {
        "python": Path(sys.base_prefix),
        "repository": REPOSITORY,
        "site": Path(of_site.__file__).parent.parent,
    }
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, top)
        for name, folder in shown.items():
            stack.enter_context(mounted(top / name, "--bind", str(folder)))
        yield make_user(top)


def make_user(top: Path) -> User:
    home = top / "home"
    home.mkdir()
    files = {f"{image}.yaml": OWNED.format(image=image) for image in ("small", "nonroot")}
    files["slow.yaml"] = SLOW
    project = make_project(home / "project", files)
    for path in (home, *home.rglob("*")):
        os.chown(path, User.number, User.number)
    paths = [top / "repository", top / "repository" / "plugins", top / "site"]
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    kept = {name: os.environ[name] for name in ("PATH", "GIT_CONFIG_NOSYSTEM")}
    if "DOCKER_HOST" in os.environ:
        kept["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    env = {
        **kept,
        "HOME": str(home),
        "PIPE_HOME": str(home / "pipe"),
        "PYTHONHOME": str(top / "python"),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": str(top / "python" / "lib"),
    }
    return User(home, project, interpreter=[str(top / "python" / "bin" / python)], env=env)


@pytest.fixture
def engine_group() -> tuple[int, ...]:
    """Who is in it may talk to the engine."""
    return (Path("/var/run/docker.sock").stat().st_gid,)


@pytest.mark.parametrize(("image", "owner"), [("small", 0), ("nonroot", 1000)])
def test_an_ordinary_user(
    image: str, owner: int, user: User, engine_group: tuple[int, ...]
) -> None:
    running = user.start_pipe("run", f"{image}.yaml", groups=engine_group)
    assert running.end() == 0, running.shown()
    assert f"| as {owner}\n" in running.shown()
    # What root made there only root can remove: it goes, although no sooner than the run's end.
    wait_until_gone(user.project, user.home / "pipe")
    assert not (user.project / "closed").exists()


def test_what_a_user_binds_stays_the_users(user: User, engine_group: tuple[int, ...]) -> None:
    running = user.start_pipe("run", "--bind", "small.yaml", groups=engine_group)
    assert running.end() == 0, running.shown()
    made = user.project / "closed" / "made"
    assert made.read_text() == "as 0\n"
    assert {made.stat().st_uid, made.parent.stat().st_uid} == {user.number}
    wait_until_gone(user.project, user.home / "pipe")


def test_the_engine_goes_away_while_a_user_binds(
    user: User, engine_group: tuple[int, ...], proxy: Proxy, tmp_path: Path
) -> None:
    address = user.home / "engine"
    (tmp_path / "engine").chmod(0o666)
    (tmp_path / "engine").rename(address)
    env = {"DOCKER_HOST": f"unix://{address}"}
    running = user.start_pipe("run", "--bind", "slow.yaml", groups=engine_group, env=env)
    running.wait_for("| begun")
    proxy.cut()
    assert running.end() == 1, running.shown()
    assert "Traceback" not in running.shown()


def test_a_user_who_may_not_use_the_engine(user: User) -> None:
    running = user.start_pipe("run", "small.yaml")
    assert running.end() == 4, running.shown()
    is_explained(running.shown())
    assert "`docker` group" in running.shown()


# -- garbage


def test_mutilated_pipelines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_mutilated(200, tmp_path, capsys)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_many_mutilated_pipelines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_mutilated(5000, tmp_path, capsys)


def load_mutilated(times: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mutilation is named by its number, which makes the same one again."""
    sources = sorted(REPOSITORY.glob("examples/**/*.yaml"))
    sources += sorted(REPOSITORY.glob("tests/cases/run/*/pipeline.yaml"))
    file = make_project(folder / "garbage", {"pipeline.yaml": ""}) / "pipeline.yaml"
    for number in range(times):
        source = sources[number % len(sources)]
        file.write_bytes(mutilated(source.read_bytes(), random.Random(number)))
        with pytest.raises(SystemExit) as ended:
            main(["run", "--dry-run", "--offline", str(file)])
        shown = capsys.readouterr()
        # What would have to be fetched is not here.
        assert ended.value.code in (0, 2, 4, None), (number, source, shown.err)


def mutilated(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, taken out, doubled or cut off at the end."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(changed) + 1)
        end = start + chance.randrange(20)
        match chance.randrange(5):
            case 0:
                changed[start : start + 1] = chance.randbytes(1)
            case 1:
                del changed[start:end]
            case 2:
                changed[start:start] = changed[start:end]
            case 3:
                changed[start:start] = chance.choice([b"${{", b"}}", b"\t", b"&a", b"*a", b": "])
            case _:
                del changed[max(start, len(changed) // 2) :]
    return bytes(changed)


def test_a_damaged_database(project: Path, pipe_home: Path, run_pipe: RunPipe) -> None:
    assert run_pipe("run", "hello.yaml", cwd=project).exit_code == 0
    database = pipe_home / "pipe.db"
    whole = database.read_bytes()
    for damage in (whole[:5000], b"no database\n" * 1000):
        database.write_bytes(damage)
        for command in (("run", "hello.yaml"), ("runs",)):
            finished = run_pipe(*command, cwd=project)
            assert finished.exit_code == 4, (damage[:20], finished)
            is_explained(finished.stdout + finished.stderr)
            assert str(database) in finished.stderr


def test_a_truncated_log(project: Path, pipe_home: Path, run_pipe: RunPipe) -> None:
    assert run_pipe("run", "hello.yaml", cwd=project).exit_code == 0
    whole = printed(pipe_home, "logs", "1")
    assert whole.endswith("hello\n")
    for name in ("hello@1.index", "hello@1.log"):
        for keep in (7, 0):
            os.truncate(pipe_home / "logs" / "1" / name, keep)
            assert whole.startswith(printed(pipe_home, "logs", "1").rstrip("\n"))
        (pipe_home / "logs" / "1" / name).unlink()
        printed(pipe_home, "logs", "-f", "1")


# -- exit codes


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "hello.yaml"), 0),
        (("run", "fails.yaml"), 1),
        (("run", "none.yaml"), 2),
        (("run", "broken.yaml"), 2),
        (("run", "hello.yaml", "--nonsense"), 2),
        (("nonsense",), 2),
        (("show", "1000"), 2),
    ],
)
def test_exit_codes(
    arguments: tuple[str, ...], code: int, project: Path, run_pipe: RunPipe
) -> None:
    (project / "fails.yaml").write_text(HELLO.replace("echo hello", "exit 7"))
    (project / "broken.yaml").write_text(HELLO.replace("steps:", "stps:"))
    finished = run_pipe(*arguments, cwd=project)
    assert finished.exit_code == code, finished
    assert "Traceback" not in finished.stdout + finished.stderr


def test_a_bug_of_ours_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("runner.cli.runs.command", broken)
    with pytest.raises(SystemExit) as ended:
        main(["runs"])
    assert ended.value.code == 3
    shown = capsys.readouterr().err
    assert "Please report this" in shown
    assert "ZeroDivisionError: by design" in shown
