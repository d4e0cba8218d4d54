"""What a name means among the branches, tags and commits of a repository."""

from collections.abc import Mapping
from dataclasses import dataclass

from runner.actions.git import COMMIT, Git

HEADS, TAGS, REMOTE = "refs/heads/", "refs/tags/", "refs/remotes/origin/"
_SYMBOLIC = "ref: "


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be checked out: an object, and the full name it was found by; empty for an id."""

    ref: str
    id: str

    @property
    def branch(self) -> str:
        return self.ref.removeprefix(HEADS) if self.ref.startswith(HEADS) else ""

    @property
    def tracked(self) -> str:
        """The name that a checkout has it under."""
        if self.branch:
            return REMOTE + self.branch
        if self.ref.startswith(TAGS):
            return self.ref
        return self.ref and f"refs/remotes/{self.ref.removeprefix('refs/')}"


@dataclass(frozen=True, slots=True)
class Refs:
    """Names and what they point at; `head` is the full name of the default branch."""

    ids: Mapping[str, str]
    head: str = ""

    def find(self, wanted: str) -> Target | None:
        """What a name means: a full one, else a branch, else a tag; nothing is the default branch."""
        for ref in [wanted] if wanted.startswith("refs/") else _full_names(wanted or self.head):
            if ref in self.ids:
                return Target(ref, self.ids[ref])
        if not wanted and "HEAD" in self.ids:
            return Target("", self.ids["HEAD"])
        return None


def ask(git: Git, url: str, wanted: str) -> Refs:
    """What a server has under that name. Raises GitError."""
    names = _full_names(wanted) if wanted else ("HEAD",)
    ids, head = {}, ""
    for line in git.run("ls-remote", "--quiet", "--symref", "--", url, *names).splitlines():
        found, _, name = line.partition("\t")
        if found.startswith(_SYMBOLIC):
            head = found.removeprefix(_SYMBOLIC)
        else:
            ids[name] = found
    return Refs({**ids, **({head: ids["HEAD"]} if head and "HEAD" in ids else {})}, head)


def listed(git: Git) -> Refs:
    """What a repository here has."""
    lines = git.run("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    ids = {name: found for found, _, name in (line.partition(" ") for line in lines)}
    return Refs(ids, git.run("symbolic-ref", "--quiet", "HEAD").strip())


def find_here(git: Git, wanted: str) -> Target | None:
    """What a name means in a checkout on this machine, remote branches and any commit included."""
    if COMMIT.fullmatch(wanted):
        found = git.commit(wanted)
        return Target("", found) if found else None
    names = (*_full_names(wanted), REMOTE + wanted, f"refs/remotes/{wanted}")
    for name in (wanted,) if wanted.startswith("refs/") else (names[0], *names[2:], names[1]):
        if git.commit(name):
            return Target(name, git.commit(name))
    return None


def _full_names(name: str) -> tuple[str, ...]:
    return (name,) if name.startswith("refs/") else (HEADS + name, TAGS + name)
