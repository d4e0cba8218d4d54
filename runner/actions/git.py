"""git on this machine, so that nothing it works on can make it run a program or reach elsewhere."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import EnvironmentMissingError

#: Of a network's protocols those that only transfer; `file` is added for repositories in folders.
NETWORK = ("https", "ssh", "git")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")

_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
#: A hook or a monitor is a program that a configuration names. The rest holds what a job sees
#: apart from the user's own preferences.
_SAFE = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.autocrlf", "false"),
    ("index.sparse", "false"),
    ("branch.autoSetupMerge", "true"),
    ("fetch.prune", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("init.defaultRefFormat", "files"),
    ("protocol.version", "2"),
    ("advice.detachedHead", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)
#: Seconds between looks at whether it has to end.
_TICK = 0.1
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_UNKNOWN_REF = (
    *("couldn't find remote ref", "not our ref", "does not exist in", "unadvertised object"),
)
_REFUSED = (
    *("Authentication failed", "could not read Username", "could not read Password"),
    *("terminal prompts disabled", "Permission denied", "Host key verification failed"),
    *("returned error: 401", "returned error: 403"),
)
_MISSING = ("not found", "not appear to be a git repository", "returned error: 404")


class GitError(Exception):
    """git ended with an error; the text is what it said."""

    @property
    def reason(self) -> str:
        """The line that says why."""
        lines = str(self).strip().split("\n")
        named = [line for line in lines if line.startswith(("fatal:", "error:"))]
        return (named[0] if named else lines[-1]).strip()

    def is_about_ref(self) -> bool:
        return any(sign in str(self) for sign in _UNKNOWN_REF)

    def is_refusal(self) -> bool:
        """Whether the server wants somebody else to ask."""
        return any(sign in str(self) for sign in _REFUSED)

    def is_about_repository(self) -> bool:
        return any(sign in str(self) for sign in _MISSING)


@dataclass(frozen=True, slots=True)
class Access:
    """How servers may be reached: protocols, and configuration and variables with credentials."""

    protocols: tuple[str, ...] = NETWORK
    settings: tuple[tuple[str, str], ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


LOCAL = Access(("file",))


Check = Callable[[], None]


def unhurried() -> None:
    """Nothing has to end."""


@dataclass(frozen=True, slots=True)
class Git:
    """git in a folder; `options` stand before each subcommand.

    `check` is called while it runs, and raises when it has to end; `patience` is in seconds.
    """

    folder: Path
    options: tuple[str, ...] = ()
    access: Access = LOCAL
    check: Check = unhurried
    patience: float | None = None

    def run(self, *arguments: str, given: bytes = b"") -> str:
        """What it prints, as text that may hold surrogate escapes. Raises GitError, OSError, and
        EnvironmentMissingError without git."""
        process = self._start(arguments, piped=bool(given))
        try:
            out, problem = self._wait(process, given)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        if process.returncode:
            said = _CREDENTIALS.sub("", problem.decode(errors="replace")).strip()
            raise GitError(said or f"git ended with {process.returncode}")
        return os.fsdecode(out)

    def succeeds(self, *arguments: str) -> bool:
        """Whether it ends without an error."""
        try:
            self.run(*arguments)
        except GitError:
            return False
        return True

    def commit(self, name: str) -> str:
        """The id of the commit that a name means; empty if it means none here."""
        try:
            return self.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except GitError:
            return ""

    def _start(self, arguments: Sequence[str], *, piped: bool) -> subprocess.Popen[bytes]:
        try:
            # In a session of its own it has no terminal to ask on, and ends with what it started.
            return subprocess.Popen(
                ["git", *self.options, *arguments],
                cwd=self.folder,
                env=environment(self.access),
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if not self.folder.is_dir():
                raise
            raise EnvironmentMissingError(
                "repositories are fetched by git, which is not on this machine", hint="install git"
            ) from error

    def _wait(self, process: subprocess.Popen[bytes], given: bytes) -> tuple[bytes, bytes]:
        end = time.monotonic() + self.patience if self.patience else float("inf")
        unsent: bytes | None = given or None
        while True:
            try:
                return process.communicate(unsent, timeout=_TICK)
            except subprocess.TimeoutExpired:
                unsent = None
                self.check()
                if time.monotonic() > end:
                    raise GitError(f"it took longer than {self.patience:.0f} seconds") from None


@contextlib.contextmanager
def locked(file: Path, check: Check = unhurried) -> Iterator[None]:
    """Alone with a repository, among all processes of this machine."""
    lock = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while not _is_taken(lock):
            check()
            time.sleep(_TICK)
        yield
    finally:
        os.close(lock)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def environment(access: Access) -> dict[str, str]:
    """The variables of a git process: the user's configuration holds, as far as it is safe."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT or name.startswith("GIT_SSL_")
    }
    settings = {}
    for index, (key, value) in enumerate((*_SAFE, *access.settings)):
        settings[f"GIT_CONFIG_KEY_{index}"] = key
        settings[f"GIT_CONFIG_VALUE_{index}"] = value
    return {
        **kept,
        **settings,
        **access.variables,
        "GIT_CONFIG_COUNT": str(len(settings) // 2),
        "GIT_ALLOW_PROTOCOL": ":".join(access.protocols),
        "GIT_TERMINAL_PROMPT": "0",
        # Empty, it also keeps other programs from being started to ask.
        "GIT_ASKPASS": "",
        "LC_ALL": "C",
    }


def protocols_of(url: str) -> tuple[str, ...]:
    """What may be used for a repository that the user named: a folder may lead to folders."""
    if is_folder(url):
        return (*NETWORK, "file")
    return (*NETWORK, "http") if url.startswith("http://") else NETWORK


def is_folder(url: str) -> bool:
    """Whether it is on this machine, as git sees it."""
    return url.startswith(("file://", "/", "./", "../")) or (
        "://" not in url and ":" not in url.partition("/")[0]
    )
