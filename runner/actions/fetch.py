"""Actions of other repositories: fetched by git once, kept by commit, usable without a network."""

import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from runner.actions.git import COMMIT, Access, Git, GitError, locked, protocols_of
from runner.actions.reference import RemoteAction
from runner.errors import EnvironmentMissingError, InvalidInputError

SERVER = "https://github.com"
#: Seconds after which a branch or tag is looked up again; a commit never changes.
FRESH = 24 * 3600.0
#: Seconds that one call of git may take.
PATIENCE = 300


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

    def fetch(self, action: RemoteAction) -> Fetched:
        """The repository of the action. Raises EnvironmentMissingError when it cannot be had, and
        InvalidInputError when it has no such ref."""
        source = self.sources.get(action.repository.lower())
        if source is not None:
            name = f"actions/{action.repository.lower()}/source"
            return Fetched(source, name, note=f"{action.repository} is the folder {source}")
        folder = self.home / "actions" / quote(self.server, safe="") / action.repository.lower()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(folder / "lock"):
            return self._kept(folder, action) or self._fetched(folder, action)

    def _kept(self, folder: Path, action: RemoteAction) -> Fetched | None:
        """What is here already, if nothing newer has to be asked for."""
        if COMMIT.fullmatch(action.ref):
            return _found(folder, action, action.ref)
        known = _ref_file(folder, action.ref)
        if not known.exists():
            return None
        if self.offline or time.time() - known.stat().st_mtime < FRESH:
            return _found(folder, action, known.read_text().strip())
        return None

    def _fetched(self, folder: Path, action: RemoteAction) -> Fetched:
        if self.offline:
            raise EnvironmentMissingError(
                f"the action `{action}` is not on this machine, and `--offline` forbids to fetch it",
                hint=f"run once without it, or use `--action-source {action.repository}=FOLDER`",
            )
        try:
            commit = self._download(folder, action)
        except (GitError, OSError) as error:
            return self._stale(folder, action, error)
        _keep_ref(_ref_file(folder, action.ref), commit)
        found = _found(folder, action, commit)
        assert found is not None
        return found

    def _stale(self, folder: Path, action: RemoteAction, error: Exception) -> Fetched:
        """The ref as it was the last time, when it cannot be asked for now."""
        text = str(error).strip().rpartition("\n")[2]
        if isinstance(error, GitError) and error.is_about_ref():
            raise InvalidInputError(
                f"`{action.repository}` has no `{action.ref}`",
                hint="a ref is a branch, a tag or a full commit id",
            ) from error
        known = _ref_file(folder, action.ref)
        found = known.exists() and _found(folder, action, known.read_text().strip())
        if not found:
            raise EnvironmentMissingError(
                f"the action `{action}` could not be fetched: {text}",
                hint="check the network and git's access to the repository, or use "
                f"`--action-source {action.repository}=FOLDER`",
            ) from error
        note = f"{action} is as it was fetched earlier ({found.commit[:12]}): {text}"
        return Fetched(found.folder, found.name, found.commit, note)

    def _download(self, folder: Path, action: RemoteAction) -> str:
        work = folder / f".{secrets.token_hex(8)}"
        try:
            tree = work / "tree"
            tree.mkdir(parents=True)
            access = Access(protocols_of(self.server))
            git = Git(tree, (f"--git-dir={work / 'git'}",), access, patience=PATIENCE)
            git.run("init", "--quiet", "--bare", "--template=")
            commit = _fetch(git, _url(self.server, action.repository), action.ref)
            target = folder / commit
            if not target.exists():
                files = ("checkout", "--quiet", "--force", commit, "--", ".")
                git.run(f"--work-tree={tree}", *files)
                tree.rename(target)
            return commit
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _fetch(git: Git, url: str, ref: str) -> str:
    """Fetch the ref and give its commit; not every server gives out a commit by its id."""
    try:
        git.run("fetch", "--quiet", "--depth=1", "--no-tags", "--", url, ref)
        return git.commit("FETCH_HEAD")
    except GitError:
        if not COMMIT.fullmatch(ref):
            raise
    git.run("fetch", "--quiet", "--", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    commit = git.commit(ref)
    if not commit:
        raise GitError(f"couldn't find remote ref {ref}")
    return commit


def _url(server: str, repository: str) -> str:
    return f"{server.rstrip('/')}/{repository}"


def _found(folder: Path, action: RemoteAction, commit: str) -> Fetched | None:
    tree = folder / commit
    if not COMMIT.fullmatch(commit) or not tree.is_dir():
        return None
    return Fetched(tree, f"actions/{action.repository.lower()}/{commit}", commit)


def _ref_file(folder: Path, ref: str) -> Path:
    return folder / "refs" / quote(ref, safe="")


def _keep_ref(file: Path, commit: str) -> None:
    file.parent.mkdir(exist_ok=True)
    fresh = file.with_name(f".{secrets.token_hex(8)}")
    fresh.write_text(f"{commit}\n")
    fresh.replace(file)
