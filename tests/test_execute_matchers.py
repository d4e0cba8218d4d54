"""Problem matchers: what their files may say, and what they find in output cut anywhere."""

import json
from typing import Any

import pytest

from runner.errors import InvalidInputError
from runner.execute.matchers import (
    LONGEST_LINE,
    MOST_MATCHERS,
    Matchers,
    Watch,
    level_of,
    owners_in,
    place_of,
)

GCC = {"regexp": r"^(.+):(\d+):(\d+): (\w+): (.+)$", "file": 1, "line": 2, "column": 3}
SINGLE = [{**GCC, "severity": 4, "message": 5}]
LINES = [
    {"regexp": r"^(\S+\.js)$", "file": 1},
    {"regexp": r"^ +(\d+) (.+)$", "line": 1, "message": 2, "loop": True},
]


def file(*matchers: dict[str, Any]) -> bytes:
    return json.dumps({"problemMatcher": list(matchers)}).encode()


def found(output: bytes, *matchers: dict[str, Any], size: int = 1 << 20) -> list[dict[str, str]]:
    """What the matchers find in an output that comes in pieces of `size` bytes."""
    active = Matchers()
    active.add(file(*matchers), "m.json")
    issues: list[dict[str, str]] = []
    watch = Watch(active, lambda issue: issues.append(dict(issue)))
    for start in range(0, len(output), size):
        watch.feed(output[start : start + size])
    watch.finish()
    return issues


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_is_found_wherever_the_output_is_cut(size: int) -> None:
    output = b"make\na.c:1:2: \x1b[31merror\x1b[0m: bad\r\nb.c:3:4: note: last"
    assert found(output, {"owner": "gcc", "pattern": SINGLE}, size=size) == [
        {"file": "a.c", "line": "1", "column": "2", "severity": "error", "message": "bad"},
        {"file": "b.c", "line": "3", "column": "4", "severity": "note", "message": "last"},
    ]


def test_lines_that_follow_each_other_are_one_problem() -> None:
    output = b"a.js\n 1 one\n 2 two\nnothing\n 3 of no file\nb.js\nc.js\n 4 four\n"
    issues = found(output, {"owner": "js", "severity": "warning", "pattern": LINES})
    assert [(issue["file"], issue["message"]) for issue in issues] == [
        ("a.js", "one"),
        ("a.js", "two"),
        ("c.js", "four"),
    ]
    assert {issue["severity"] for issue in issues} == {"warning"}


def test_the_newest_matcher_has_a_line_first() -> None:
    active = Matchers()
    issues: list[str] = []
    watch = Watch(active, lambda issue: issues.append(issue["message"]))
    for owner, prefix in (("a", "(x)"), ("b", "(x.*)")):
        active.add(file({"owner": owner, "pattern": [{"regexp": prefix, "message": 1}]}), "m")
    watch.feed(b"xyz\n")
    active.remove("B")
    watch.feed(b"xyz\n")
    active.add(file({"owner": "A", "pattern": [{"regexp": "(y)", "message": 1}]}), "m")
    watch.feed(b"xyz\n")
    assert issues == ["xyz", "x", "y"]


def test_an_expression_that_never_ends_does_not_hold_up_the_output() -> None:
    evil = {"owner": "evil", "pattern": [{"regexp": r"^(a+)+$", "message": 1}]}
    assert found(b"a" * 5000 + b"!\naaa\n", evil) == [{"severity": "error", "message": "aaa"}]


def test_a_line_that_is_too_long_is_not_looked_at() -> None:
    fits, too_long = b"x" * LONGEST_LINE, b"x" * (LONGEST_LINE + 1)
    every = {"owner": "x", "pattern": [{"regexp": "^(x)x+$", "message": 1}]}
    assert len(found(fits + b"\n" + too_long + b"\nxx\n", every, size=1000)) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "is not JSON"),
        (b"[]", "has no list `problemMatcher`"),
        (b'{"problemMatcher": [{}]}', "needs an `owner`"),
        (file({"owner": "x"}), "has no list `pattern`"),
        (file({"owner": "x", "pattern": [{}]}), "needs a `regexp`"),
        (file({"owner": "x", "pattern": [{"regexp": "("}]}), "is no expression"),
        (file({"owner": "x", "pattern": [{"regexp": "x", "message": 1}]}), "not the number"),
        (file({"owner": "x", "pattern": [{"regexp": "x"}]}), "needs a `message`"),
        (
            file({"owner": "x", "pattern": [{"regexp": "(x)", "message": 1, "loop": True}]}),
            "can `loop`",
        ),
    ],
)
def test_what_is_no_matcher_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        Matchers().add(text, "m.json")


def test_there_are_not_too_many() -> None:
    active = Matchers()
    pattern = [{"regexp": "(x)", "message": 1}]
    active.add(file(*({"owner": str(n), "pattern": pattern} for n in range(MOST_MATCHERS))), "m")
    with pytest.raises(InvalidInputError, match="more than"):
        active.add(file({"owner": "more", "pattern": pattern}), "m")


def test_owners_are_read_from_a_file() -> None:
    assert owners_in(b"\xef\xbb\xbf" + file({"owner": "gcc", "pattern": SINGLE}), "m") == ["gcc"]


@pytest.mark.parametrize(
    ("severity", "level"), [("Error", "error"), ("warning", "warning"), ("note", None)]
)
def test_a_severity_is_a_level_or_nothing(severity: str, level: str | None) -> None:
    assert level_of({"severity": severity}) == level


@pytest.mark.parametrize(
    ("issue", "file"),
    [
        ({"file": "src/a.c"}, "src/a.c"),
        ({"file": "/w/src/a.c"}, "src/a.c"),
        ({"file": "/elsewhere/a.c"}, "/elsewhere/a.c"),
        ({"file": "a.cs", "fromPath": "/w/app/app.csproj"}, "app/a.cs"),
        ({}, ""),
    ],
)
def test_files_are_named_from_the_workspace_on(issue: dict[str, str], file: str) -> None:
    assert place_of(issue, "/w")["file"] == file
