"""Masking in every spelling and however output is cut; files and options that give secrets."""

import json
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import InvalidInputError
from runner.events import (
    Annotation,
    Event,
    JobFinished,
    OutputWritten,
    StepStarted,
    SummaryWritten,
)
from runner.secrets import MaskedStream, Masker, masking, parse_assignment, read_secret_file

PEM = "-----BEGIN KEY-----\nMIIB/+ab=\n  x\n}\n-----END KEY-----\n"


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        (["key"], "", ""),
        (["key"], "a key, a monkey", "a ***, a mon***"),
        (["key"], "KEY", "KEY"),
        (["", " \n"], "a \n b", "a \n b"),
        (["x"], "xyx", "***y***"),
        (["key\n"], "key!", "***!"),
        ([" key "], "a key b", "a *** b"),
        (["abc", "cde"], "abcde", "***"),
        (["abc", "def"], "abcdef abc def", "*** *** ***"),
        (["aba"], "ababa b", "*** b"),
        (["aa"], "a aa aaa aaaaa", "a *** *** ***"),
        (["pass", "pass-word"], "pass-word pass", "*** ***"),
        (["pass-word", "pass", "ss-word-1"], "pass-word-1", "***"),
        (["a\nb"], "a b a\nb", "a b ***"),
        (["one\r\ntwo\rthree"], "one two three", "*** *** ***"),
        ([PEM], "  MIIB/+ab=\n}\n", "  ***\n}\n"),
        ([PEM], PEM, "***\n"),
        (["ä€"], "xä€x", "x***x"),
        (["a\udcffb"], "a\udcffb", "***"),
        (["\ud800key"], "x \ud800key", "x ***"),
        (["key"], "\ud800 ", "\ud800 "),
    ],
)
def test_masked_text(secrets: list[str], text: str, masked: str) -> None:
    masker = Masker(secrets)
    assert masker.mask_text(text) == masked
    assert masker.holds_secret(text) == (text != masked)


def test_bytes_that_are_not_utf8_are_masked_and_kept() -> None:
    assert Masker(["a\udcffb"]).mask(b"\xfe\x00a\xffb\xfe") == b"\xfe\x00***\xfe"


def test_what_holds_no_secret_comes_back_itself() -> None:
    data, text = b"nothing in here", "nothing in here"
    assert Masker(["key"]).mask(data) is data
    assert Masker().mask(data) is data
    assert Masker(["key"]).mask_text(text) is text


@pytest.mark.parametrize(
    "secret", ["hunter2!", "p&ss<w>rd/+ %", 'quo"te\\d', "zwei\nZeilen", "ü€😀x", PEM, "a/b?c=d~e"]
)
@pytest.mark.parametrize(
    "spell",
    [
        quote,
        quote_plus,
        lambda text: quote(text, safe=""),
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        lambda text: json.dumps(text)[1:-1].translate(
            {38: r"\u0026", 60: r"\u003c", 62: r"\u003e"}
        ),
        lambda text: b64encode(text.encode()).decode(),
        lambda text: urlsafe_b64encode(text.encode()).decode(),
        lambda text: b64encode(text.encode()).decode().rstrip("="),
    ],
)
def test_spellings(secret: str, spell: Callable[[str], str]) -> None:
    secret = secret.strip()
    assert Masker([secret]).mask_text(f"({spell(secret)})") == "(***)"


@given(st.binary(max_size=4), st.binary(max_size=4), st.text("ab/+?ü~", min_size=6))
def test_base64_of_a_text_around_the_secret(before: bytes, after: bytes, secret: str) -> None:
    for encode in (b64encode, urlsafe_b64encode):
        encoded = encode(before + secret.encode() + after)
        masked = Masker([secret]).mask(encoded)
        assert masked.count(b"***") == 1
        left, _, right = masked.partition(b"***")
        # The characters that also depend on the neighbours are all that remains.
        assert len(left) <= ceil(len(before) * 4 / 3)
        assert len(right.rstrip(b"=")) <= ceil(len(after) * 4 / 3) + bool(after)


def test_short_pieces_of_base64_hide_nothing_else() -> None:
    assert Masker(["12"]).mask(b"MT MTI E EyMg") == b"MT MTI E EyMg"


@pytest.mark.parametrize(
    ("data", "held"),
    [
        (b"", 0),
        (b"!", 0),
        (b"! s", 1),
        (b"! secre", 5),
        (b"secret", 0),
        (b"secretse", 2),
        (b"sesec", 3),
        (b"long-lo", 7),
        (b"long-long-lo", 7),
        (b"long-long-secret-in-lines\nlong-lon", 8),
    ],
)
def test_hold(data: bytes, held: int) -> None:
    assert Masker(["secret", "long-long-secret"]).hold(data) == held


SECRETS = st.lists(st.text("ab", min_size=1, max_size=8), max_size=4)
ENCODED = st.text("ab", max_size=6).map(lambda text: b64encode(text.encode()))
OUTPUT = st.lists(
    st.text("ab", max_size=12).map(str.encode) | st.sampled_from([b" ", b"\n", b"x"]) | ENCODED
).map(b"".join)


@given(SECRETS, OUTPUT, st.lists(st.integers(0, 1000), max_size=30))
def test_cuts_make_no_difference(secrets: list[str], output: bytes, places: list[int]) -> None:
    masker = Masker(secrets)
    bounds = [0, *sorted(place % (len(output) + 1) for place in places), len(output)]
    stream = MaskedStream(masker)
    pieces = [stream.feed(output[start:end]) for start, end in pairwise(bounds)]
    masked = b"".join([*pieces, stream.finish()])
    assert masked == masker.mask(output)
    assert not any(secret.encode() in masked for secret in secrets)


@given(SECRETS, st.text("ab ", max_size=40))
def test_every_byte_of_a_match_is_masked_and_no_other(secrets: list[str], text: str) -> None:
    inside = [
        any(text.startswith(secret, start) for secret in secrets for start in range(at + 1)
            if start + len(secret) > at)
        for at in range(len(text))
    ]  # fmt: skip
    expected = "".join(
        character if not hit else "***" if not (at and inside[at - 1]) else ""
        for at, (character, hit) in enumerate(zip(text, inside, strict=True))
    )
    assert Masker(secrets).mask_text(text) == expected


def test_a_stream_keeps_no_more_than_a_secret() -> None:
    stream = MaskedStream(Masker(["aaaa"]))
    written = [stream.feed(b"a" * 1000) for _ in range(100)]
    assert written == [b"***", *[b""] * 99]
    assert stream.finish() == b""
    assert stream.feed(b"b") == b"b"


def test_threads_share_a_masker() -> None:
    masker = Masker()
    secrets = [f"secret-{number}-{kind}" for number in range(50) for kind in "abcd"]
    threads = [
        threading.Thread(target=lambda part: [*map(masker.add, part)], args=(secrets[start::4],))
        for start in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert masker.mask_text(" ".join(secrets)) == " ".join(["***"] * len(secrets))


STEP: dict[str, Any] = {"run": 1, "time": 2.0, "job": "key", "step": 1}


@pytest.mark.parametrize(
    ("event", "masked"),
    [
        (
            Annotation(**STEP, level="error", message="a key", title="key", file="key.c", line=3),
            Annotation(**STEP, level="error", message="a ***", title="***", file="***.c", line=3),
        ),
        (
            JobFinished(
                run=1, time=2.0, job="key", name="key", result="failure",
                outputs={"key": "a key", "b": "c"},
            ),
            JobFinished(
                run=1, time=2.0, job="key", name="***", result="failure",
                outputs={"key": "a ***", "b": "c"},
            ),
        ),
        (SummaryWritten(**STEP, text="# key"), SummaryWritten(**STEP, text="# ***")),
        (StepStarted(**STEP, id="key", name="use key"), StepStarted(**STEP, id="key", name="use ***")),
    ],
)  # fmt: skip
def test_masked_events(event: Event, masked: Event) -> None:
    seen: list[Event] = []
    masking(seen.append, Masker(["key", "failure", "error"]))(event)
    assert seen == [masked]


def test_an_event_without_secrets_is_passed_on_itself() -> None:
    seen: list[Event] = []
    events = [
        OutputWritten(**STEP, offset=0, length=9),
        JobFinished(run=1, time=2.0, job="a", name="a", result="success", outputs={"b": "c"}),
    ]
    for event in events:
        masking(seen.append, Masker(["key"]))(event)
    assert [id(event) for event in seen] == [id(event) for event in events]


@pytest.mark.parametrize(
    ("content", "secrets"),
    [
        (b"", {}),
        (b"\n # note\n", {}),
        (b"A=1\nB_2 = two words \n_c=", {"A": "1", "B_2": "two words", "_c": ""}),
        (b"\xef\xbb\xbfexport A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"A=x=y#z 'q' \"\nB=#x\nC=x # note\nD= # note", {"A": "x=y#z 'q' \"", "B": "#x", "C": "x", "D": ""}),
        (b"A=\"x # y\" # note\nB='x # y'#", {"A": "x # y", "B": "x # y"}),
        (b'A="a\\nb\\t\\"\\\\n\\$\\x"\nB=\'a\\n"\'', {"A": 'a\nb\t"\\n$\\x', "B": 'a\\n"'}),
        (b'A="-----\nB=x\n\n-----"\nC=\'1\r\n2\'', {"A": "-----\nB=x\n\n-----", "C": "1\n2"}),
        (b"A=\nB=2", {"A": "", "B": "2"}),
        (b'A=""\nB=\'\'', {"A": "", "B": ""}),
        ("A=ä".encode(), {"A": "ä"}),
        (b"GITHUB_TOKEN=x", {"GITHUB_TOKEN": "x"}),
        (
            b"A=1\n[production]\nA=2\n\n [ eu/test env ] # note\nexport A=3\nB='[x]\n[y]'\n[z]",
            {"A": "1", "production:A": "2", "eu/test env:A": "3", "eu/test env:B": "[x]\n[y]"},
        ),
    ],
)  # fmt: skip
def test_secret_files(tmp_path: Path, content: bytes, secrets: dict[str, str]) -> None:
    path = tmp_path / ".secrets"
    path.write_bytes(content)
    assert read_secret_file(path) == secrets


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"A=1\nhush\nB=2", ["2:1 expected NAME=value"]),
        (b" 1A=hush", ["1:2 `1A` is not a name"]),
        (b"export A B=hush", ["1:8 `A B` is not a name"]),
        (b"=hush", ["1:1 `` is not a name"]),
        (b"A=1\nGITHUB_SHA=hush", ["2:1 `GITHUB_SHA` is not allowed"]),
        (b"A=hush\na=hush", ["2:1 a is given twice"]),
        (b"[p]\nA=hush\n[P]\na=hush", ["4:1 P:a is given twice"]),
        (b"[]\nA=1\n[x hush\n", ["1:1 expected NAME=value", "3:1 expected NAME=value"]),
        (b'A="hush\nB=1', ["1:3 the quote"]),
        (b"A=  'hush", ["1:5 the quote"]),
        (b'A="a"hush\nB=1\n-=', ["1:6 there is text", "3:1 `-` is not a name"]),
        (b"A=1\nB=\xffhush", ["2:1 the file is not UTF-8"]),
    ],
)
def test_secret_files_that_are_invalid(tmp_path: Path, content: bytes, problems: list[str]) -> None:
    path = tmp_path / ".secrets"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        read_secret_file(path)
    found = [f"{problem.position} {problem.message}" for problem in caught.value.problems]
    assert len(found) == len(problems)
    for text, problem in zip(found, problems, strict=True):
        assert text.startswith(f"{path}:{problem}")
        assert "hush" not in text


def test_a_secret_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file"):
        read_secret_file(tmp_path / "missing")
    with pytest.raises(InvalidInputError, match="Is a directory"):
        read_secret_file(tmp_path)


@pytest.mark.parametrize(
    ("text", "assignment"),
    [
        ("A=1", ("A", "1")),
        ("A=", ("A", "")),
        ("a_1=b=c\n", ("a_1", "b=c\n")),
        ("HOST", ("HOST", "x y")),
        ("EMPTY", ("EMPTY", "")),
        ("GITHUB_TOKEN=t", ("GITHUB_TOKEN", "t")),
        ("production:A=1:2=3", ("production:A", "1:2=3")),
        ("a:b c:A=", ("a:b c:A", "")),
        ("production:HOST", ("production:HOST", "x y")),
    ],
)
def test_assignments(text: str, assignment: tuple[str, str]) -> None:
    assert parse_assignment(text, {"HOST": "x y", "EMPTY": ""}) == assignment


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`` is not a name"),
        ("=x", "`` is not a name"),
        ("1A=x", "`1A` is not a name"),
        ("A-B=x", "`A-B` is not a name"),
        ("Ä=x", "`Ä` is not a name"),
        ("github_x=y", "`github_x` is not allowed"),
        ("A", "A is not set in the environment"),
        ("p:A", "A is not set in the environment"),
        (":A=x", "`:A` names no environment"),
        ("p:=x", "`p:` is not a name"),
        ("p:GITHUB_x=y", "`p:GITHUB_x` is not allowed"),
    ],
)
def test_assignments_that_are_invalid(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_assignment(text, {})


def test_a_bare_name_is_looked_up_in_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    assert parse_assignment("A_SECRET") == ("A_SECRET", "x")
