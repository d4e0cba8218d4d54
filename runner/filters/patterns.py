"""GitHub's filter patterns: for names of branches and tags, and for paths of changed files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

_QUANTIFIERS = "?+"


def chosen(patterns: Sequence[str], name: str) -> bool:
    """Whether the last pattern that matches `name` is one without `!`."""
    found = False
    for pattern in patterns:
        takes_away = pattern.startswith("!")
        if found == takes_away and matches(pattern.removeprefix("!"), name):
            found = not takes_away
    return found


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern describes all of `name`.

    All ways through the pattern are followed at once, so that none takes long, whoever wrote it.
    """
    atoms = tuple(_atoms(pattern))
    places = _free(atoms, {0})
    for letter in name:
        taking = [at for at in places if at < len(atoms) and atoms[at].takes(letter)]
        here = {at for at in taking if atoms[at].repeats}
        places = here | _free(atoms, {at + 1 for at in taking})
    return len(atoms) in places


@dataclass(frozen=True, slots=True)
class _Atom:
    """A letter of a name: one of `letters`, or else any but `/`, or with `crosses` any at all."""

    letters: frozenset[str] | None = None
    crosses: bool = False
    optional: bool = False
    repeats: bool = False
    #: Stands for whole folders, and for none together with the `/` behind it.
    folders: bool = False

    def takes(self, letter: str) -> bool:
        if self.letters is None:
            return self.crosses or letter != "/"
        return letter in self.letters


def _free(atoms: Sequence[_Atom], places: Iterable[int]) -> set[int]:
    """`places`, and those that are reached from them without a letter."""
    reached: set[int] = set()
    waiting = list(places)
    while waiting:
        at = waiting.pop()
        if at in reached:
            continue
        reached.add(at)
        if at < len(atoms) and atoms[at].optional:
            waiting.append(at + 1)
        if at < len(atoms) and atoms[at].folders:
            waiting.append(at + 2)
    return reached


def _atoms(pattern: str) -> Iterator[_Atom]:
    at = 0
    while at < len(pattern):
        atom, at = _atom(pattern, at)
        # `?` and `+` add nothing to a `*`, and nothing to each other.
        while not atom.folders and at < len(pattern) and pattern[at] in _QUANTIFIERS:
            is_optional = pattern[at] == "?"
            atom = replace(
                atom,
                optional=atom.optional or is_optional,
                repeats=atom.repeats or not is_optional,
            )
            at += 1
        yield atom


def _atom(pattern: str, at: int) -> tuple[_Atom, int]:
    """The atom that begins there, and where it ends."""
    if pattern.startswith("**", at):
        end = at + 2
        is_folder = pattern.startswith("/", end) and pattern[at - 1 : at] in ("", "/")
        return _Atom(crosses=True, optional=True, repeats=True, folders=is_folder), end
    letter = pattern[at]
    if letter == "*":
        return _Atom(optional=True, repeats=True), at + 1
    if letter == "[" and (end := pattern.find("]", at + 2)) > 0:
        return _Atom(frozenset(_letters(pattern[at + 1 : end]))), end + 1
    if letter == "\\" and at + 1 < len(pattern):
        return _Atom(frozenset(pattern[at + 1])), at + 2
    return _Atom(frozenset(letter)), at + 1


def _letters(listed: str) -> Iterator[str]:
    """`abc`, and ranges such as `0-9`."""
    at = 0
    while at < len(listed):
        first, is_range = listed[at], listed[at + 1 : at + 2] == "-" and at + 2 < len(listed)
        last = listed[at + 2] if is_range else first
        yield from map(chr, range(ord(first), ord(last) + 1))
        at += 3 if is_range else 1
