"""Repositories that were fetched for a checkout: kept in PIPE_HOME, usable without a network."""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from runner.actions.git import (
    COMMIT,
    LOCAL,
    Access,
    Check,
    Git,
    GitError,
    locked,
    unhurried,
)
from runner.actions.refs import HEADS, TAGS, Refs, Target, ask, listed
from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.project.remote import without_credentials

#: Where a commit is kept that was asked for by its id.
COMMITS = "refs/commits/"
_FETCH = ("fetch", "--quiet", "--no-tags")
_EVERYTHING = (f"+{HEADS}*:{HEADS}*", f"+{TAGS}*:{TAGS}*")


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of a repository: `depth` is 0 for its whole history; `name` is for the user."""

    name: str
    url: str
    ref: str = ""
    depth: int = 1
    tags: bool = False
    access: Access = LOCAL


@dataclass(frozen=True, slots=True)
class Found:
    """Where a request can be fetched from on this machine; `note` is what to tell the user."""

    url: str
    target: Target
    note: str = ""


@dataclass(frozen=True, slots=True)
class Repositories:
    """A bare repository for each that was fetched, one for each depth: a shallow one that is
    fetched from at another depth would lose history."""

    home: Path
    offline: bool = False
    check: Check = unhurried

    def find(self, request: Request) -> Found:
        """Have what is wanted on this machine, as new as the server has it.

        Raises EnvironmentMissingError when it cannot be had, and InvalidInputError when there is
        no such ref or repository.
        """
        folder = self.home / "repositories" / _folder_name(request)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(folder / "lock", self.check):
            return self._kept_commit(folder, request) or self._newest(folder, request)

    def look(self, request: Request) -> Found:
        """As `find`, in a repository that lies on this machine anyway."""
        git = Git(self.home, access=request.access, check=self.check)
        try:
            return Found(request.url, _target(git, request))
        except GitError as error:
            raise _unavailable(request, error) from error

    def _kept_commit(self, folder: Path, request: Request) -> Found | None:
        git = self._git(folder, request)
        if not COMMIT.fullmatch(request.ref) or not _is_made(folder):
            return None
        if not git.commit(request.ref):
            return None
        # In a shallow repository another commit may be there without what leads to it.
        is_whole = request.depth == 0 or git.run("for-each-ref", f"--points-at={request.ref}")
        return self._found(folder, Target("", request.ref)) if is_whole else None

    def _newest(self, folder: Path, request: Request) -> Found:
        if self.offline:
            return self._as_it_was(folder, request, None)
        git = self._git(folder, request)
        try:
            target = _target(git, request)
            self._make(folder, target)
            target = _fetched(git, request, target)
        except GitError as error:
            if error.is_refusal() or error.is_about_ref():
                raise _unavailable(request, error) from error
            return self._as_it_was(folder, request, error)
        return self._found(folder, target)

    def _as_it_was(self, folder: Path, request: Request, error: GitError | None) -> Found:
        """The ref as it was the last time, when it cannot be asked for now."""
        refs = listed(self._git(folder, request)) if _is_made(folder) else Refs({})
        target = refs.find(request.ref)
        if target is None and error is None:
            what = f"`ref: {request.ref}`" if request.ref else "the default branch"
            raise EnvironmentMissingError(
                f"{what} of `{request.name}`, with `fetch-depth: {request.depth}`, is not on this "
                "machine, and `--offline` forbids to fetch it",
                hint="run once without `--offline`",
            )
        if target is None:
            assert error is not None
            raise _unavailable(request, error) from error
        why = error.reason if error else "--offline"
        note = f"{request.name} is as it was fetched earlier ({target.id[:12]}): {why}"
        return Found(folder.joinpath("git").as_uri(), target, note)

    def _found(self, folder: Path, target: Target) -> Found:
        return Found(folder.joinpath("git").as_uri(), target)

    def _git(self, folder: Path, request: Request) -> Git:
        options = (f"--git-dir={folder / 'git'}",)
        return Git(folder, options, access=request.access, check=self.check)

    def _make(self, folder: Path, target: Target) -> None:
        if _is_made(folder):
            return
        fresh = folder / "new"
        shutil.rmtree(fresh, ignore_errors=True)
        git = Git(folder, (f"--git-dir={fresh}",))
        kind = "sha256" if len(target.id) == 64 else "sha1"
        # Its default branch is known only when it was asked for.
        how = (f"--object-format={kind}", "--initial-branch=not-asked-for")
        git.run("init", "--quiet", "--bare", "--template=", *how)
        git.run("config", "uploadpack.allowAnySHA1InWant", "true")
        git.run("config", "uploadpack.allowFilter", "true")
        fresh.rename(folder / "git")


def _target(git: Git, request: Request) -> Target:
    """What the server has under the name now."""
    if COMMIT.fullmatch(request.ref):
        return Target("", request.ref)
    refs = ask(git, request.url, request.ref)
    target = refs.find(request.ref)
    if target is None:
        raise GitError(f"couldn't find remote ref {request.ref or 'HEAD'}")
    return target


def _fetched(git: Git, request: Request, target: Target) -> Target:
    """Have it in the kept repository, which gives it to checkouts."""
    if not request.ref and target.ref:
        git.run("symbolic-ref", "HEAD", target.ref)
    if request.depth == 0:
        git.run(*_FETCH, "--prune", "--", request.url, *_EVERYTHING)
    if request.depth or not _has(git, target):
        _fetch_target(git, request, target)
    # It may have moved since the server was asked.
    return Target(target.ref, git.run("rev-parse", target.ref).strip()) if target.ref else target


def _has(git: Git, target: Target) -> bool:
    return bool(git.commit(target.ref or target.id))


def _fetch_target(git: Git, request: Request, target: Target) -> None:
    if not request.tags and listed(git).ids.get(target.ref) == target.id:
        return
    name = target.ref or f"{COMMITS}{target.id}"
    wanted = [f"+{target.ref or target.id}:{name}", *(_EVERYTHING[1:] if request.tags else ())]
    depth = [f"--depth={request.depth}"] if request.depth else []
    try:
        git.run(*_FETCH, *depth, "--", request.url, *wanted)
    except GitError as error:
        if target.ref or not error.is_about_ref() or not request.depth:
            raise
        _fetch_everything_for(git, request, target)


def _fetch_everything_for(git: Git, request: Request, target: Target) -> None:
    """Not every server gives out a commit by its id."""
    git.run(*_FETCH, "--", request.url, *_EVERYTHING)
    if not git.commit(target.id):
        raise GitError(f"couldn't find remote ref {target.id}")
    git.run("update-ref", f"{COMMITS}{target.id}", target.id)


def _unavailable(request: Request, error: GitError) -> EnvironmentMissingError | InvalidInputError:
    """What went wrong, by the name of the input that has to do with it."""
    if error.is_about_ref():
        return InvalidInputError(
            f"`ref: {request.ref}`: `{request.name}` has no such branch, tag or commit",
            hint="a commit is named by its full id",
        )
    if error.is_refusal():
        return EnvironmentMissingError(
            f"`{request.name}` was refused by its server: {error.reason}",
            hint="the repository may not exist, or needs `token` or `ssh-key`",
        )
    if error.is_about_repository():
        return InvalidInputError(
            f"`repository: {request.name}`: there is no such repository: {error.reason}"
        )
    return EnvironmentMissingError(
        f"`{request.name}` could not be fetched: {error.reason}",
        hint="check the network and git's access to the repository, or use "
        f"`--action-source {request.name}=FOLDER`",
    )


def _is_made(folder: Path) -> bool:
    return (folder / "git" / "HEAD").is_file()


def _folder_name(request: Request) -> str:
    url = without_credentials(request.url)
    word = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.name).strip("-.")
    depth = str(request.depth or "all")
    return f"{word[:80]}-{hashlib.sha256(url.encode()).hexdigest()[:12]}-{depth}"
