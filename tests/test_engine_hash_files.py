"""`hashFiles`: which files patterns select, in which order, and the hash over them in a real box."""

import hashlib
import os
from collections.abc import Iterator

import pytest

from runner.engines.box import (
    Box,
    BoxSpec,
    Finished,
    Image,
    NoStop,
    Process,
    Stop,
    Workspace,
    Write,
)
from runner.engines.docker import DockerEngine
from runner.engines.globs import parse_patterns, selects, starts, walk_order
from runner.engines.hash_files import find_files, hash_files
from runner.errors import InvalidInputError

WORKSPACE = "/github/workspace"
HOME = "/root"


def chosen(patterns: str, *paths: str) -> list[str]:
    """Those of the paths (relative to the workspace) that the patterns select."""
    parsed = parse_patterns([patterns], WORKSPACE, HOME)
    return [path for path in paths if selects(parsed, f"{WORKSPACE}/{path}")]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("a.txt", "a.txt", True),
        ("a.txt", "b/a.txt", False),
        ("a.txt", "a.txt.orig", False),
        ("A.txt", "a.txt", False),
        ("./a.txt", "a.txt", True),
        (f"{WORKSPACE}/a.txt", "a.txt", True),
        (f"{WORKSPACE}", "a/b", True),
        (".", "a/b", True),
        ("//github//workspace//a", "a", True),
        ("/a.txt", "a.txt", False),
        ("a//b", "a/b", True),
        # a folder stands for all that is in it
        ("src", "src/a/b.c", True),
        ("src/", "src/a/b.c", True),
        ("src", "srcs/a", False),
        ("*", "a/b/c", True),
        ("s*", "src/a", True),
        # wildcards stay in a segment, and see hidden files
        ("*.txt", "a.txt", True),
        ("*.txt", ".txt", True),
        ("*.txt", "a/b.txt", False),
        ("*", ".hidden", True),
        ("a/*/c", "a/b/c", True),
        ("a/*/c", "a/b/b/c", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?c", "a/c", False),
        ("a**c", "abbc", True),
        ("a**c", "a/c", False),
        # whole segments
        ("**", "a", True),
        ("**", "a/.b/c", True),
        ("**/c", "c", True),
        ("**/c", "a/b/c", True),
        ("**/c", "a/b/cc", False),
        ("a/**", "a/b/c", True),
        ("a/**", "ab", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("a/**/**/c", "a/b/c", True),
        ("**/a/**/b", "x/a/y/z/b", True),
        ("**/a/**/b", "x/b/y/z/a", False),
        # sets
        ("[ab].c", "a.c", True),
        ("[ab].c", "c.c", False),
        ("[a-c]x", "bx", True),
        ("[a-c]x", "dx", False),
        ("[!a]x", "bx", True),
        ("[!a]x", "ax", False),
        ("[^a-c]x", "dx", True),
        ("[^a-c]x", "bx", False),
        ("a[!x]b", "a/b", False),
        ("a[+-9]b", "a/b", False),
        ("a[+-9]b", "a5b", True),
        ("[]]x", "]x", True),
        ("[-a]x", "-x", True),
        ("[a-]x", "-x", True),
        (r"[\]a]x", "]x", True),
        (r"[a\-c]x", "bx", False),
        (r"[a\-c]x", "-x", True),
        ("[[&&~~||-]x", "[x", True),
        ("[[&&~~||-]x", "-x", True),
        ("[!]x", "ax", True),
        # what is no set is plain text
        ("[ab", "[ab", True),
        ("[z-a]", "[z-a]", True),
        ("[]", "[]", True),
        # nothing else is special
        (r"\*", "*", True),
        (r"\*", "a", False),
        (r"a\[b]", "a[b]", True),
        ("{a,b}", "{a,b}", True),
        ("{a,b}", "a", False),
        ("+(a)", "+(a)", True),
        ("a.c", "abc", False),
        ("a(b)$", "a(b)$", True),
        ("\u00e9*", "\u00e9t\u00e9", True),
    ],
)
def test_pattern(pattern: str, path: str, matches: bool) -> None:
    assert chosen(pattern, path) == ([path] if matches else [])


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ("src\n!src/gen", "src/a"),
        ("!src/gen\nsrc", "src/a src/gen/b src/gen/keep"),
        ("src\n!src/gen\nsrc/gen/keep", "src/a src/gen/keep"),
        ("**\n!**/b\n! other", "src/a src/gen/keep #x"),
        ("!!src/a", "src/a"),
        ("!! src/a", "src/a"),
        ("!!!src/a\nother", "other"),
        ("# src\n\n  other  ", "other"),
        (r"\#x", "#x"),
        ("!src", ""),
        ("", ""),
    ],
)
def test_later_patterns_win(patterns: str, selected: str) -> None:
    paths = ("src/a", "src/gen/b", "src/gen/keep", "other", "#x")
    assert chosen(patterns, *paths) == selected.split()


@pytest.mark.parametrize("pattern", ["../a", "a/../b", "a/./b", "..", "~/..", "!", "! "])
def test_a_pattern_that_leaves_its_place_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInputError, match="pattern"):
        parse_patterns([pattern], WORKSPACE, HOME)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["b", "a"], ["/w/b", "/w/a"]),
        (["a", "a"], ["/w/a"]),
        (["a/b", "a"], ["/w/a"]),
        (["a/*/c", "a/d"], ["/w/a"]),
        (["ab", "a"], ["/w/ab", "/w/a"]),
        (["**/x", "a"], ["/w"]),
        (["/**", "a"], ["/w"]),
        (["/w*"], ["/w"]),
        (["~/x", "/etc", "/work"], []),
        (["!a"], []),
        ([r"a\*b/*"], ["/w/a*b"]),
    ],
)
def test_where_a_search_starts(patterns: list[str], found: list[str]) -> None:
    assert starts(parse_patterns(patterns, "/w", HOME), "/w") == found


def test_a_walk_goes_deep_before_it_goes_on() -> None:
    paths = ["/\udcff", "/a.txt", "/\u00e9", "/a-b", "/a/z"]
    assert sorted(paths, key=walk_order) == ["/a/z", "/a-b", "/a.txt", "/\u00e9", "/\udcff"]


# -- in a real box

IMAGES = ("pipe-test/busybox:1", "pipe-test/debian:12", "pipe-test/nonroot:1")

FILES = {
    "package-lock.json": "root",
    "app/package-lock.json": "app",
    "app-b/package-lock.json": "b",
    "app/src/new\nline": "n",
    "app/src/back\\slash": "s",
    "app/src/with 'quotes' \"": "q",
    "app/src/\u00e9.txt": "e",
    "app/src/-n": "dash",
    "app/.hidden": "",
    "z/a.txt": "x" * 100_000,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    engine = DockerEngine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.finish()


@pytest.fixture(scope="module", params=IMAGES)
def box(
    request: pytest.FixtureRequest, engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Box]:
    tree = tmp_path_factory.mktemp("tree")
    tree.chmod(0o755)
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "app/link.txt").symlink_to("../z/a.txt")
    (tree / "app/broken").symlink_to("nowhere")
    (tree / "linked").symlink_to("app/src")
    (tree / "app/src/up").symlink_to("../..")
    os.mkfifo(tree / "z/pipe")
    (tree / "z/empty").mkdir()
    spec = BoxSpec(
        run=1,
        job="build",
        attempt=1,
        project="test",
        image=Image(str(request.param), "never"),
        workspace=Workspace(layers=(tree,), open_layers=lambda: (tree,)),
        env={"HOME": WORKSPACE + "/app"},
    )
    box = engine.open(spec, lambda *_: None)
    yield box
    box.close("success")


def hash_of(*texts: str) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def in_order(*names: str) -> str:
    return hash_of(*(FILES[name] for name in names))


@pytest.mark.docker
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["package-lock.json"], in_order("package-lock.json")),
        (
            ["**/package-lock.json"],
            in_order("app/package-lock.json", "app-b/package-lock.json", "package-lock.json"),
        ),
        (
            ["package-lock.json", "app/package-lock.json"],
            in_order("package-lock.json", "app/package-lock.json"),
        ),
        (["package-lock.json\napp-b"], in_order("package-lock.json", "app-b/package-lock.json")),
        (
            ["app/src"],
            in_order(*sorted(name for name in FILES if name.startswith("app/src/"))),
        ),
        (["app", "!app/src", "!app/link.txt"], in_order("app/.hidden", "app/package-lock.json")),
        (["~/package-lock.json"], in_order("app/package-lock.json")),
        ([f"{WORKSPACE}/z"], in_order("z/a.txt")),
        (["z/**", "/etc/passwd"], in_order("z/a.txt")),
        # a link to a file counts, one to a folder does not, unless the pattern goes through it
        (["app/link.txt"], in_order("z/a.txt")),
        (["linked"], ""),
        (["linked/-n"], in_order("app/src/-n")),
        (["nothing", "z/empty", "z/pipe", "app/broken"], ""),
        (["!**"], ""),
        ([], ""),
        # links to folders are followed, but never in a circle
        (
            ["--follow-symbolic-links", "**/-n"],
            in_order("app/src/-n", "app/src/-n"),
        ),
        (["--FOLLOW-symbolic-links", "linked/*.txt"], in_order("app/src/\u00e9.txt")),
    ],
)
def test_hash(box: Box, patterns: list[str], expected: str) -> None:
    assert hash_files(box, WORKSPACE, patterns) == expected


@pytest.mark.docker
def test_links_are_followed_until_they_lead_back(box: Box) -> None:
    found = find_files(
        box, WORKSPACE, ["app/src/**/-n", "app/src/**/z/*.txt"], NoStop(), follow=True
    )
    inside = [path.removeprefix(WORKSPACE) for path in found]
    assert inside == ["/app/src/-n", "/app/src/up/z/a.txt"]


@pytest.mark.docker
def test_an_unknown_option_is_refused(box: Box) -> None:
    with pytest.raises(InvalidInputError, match="no option `--follow`"):
        hash_files(box, WORKSPACE, ["--follow", "**"])


class BrokenBox:
    """A box in which every process ends in the same way."""

    def __init__(self, finished: Finished) -> None:
        self.finished = finished

    def new_folder(self) -> str:
        return "/folder"

    def run(self, process: Process, write: Write, stop: Stop) -> Finished:
        return self.finished


@pytest.mark.parametrize(
    ("finished", "told"),
    [
        (Finished(137, reason="timeout"), "took longer than 120 s"),
        (Finished(127, {"errors": b"sh: find: not found\n"}), "does not have: sh: find: not found"),
        (Finished(1, {"errors": b"cat: x:\n denied"}), "could not read the files: cat: x: denied"),
    ],
)
def test_what_goes_wrong_in_the_box_is_told(finished: Finished, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        hash_files(BrokenBox(finished), WORKSPACE, ["a"])
