"""A place for one benchmark: projects, a PIPE_HOME and containers that are gone afterwards."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

BUSYBOX = "pipe-test/busybox:1"
DEBIAN = "pipe-test/debian:12"
NODE = "pipe-test/node:24"
PIPE = str(Path(sys.executable).with_name("pipe"))

#: Seconds after which a command is killed.
TIMEOUT = 180
#: Seconds that the engine may take to remove the containers of a run.
REMOVAL = 30
#: Labels whose values are folders: the project of a run, and the sandbox of a baseline.
RUN_LABEL, BASELINE_LABEL = "pipe.project", "pipe.benchmark"

_FOREIGN = ("PIPE_", "GITHUB_", "RUNNER_", "GIT_", "XDG_CONFIG_")
#: They change how a run is shown, or keep Python from storing what it compiled.
_UNWANTED = ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONDONTWRITEBYTECODE")


class FailedError(Exception):
    """A command that is measured did not succeed: there is no figure."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that succeeded: how long it took, its largest resident set, and its output."""

    seconds: float
    peak_bytes: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Commands and projects below `folder`."""

    folder: Path
    env: Mapping[str, str] = field(repr=False)

    @property
    def home(self) -> Path:
        """The PIPE_HOME of all commands."""
        return Path(self.env["PIPE_HOME"])

    def project(self, name: str, pipeline: str) -> Path:
        """A new folder with a committed `pipeline.yaml`."""
        project = self.folder / name
        project.mkdir()
        (project / "pipeline.yaml").write_text(pipeline)
        self.run("git", "init", "-q", cwd=project)
        self.commit(project)
        return project

    def commit(self, project: Path) -> None:
        """Commit all that is new in a project."""
        self.run("git", "add", "-A", cwd=project)
        author = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org")
        self.run("git", *author, "commit", "-qm", "files", cwd=project)

    def pipe_run(
        self, project: Path, *options: str, to: IO[bytes] | int = subprocess.PIPE
    ) -> Ended:
        """`pipe run` of the project's pipeline; returns when its containers are gone too.

        Their removal is not in the time, and does not disturb what is measured next.
        """
        ended = self.run(PIPE, "run", "pipeline.yaml", *options, cwd=project, to=to)
        self.await_removal()
        return ended

    def docker_run(self, *arguments: str, to: IO[bytes] | int = subprocess.PIPE) -> Ended:
        """`docker run --rm` without a log, as runs of ours have none with the engine either."""
        return self.run(*self.docker_command(*arguments), to=to)

    def docker_command(self, *arguments: str) -> tuple[str, ...]:
        """The command of `docker_run`; its container is one of this sandbox."""
        label = f"{BASELINE_LABEL}={self.folder}"
        return ("docker", "run", "--rm", "--log-driver", "none", "--label", label, *arguments)

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        to: IO[bytes] | int = subprocess.PIPE,
        stdin: bytes = b"",
    ) -> Ended:
        """Run a command to its end. Raises FailedError, with its messages, when it fails."""
        with self._file(stdin) as given, self._file() as messages:
            start = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=cwd or self.folder,
                env=self.env,
                stdin=given,
                stdout=to,
                stderr=messages,
            )
            output, peak = _await_end(process)
            seconds = time.perf_counter() - start
            if process.returncode:
                messages.seek(0)
                raise _failed(command, process.returncode, output + messages.read())
        return Ended(seconds, peak, output)

    def await_removal(self) -> None:
        """Wait until no container of a run in this sandbox is left. Raises TimeoutError."""
        deadline = time.monotonic() + REMOVAL
        while left := self.containers(RUN_LABEL):
            if time.monotonic() > deadline:
                raise TimeoutError(f"containers are still there: {', '.join(left)}")
            time.sleep(0.05)

    def containers(self, label: str) -> list[str]:
        """The ids of the containers in whose label `label` is a folder of this sandbox."""
        shown = f'{{{{.ID}}}} {{{{.Label "{label}"}}}}'
        listed = self.run("docker", "ps", "-a", "--format", shown).output.decode().splitlines()
        owners = (line.partition(" ") for line in listed)
        return [id_ for id_, _, owner in owners if Path(owner).is_relative_to(self.folder)]

    @contextmanager
    def _file(self, content: bytes = b"") -> Iterator[IO[bytes]]:
        with tempfile.TemporaryFile(dir=self.folder) as file:
            file.write(content)
            file.seek(0)
            yield file


@contextmanager
def open_sandbox() -> Iterator[Sandbox]:
    """A sandbox in the folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="pipe-benchmark-") as folder:
        sandbox = Sandbox(Path(folder).resolve(), _environment(Path(folder).resolve()))
        try:
            yield sandbox
        finally:
            _remove_containers(sandbox)


def _failed(command: Sequence[str], exit_code: int, output: bytes) -> FailedError:
    shown = output.decode(errors="replace")[-2000:]
    return FailedError(f"`{' '.join(command)[:200]}` ended with {exit_code}:\n{shown}")


def _environment(folder: Path) -> dict[str, str]:
    """This process's environment without what would change a run, but for a chosen engine mode."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "PIPE_ENGINE_MODE" or not (name.startswith(_FOREIGN) or name in _UNWANTED)
    }
    return {**kept, "PIPE_HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "config")}


def _await_end(process: subprocess.Popen[bytes]) -> tuple[bytes, int]:
    killer = threading.Timer(TIMEOUT, process.kill)
    killer.start()
    try:
        output = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        killer.cancel()
        if process.stdout:
            process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    return output, usage.ru_maxrss * 1024


def _remove_containers(sandbox: Sandbox) -> None:
    """Nothing to do, unless a benchmark failed half-way or has one running on purpose."""
    try:
        left = [*sandbox.containers(RUN_LABEL), *sandbox.containers(BASELINE_LABEL)]
    except (OSError, FailedError):
        return
    if left:
        sandbox.run("docker", "rm", "--force", "--volumes", *left)
