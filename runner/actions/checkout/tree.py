"""A working tree on this machine, made by git in a folder of its own, for a box to get a copy."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.actions.checkout.wanted import Wanted
from runner.actions.git import Access, Check, Git, GitError
from runner.actions.refs import HEADS, REMOTE, TAGS, Target
from runner.actions.repositories import Found
from runner.errors import EnvironmentMissingError

#: The copies in a box have other inodes than the files that the index was made from.
_CHECKS = (("core.checkStat", "minimal"), ("core.trustctime", "false"))
_ALTERNATES = "objects/info/alternates"


@dataclass(frozen=True, slots=True)
class Tree:
    """The folder, and git in it. Methods raise GitError."""

    folder: Path
    git: Git

    @property
    def dot_git(self) -> Path:
        return self.folder / ".git"

    @classmethod
    def start(cls, folder: Path, check: Check) -> "Tree":
        """An empty one; filters that the user has configured are programs, and stay out of it."""
        folder.mkdir()
        folder.chmod(0o755)
        git = Git(folder, check=check)
        unwanted = tuple(_without_filters(git))
        return cls(folder, replace(git, access=Access(("file",), unwanted)))

    def reaching(self, access: Access) -> "Tree":
        """The same, with a git that may use the network."""
        settings = (*self.git.access.settings, *access.settings)
        return replace(self, git=replace(self.git, access=replace(access, settings=settings)))

    # -- its .git

    def borrow(self, dot_git: Path, objects: Sequence[Path]) -> None:
        """Begin with the `.git` of the run's own source, and with its objects where they are."""
        shutil.copytree(dot_git, self.dot_git)
        self.lend([str(folder) for folder in objects])

    def lend(self, objects: Sequence[str]) -> None:
        """Let the objects be found where they are in a box."""
        if (self.dot_git / _ALTERNATES).exists():
            (self.dot_git / _ALTERNATES).write_text("".join(f"{path}\n" for path in objects))

    def fetch(self, found: Found, wanted: Wanted) -> None:
        """Begin with what was found, as far back as it is wanted."""
        kind = "sha256" if len(found.target.id) == 64 else "sha1"
        self.git.run("init", "--quiet", "--template=", f"--object-format={kind}")
        for key, value in _CHECKS:
            self.git.run("config", key, value)
        # What is filtered out comes from here for as long as git works here.
        self.git.run("remote", "add", "origin", found.url)
        limits = [f"--depth={wanted.depth}"] if wanted.depth else []
        limits += [f"--filter={wanted.filter}"] if wanted.filter else []
        self.git.run(
            "fetch", "--quiet", "--no-tags", *limits, "origin", *_wanted_refs(found, wanted)
        )

    def name_origin(self, url: str) -> None:
        self.git.run("remote", "set-url", "origin", url)

    # -- its files

    def check_out(self, target: Target, wanted: Wanted) -> str:
        """Have exactly the target's files, HEAD as the action leaves it; gives the commit."""
        for index in self.dot_git.glob("*index*"):
            index.unlink()
        if wanted.sparse:
            self.narrow(wanted)
        # A branch of this machine is what it is here, not what the server had.
        begin = target.ref if target.ref and self.git.commit(target.ref) else target.tracked
        branch = _branch(target)
        head = ["-B", branch] if branch else ["--detach"]
        self.git.run("checkout", "--quiet", "--force", *head, begin or target.id, "--")
        return self.git.commit("HEAD")

    def narrow(self, wanted: Wanted) -> None:
        """Have only the files that are wanted."""
        cone = "--cone" if wanted.cone else "--no-cone"
        patterns = "\n".join((*wanted.sparse, "")).encode()
        self.git.run("sparse-checkout", "set", cone, "--stdin", given=patterns)

    def left_out(self) -> list[str]:
        """The files that are in the index, and not to be there."""
        entries = self.git.run("ls-files", "-z", "-t").split("\0")
        return [entry[2:] for entry in entries if entry.startswith("S ")]

    def tracked(self) -> list[str]:
        return self.git.run("ls-files", "-z").split("\0")[:-1]

    def submodules(self) -> list[str]:
        """Where the index has submodules."""
        entries = self.git.run("ls-files", "-z", "--stage").split("\0")
        return [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]

    def fetch_submodules(self, access: Access, wanted: Wanted, paths: Sequence[str] = ()) -> None:
        """Those at `paths`, or all of them."""
        git = self.reaching(access).git
        deep = ["--recursive"] if wanted.recursive else []
        depth = [f"--depth={wanted.depth}"] if wanted.depth else []
        git.run("submodule", "--quiet", "sync", *deep)
        git.run("submodule", "--quiet", "update", "--init", "--force", *depth, *deep, "--", *paths)

    def fetch_large_files(self, access: Access) -> None:
        """Replace the pointers of git-lfs. Raises EnvironmentMissingError without it."""
        git = replace(self.git, access=access)
        if not git.succeeds("lfs", "version"):
            raise EnvironmentMissingError(
                "`lfs: true` needs git-lfs, which is not on this machine",
                hint="install git-lfs, or leave `lfs` out: its files are then pointers",
            )
        git.run("lfs", "install", "--local", "--skip-repo")
        git.run("lfs", "pull")


def _wanted_refs(found: Found, wanted: Wanted) -> list[str]:
    target = found.target
    own = f"+{target.id}:{target.tracked}" if target.tracked else target.id
    if wanted.depth:
        return [own, *([f"+{TAGS}*:{TAGS}*"] if wanted.tags else [])]
    everything = [f"+{HEADS}*:{REMOTE}*", f"+{TAGS}*:{TAGS}*"]
    return everything if target.ref.startswith((HEADS, TAGS)) else [*everything, own]


def _branch(target: Target) -> str:
    return target.ref.removeprefix(REMOTE) if target.ref.startswith(REMOTE) else target.branch


def _without_filters(git: Git) -> Iterator[tuple[str, str]]:
    try:
        keys = git.run("config", "--name-only", "--get-regexp", r"^filter\..*\.").split()
    except GitError:
        return
    for driver in {key.rpartition(".")[0] for key in keys}:
        yield from ((f"{driver}.{part}", "") for part in ("smudge", "clean", "process"))
        yield f"{driver}.required", "false"
