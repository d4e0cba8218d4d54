"""What the local repository says about the commit that a run is for."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.project.checkout import Checkout, find_checkout, start_git
from runner.project.remote import parse_remote

_COMMIT = ("%H", "%P", "%an", "%ae", "%cI", "%D", "%B")
_LOG = (
    "log",
    "-1",
    "-z",
    "--no-patch",
    "--no-show-signature",
    "--no-notes",
    "--decorate=full",
    "--decorate-refs=HEAD",
    "--decorate-refs=refs/heads/*",
    "--decorate-refs=refs/tags/*",
    "--decorate-refs=refs/remotes/*",
    f"--format={'%x00'.join(_COMMIT)}",
)
_HEADS, _TAGS, _REMOTES = "refs/heads/", "refs/tags/", "refs/remotes/"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: 40 (or 64) hex digits, its parents, author, ISO date and message."""

    sha: str
    parents: tuple[str, ...]
    author: str
    email: str
    timestamp: str
    message: str


@dataclass(frozen=True, slots=True)
class GitFacts:
    """A checkout as git sees it; `commit` is None before the first one, `branch` "" when detached.

    `tags` and `branches` are the names that point at HEAD (remote branches without their remote);
    `repository` is `owner/name`; `settings` is git's configuration by lower-case key.
    """

    checkout: Checkout
    commit: Commit | None
    branch: str
    tags: tuple[str, ...]
    branches: tuple[str, ...]
    default_branch: str
    repository: str
    remote_url: str
    server_url: str
    actor: str
    email: str
    settings: Mapping[str, tuple[str, ...]]

    @property
    def sha(self) -> str:
        """The commit's id, or "" before the first commit."""
        return self.commit.sha if self.commit else ""

    @property
    def ref(self) -> str:
        """The full ref that HEAD stands for: its branch, else a tag, else a branch at that commit."""
        if self.branch:
            return _HEADS + self.branch
        if self.tags:
            return _TAGS + self.tags[0]
        names = sorted(self.branches, key=lambda name: name != self.default_branch)
        return _HEADS + names[0] if names else ""


def read_facts(start: Path) -> GitFacts | None:
    """Facts of the checkout around `start`; None without a checkout or without git.

    Two git processes run side by side. Neither writes, nor runs a program that the repository names.
    """
    checkout = find_checkout(start)
    if checkout is None:
        return None
    log = start_git(checkout, *_LOG)
    config = start_git(checkout, "config", "-z", "--list", "--includes")
    if log is None or config is None:
        return None
    return _facts(checkout, _output(log), _settings(_output(config)))


def login() -> str:
    """The name of the user that runs this process."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _output(process: subprocess.Popen[bytes]) -> str:
    out, _ = process.communicate()
    return os.fsdecode(out) if process.returncode == 0 else ""


def _settings(listing: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for item in listing.split("\0")[:-1]:
        key, _, value = item.partition("\n")
        found[key] = (*found.get(key, ()), value)
    return found


def _facts(checkout: Checkout, log: str, settings: Mapping[str, tuple[str, ...]]) -> GitFacts:
    commit, refs = _commit(log)
    branch = _branch(checkout, refs)
    url = _remote_url(settings)
    remote = parse_remote(url)
    return GitFacts(
        checkout=checkout,
        commit=commit,
        branch=branch,
        tags=_named(refs, f"tag: {_TAGS}"),
        branches=_branches(refs),
        default_branch=_default_branch(checkout, settings, branch),
        repository=remote.repository if remote else f"{login()}/{checkout.root.name}",
        remote_url=url,
        server_url=remote.server_url if remote else "https://github.com",
        actor=_actor(settings),
        email=_last(settings, "user.email") or os.environ.get("GIT_AUTHOR_EMAIL", ""),
        settings=settings,
    )


def _commit(log: str) -> tuple[Commit | None, tuple[str, ...]]:
    fields = log.rstrip("\0").split("\0")
    if len(fields) != len(_COMMIT):
        return None, ()
    sha, parents, author, email, timestamp, refs, message = fields
    commit = Commit(sha, tuple(parents.split()), author, email, timestamp, message.strip())
    return commit, tuple(refs.split(", ")) if refs else ()


def _branch(checkout: Checkout, refs: tuple[str, ...]) -> str:
    pointed = _named(refs, f"HEAD -> {_HEADS}")
    if pointed or refs:
        return pointed[0] if pointed else ""
    head = os.fsdecode((checkout.git_dir / "HEAD").read_bytes()).strip()
    return head.removeprefix(f"ref: {_HEADS}") if head.startswith(f"ref: {_HEADS}") else ""


def _branches(refs: tuple[str, ...]) -> tuple[str, ...]:
    remote = (name.partition("/")[2] for name in _named(refs, _REMOTES))
    names = (*_named(refs, _HEADS), *(name for name in remote if name != "HEAD"))
    return tuple(dict.fromkeys(names))


def _named(refs: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix))


def _remote_url(settings: Mapping[str, tuple[str, ...]]) -> str:
    urls = [
        values[0]
        for key, values in settings.items()
        if key.startswith("remote.") and key.endswith(".url")
    ]
    return _first(settings, "remote.origin.url") or (urls[0] if urls else "")


def _default_branch(
    checkout: Checkout, settings: Mapping[str, tuple[str, ...]], branch: str
) -> str:
    symbolic = checkout.common_dir / _REMOTES / "origin" / "HEAD"
    if symbolic.is_file():
        target = os.fsdecode(symbolic.read_bytes()).strip()
        return target.removeprefix(f"ref: {_REMOTES}origin/")
    candidates = (_last(settings, "init.defaultbranch"), "main", "master")
    existing = (name for name in candidates if name and _has_branch(checkout, name))
    return next(existing, branch or "main")


def _has_branch(checkout: Checkout, name: str) -> bool:
    if (checkout.common_dir / _HEADS / name).is_file():
        return True
    packed = checkout.common_dir / "packed-refs"
    return packed.is_file() and f" {_HEADS}{name}\n".encode() in packed.read_bytes()


def _actor(settings: Mapping[str, tuple[str, ...]]) -> str:
    return (
        _last(settings, "github.user")
        or _last(settings, "user.name")
        or os.environ.get("GIT_AUTHOR_NAME", "")
        or login()
    )


def _first(settings: Mapping[str, tuple[str, ...]], key: str) -> str:
    return settings.get(key, ("",))[0]


def _last(settings: Mapping[str, tuple[str, ...]], key: str) -> str:
    return settings.get(key, ("",))[-1]
