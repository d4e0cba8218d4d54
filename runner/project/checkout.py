"""A git checkout found on disk, and git started in it so that it only reads."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: Of git's own variables only these reach our processes. Pipe may itself run inside a git hook,
#: where GIT_DIR and GIT_INDEX_FILE point elsewhere.
_KEPT = frozenset(
    {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"}
)
_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
#: A file system monitor is a program that the repository names; reading must not start one.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A working tree and where git keeps its side of it.

    `git_dir` holds HEAD and the index; `common_dir` holds objects and refs. They differ only in
    a linked worktree.
    """

    root: Path
    git_dir: Path
    common_dir: Path


def find_checkout(start: Path) -> Checkout | None:
    """The innermost checkout that contains the folder `start`, without asking git.

    One that is the user's whole home folder (with dotfiles in it) counts only for itself.
    """
    found = next(filter(None, map(checkout_at, (start, *start.parents))), None)
    return None if found and is_home(found.root) and found.root != start else found


def is_home(folder: Path) -> bool:
    """Whether a folder (without links in its path) is the user's home."""
    home = os.environ.get("HOME")
    return home is not None and Path(home).resolve() == folder


def checkout_at(folder: Path) -> Checkout | None:
    """The checkout whose top is exactly `folder`, or None."""
    git_dir = _git_dir(folder / ".git")
    if git_dir is None or not (git_dir / "HEAD").is_file():
        return None
    return Checkout(folder, git_dir, _common_dir(git_dir))


def start_git(
    checkout: Checkout, *arguments: str, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes] | None:
    """A git process in the checkout with captured output; None when git is not installed."""
    command = (
        "git",
        f"--git-dir={checkout.git_dir}",
        f"--work-tree={checkout.root}",
        *_SAFE,
        *arguments,
    )
    try:
        return subprocess.Popen(
            command,
            cwd=checkout.root,
            env=_environment(os.environ),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        return None


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in variables.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    return kept | _QUIET | {"LC_ALL": "C"}


def _git_dir(entry: Path) -> Path | None:
    if entry.is_dir():
        return entry
    text = _read_line(entry)
    if not text.startswith("gitdir:"):
        return None
    return (entry.parent / text.removeprefix("gitdir:").strip()).resolve()


def _common_dir(git_dir: Path) -> Path:
    named = _read_line(git_dir / "commondir")
    return (git_dir / named).resolve() if named else git_dir


def _read_line(file: Path) -> str:
    try:
        return os.fsdecode(file.read_bytes()).strip("\r\n")
    except OSError:
        return ""
