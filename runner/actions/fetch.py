"""Actions of other repositories: fetched by git once, kept by commit, usable without a network."""

import fcntl
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from runner.actions.reference import RemoteAction
from runner.engines.box import NO_STOP, EngineError, Stop
from runner.errors import EnvironmentMissingError, InvalidInputError

SERVER = "https://github.com"
#: Seconds after which a branch or tag is looked up again; a commit never changes.
FRESH = 24 * 3600.0
#: Seconds that one call of git may take.
PATIENCE = 300
#: Seconds between looks at whether somebody still wants what is waited for.
TICK = 0.05

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
#: A hook or a monitor is a program that a configuration names; none of it is wanted here.
_SAFE = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "advice.detachedHead=0",
)
_UNKNOWN = ("couldn't find remote ref", "not our ref", "does not exist in", "unadvertised object")


class _GitError(Exception):
    """git ended with an error; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A repository's tree at a commit: a folder that nobody changes, and a name for it.

    `note` is what to tell the user: that the network was away, or that it is a folder of their own.
    """

    folder: Path
    name: str
    commit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ActionStore:
    """The repositories that were fetched from one server.

    `sources` maps `owner/name` (lower case) to a folder that stands for it; `server` is the URL
    below which repositories are, or a folder with them.
    """

    home: Path
    server: str = SERVER
    sources: Mapping[str, Path] = field(default_factory=dict)
    offline: bool = False

    def fetch(self, action: RemoteAction, stop: Stop = NO_STOP) -> Fetched:
        """The repository of the action. Raises EnvironmentMissingError when it cannot be had,
        InvalidInputError when it has no such ref, and EngineError when `stop` ends the wait."""
        source = self.sources.get(action.repository.lower())
        if source is not None:
            name = f"actions/{action.repository.lower()}/source"
            return Fetched(source, name, note=f"{action.repository} is the folder {source}")
        folder = self.home / "actions" / quote(self.server, safe="") / action.repository.lower()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(folder / "lock", stop):
                return self._kept(folder, action) or self._fetched(folder, action, stop)
        except OSError as error:
            raise EnvironmentMissingError(
                f"the action `{action}` could not be kept on this machine: {error}",
                hint=f"is there space, and may you write, in {self.home}?",
            ) from error

    def _kept(self, folder: Path, action: RemoteAction) -> Fetched | None:
        """What is here already, if nothing newer has to be asked for."""
        if _COMMIT.fullmatch(action.ref):
            return _found(folder, action, action.ref)
        known = _ref_file(folder, action.ref)
        if not known.exists():
            return None
        if self.offline or time.time() - known.stat().st_mtime < FRESH:
            return _found(folder, action, _kept_ref(known))
        return None

    def _fetched(self, folder: Path, action: RemoteAction, stop: Stop) -> Fetched:
        if self.offline:
            raise EnvironmentMissingError(
                f"the action `{action}` is not on this machine, and `--offline` forbids to fetch it",
                hint=f"run once without it, or use `--action-source {action.repository}=FOLDER`",
            )
        try:
            commit = self._download(folder, action, stop)
        except (_GitError, OSError) as error:
            return self._stale(folder, action, error)
        _keep_ref(_ref_file(folder, action.ref), commit)
        found = _found(folder, action, commit)
        assert found is not None
        return found

    def _stale(self, folder: Path, action: RemoteAction, error: Exception) -> Fetched:
        """The ref as it was the last time, when it cannot be asked for now."""
        text = str(error).strip().rpartition("\n")[2]
        if any(sign in text for sign in _UNKNOWN):
            raise InvalidInputError(
                f"`{action.repository}` has no `{action.ref}`",
                hint="a ref is a branch, a tag or a full commit id",
            ) from error
        known = _ref_file(folder, action.ref)
        found = known.exists() and _found(folder, action, _kept_ref(known))
        if not found:
            raise EnvironmentMissingError(
                f"the action `{action}` could not be fetched: {text}",
                hint="check the network and git's access to the repository, or use "
                f"`--action-source {action.repository}=FOLDER`",
            ) from error
        note = f"{action} is as it was fetched earlier ({found.commit[:12]}): {text}"
        return Fetched(found.folder, found.name, found.commit, note)

    def _download(self, folder: Path, action: RemoteAction, stop: Stop) -> str:
        for left in folder.glob(".*"):
            # Who was killed at it holds the lock no more.
            shutil.rmtree(left, ignore_errors=True)
        work = folder / f".{secrets.token_hex(8)}"
        try:
            git = _Git(work / "git", work / "tree", stop)
            git.create()
            commit = git.fetch(_url(self.server, action.repository), action.ref)
            target = folder / commit
            if not target.exists():
                git.checkout(commit)
                (work / "tree").rename(target)
            return commit
        finally:
            shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Git:
    """A repository of our own for one download."""

    git_dir: Path
    tree: Path
    stop: Stop

    def create(self) -> None:
        self.tree.mkdir(parents=True)
        self._run("init", "--quiet", "--bare", os.fspath(self.git_dir))

    def fetch(self, url: str, ref: str) -> str:
        """Fetch the ref and give its commit; not every server gives out a commit by its id."""
        try:
            self._run("fetch", "--quiet", "--depth=1", "--no-tags", url, ref)
            return self._commit("FETCH_HEAD")
        except _GitError:
            if not _COMMIT.fullmatch(ref):
                raise
        self._run("fetch", "--quiet", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        try:
            return self._commit(ref)
        except _GitError as error:
            raise _GitError(f"couldn't find remote ref {ref}") from error

    def checkout(self, commit: str) -> None:
        self._run(f"--work-tree={self.tree}", "checkout", "--quiet", "--force", commit, "--", ".")

    def _commit(self, name: str) -> str:
        return self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()

    def _run(self, *arguments: str) -> str:
        command = ["git", f"--git-dir={self.git_dir}", *_SAFE, *arguments]
        try:
            # A session of its own: what git starts ends with it, and ^C is not for it.
            process = subprocess.Popen(
                command,
                cwd=self.tree,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise EnvironmentMissingError(
                "actions of other repositories need git", hint="install git"
            ) from error
        with process:
            try:
                printed, said = _awaited(process, self.stop)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            raise _GitError(said.strip() or f"git ended with {process.returncode}")
        return printed


def _awaited(process: "subprocess.Popen[str]", stop: Stop) -> tuple[str, str]:
    """What a process has printed by its end. Raises _GitError when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return process.communicate(timeout=TICK)
        except subprocess.TimeoutExpired as error:
            _not_stopped(stop)
            if time.monotonic() > deadline:
                raise _GitError(f"git was not done after {PATIENCE} seconds") from error


def _not_stopped(stop: Stop) -> None:
    if reason := stop.reason():
        raise EngineError(reason, f"fetching an action was stopped: {reason}")


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT or name.startswith("GIT_SSL_")
    }
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _url(server: str, repository: str) -> str:
    return f"{server.rstrip('/')}/{repository}"


def _found(folder: Path, action: RemoteAction, commit: str) -> Fetched | None:
    tree = folder / commit
    if not _COMMIT.fullmatch(commit) or not tree.is_dir():
        return None
    return Fetched(tree, f"actions/{action.repository.lower()}/{commit}", commit)


def _ref_file(folder: Path, ref: str) -> Path:
    return folder / "refs" / quote(ref, safe="")


def _keep_ref(file: Path, commit: str) -> None:
    file.parent.mkdir(exist_ok=True)
    fresh = file.with_name(f".{secrets.token_hex(8)}")
    fresh.write_text(f"{commit}\n")
    fresh.replace(file)


def _kept_ref(file: Path) -> str:
    return file.read_text(errors="replace").strip()


@contextmanager
def _locked(file: Path, stop: Stop) -> Iterator[None]:
    """Alone with a repository, among all processes of this machine."""
    lock = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while not _is_taken(lock):
            _not_stopped(stop)
            time.sleep(TICK)
        yield
    finally:
        os.close(lock)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
