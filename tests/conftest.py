"""What every test stands on: a home of its own, the `pipe` command, and the rule about Docker."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from runner.store import Store
from tests.servers import FAST, Emptied, Server, running

FOREIGN = ("PIPE_", "GITHUB_", "RUNNER_", "GIT_", "XDG_")
KEPT = ("PIPE_TEST_", "GIT_SSL_")
COLOURS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI", "COLUMNS", "LINES")
GIT_CONFIG = "[user]\n\tname = Test\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended: its exit code and all that it wrote, as text."""

    exit_code: int
    stdout: str
    stderr: str


RunPipe = Callable[..., Finished]


def move_home(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Point everything that a program takes for the user's own at `home`."""
    for name in os.environ:
        if name in COLOURS or (name.startswith(FOREIGN) and not name.startswith(KEPT)):
            patch.delenv(name)
    git_config = home / ".gitconfig"
    git_config.write_text(GIT_CONFIG, encoding="utf-8")
    patch.setenv("HOME", str(home))
    patch.setenv("PIPE_HOME", str(home / "pipe"))
    patch.setenv("GIT_CONFIG_GLOBAL", str(git_config))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for kind in ("CONFIG", "CACHE", "DATA", "STATE"):
        patch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures that outlive one test are kept away from the real home too."""
    with pytest.MonkeyPatch.context() as patch:
        move_home(tmp_path_factory.mktemp("home"), patch)
        yield


@pytest.fixture(autouse=True)
def pipe_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `PIPE_HOME` of this test alone; `HOME` and git's configuration lie beside it."""
    home = tmp_path_factory.mktemp("home")
    move_home(home, monkeypatch)
    return home / "pipe"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server that ends with the tests."""
    with running(FAST) as started:
        yield started


@pytest.fixture(scope="session")
def emptied(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Emptied:
    """A database of that server with all tables."""
    url = server.new_database()
    Store.open(tmp_path_factory.mktemp("home"), url).close()
    return Emptied(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(
    request: pytest.FixtureRequest, pipe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What the test is to keep its store in: "" is a file in the home; also for its processes."""
    if request.param == "sqlite":
        return ""
    emptied: Emptied = request.getfixturevalue("emptied")
    monkeypatch.setenv("PIPE_DATABASE_URL", emptied.empty())
    return emptied.url


@pytest.fixture
def run_pipe(tmp_path: Path) -> RunPipe:
    """Runs the installed `pipe` in `cwd` (else in `tmp_path`) and waits for its end.

    `env` is added to the test's environment; `stdin` is text, and empty by default. Raises
    `subprocess.TimeoutExpired` after `timeout` seconds.
    """

    def run(
        *arguments: str | Path,
        cwd: Path = tmp_path,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 120,
    ) -> Finished:
        ended = subprocess.run(
            [Path(sys.executable).with_name("pipe"), *arguments],
            cwd=cwd,
            env=os.environ | dict(env or {}),
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return Finished(ended.returncode, readable(ended.stdout), readable(ended.stderr))

    return run


def readable(output: bytes) -> str:
    """Output as text; what is not UTF-8 stays visible as `\\xNN`."""
    return output.decode(errors="backslashreplace")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs Docker fails without it, unless somebody chose to go without."""
    if item.get_closest_marker("docker") is None:
        return
    if os.environ.get("PIPE_TEST_WITHOUT_DOCKER") == "1":
        pytest.skip("PIPE_TEST_WITHOUT_DOCKER=1")
    if problem := engine_problem():
        pytest.fail(f"{problem}\nStart Docker, or set PIPE_TEST_WITHOUT_DOCKER=1.", pytrace=False)


@cache
def engine_problem() -> str:
    """Why no Docker engine answers; empty when one does."""
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.from_env(timeout=10)) as engine:
            engine.ping()
    except DockerException as error:
        return str(error)
    return ""
