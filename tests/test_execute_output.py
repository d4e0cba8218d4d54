"""Commands, command files, and the filter between a step's output and its log."""

import time
from collections.abc import Callable, Collection
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execute.command_files import (
    CommandFileError,
    check_environment,
    parse_pairs,
    parse_path,
)
from runner.execute.commands import COMMANDS, Command, parse_command
from runner.execute.output import LONGEST_COMMAND, MOST_BLANKS, OutputFilter
from runner.secrets import Masker


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("::debug::text", Command("debug", {}, "text")),
        ("::debug::", Command("debug", {}, "")),
        (" \t::debug::text ", Command("debug", {}, "text ")),
        ("::DeBug::x", Command("debug", {}, "x")),
        ("::error file=a.c,line=3::m", Command("error", {"file": "a.c", "line": "3"}, "m")),
        ("::error endLine=3::m", Command("error", {"endline": "3"}, "m")),
        ("::error  file=a , line=3 ::m", Command("error", {"file": "a ", " line": "3"}, "m")),
        ("::error file=,line,=x,title==a=b::", Command("error", {"title": "a=b"}, "")),
        ("::error title=a%3Ab%2Cc%25%0A::", Command("error", {"title": "a:b,c%\n"}, "")),
        ("::error title=%253A::%253A%3A", Command("error", {"title": "%3A"}, "%3A%3A")),
        ("::notice::a%0D%0Ab%0a%25", Command("notice", {}, "a\r\nb%0a%")),
        ("::set-output name=x::a::b=c", Command("set-output", {"name": "x"}, "a::b=c")),
        ("##[error]text", Command("error", {}, "text")),
        ("time ##[error]text", Command("error", {}, "text")),
        ("##[group]a%3Bb%5D%25", Command("group", {}, "a;b]%")),
        ("##[error file=a;line=3]m", Command("error", {"file": "a", "line": "3"}, "m")),
        ("::nothing:: ##[error]text", Command("error", {}, "text")),
        ("", None),
        ("text ::debug::x", None),
        (":debug::x", None),
        ("::debug:x", None),
        (":::debug::x", None),
        ("::nothing::x", None),
        (":: debug::x", None),
        ("##[nothing]x ##[error]y", None),
        ("##[error", None),
        ("## [error]x", None),
    ],
)
def test_commands(line: str, command: Command | None) -> None:
    assert parse_command(line) == command


@pytest.mark.parametrize("line", ["::Token::", "::TOKEN::", "##[token]"])
def test_only_the_names_that_count_are_commands(line: str) -> None:
    assert parse_command(line) is None
    assert parse_command(line, {"Token"}) == Command("Token", {}, "")
    assert parse_command("::debug::x", {"Token"}) is None


@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        (b"", {}),
        (b"a=1\nb=2", {"a": "1", "b": "2"}),
        (b"\n\na= x=y<<z \n", {"a": " x=y<<z "}),
        (b"a=\n=b\n", {"a": "", "": "b"}),
        (b"a=1\r\n", {"a": "1\r"}),
        (b"a<<E\nx\ny\nE\nb=1\n", {"a": "x\ny", "b": "1"}),
        (b"a<<E\nE", {"a": ""}),
        (b"a<<E\n\nE\n", {"a": ""}),
        (b"a<<E\n\n\nE\n", {"a": "\n"}),
        (b"a<<E\n E\nE \nE", {"a": " E\nE "}),
        (b"a<<E=F\nx\nE=F\n", {"a": "x"}),
        (b"a<<E<<F\nx\nE<<F\n", {"a": "x"}),
        (b"a << E\nx\n E\n", {"a ": "x"}),
        (b"a=1\nb=2\na=3\n", {"b": "2", "a": "3"}),
        (b"\xef\xbb\xbfa=\xc3\xa4\n", {"a": "ä"}),
        (b"\xff\xfea\x00=\x001\x00", {"a": "1"}),
        (b"\xff\xfe\x00\x00a\x00\x00\x00=\x00\x00\x00", {"a": ""}),
        (b"a=\xff\xe2\x82x\n", {"a": "\ufffd\ufffdx"}),
        (b"a=\x00\n", {"a": "\0"}),
    ],
)
def test_pairs(data: bytes, pairs: dict[str, str]) -> None:
    assert list(parse_pairs(data).items()) == list(pairs.items())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a=1\ntext\n", "line 2 is neither"),
        (b"\n \n", "line 2 is neither"),
        (b"<<E\nE\n", "line 1 has no name"),
        (b"a<<\n\n", "line 1 has no delimiter"),
        (b"a<<E\nx\n", "line 1 never ends"),
        (b"a<<E\r\nx\nE\n", "line 1 never ends"),
        (b"a<<E", "line 1 never ends"),
    ],
)
def test_pairs_that_fail_the_step(data: bytes, message: str) -> None:
    with pytest.raises(CommandFileError) as caught:
        parse_pairs(data)
    assert message in caught.value.message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"", []),
        (b"/a\n\n/b", ["/a", "/b"]),
        (b"/a\r\n/b\r/c\n", ["/a", "/b", "/c"]),
        (b"/a\n/b\n/a\n", ["/b", "/a"]),
        (b"\xef\xbb\xbf /a \n", [" /a "]),
    ],
)
def test_path(data: bytes, path: list[str]) -> None:
    assert parse_path(data) == path


def test_variables_for_later_steps() -> None:
    refused: list[str] = []
    pairs = {"A": "1", "node_options": "x", "": "y", "GITHUB_TOKEN": "z", "CI": ""}
    assert check_environment(pairs, refused.append) == {"A": "1", "GITHUB_TOKEN": "z", "CI": ""}
    assert refused == [
        "node_options cannot be set for later steps",
        "`` cannot be the name of a variable",
    ]


class Step:
    """One step's output: what was written, and which commands were carried out."""

    def __init__(self, *secrets: str, names: Callable[[], Collection[str]] | None = None) -> None:
        self.masker = Masker(secrets)
        self.written: list[bytes] = []
        self.commands: list[Command] = []
        names = names or (lambda: COMMANDS)
        self.filter = OutputFilter(self.masker, self.written.append, self._carry_out, names)

    @property
    def log(self) -> bytes:
        return b"".join(self.written)

    def print(self, *chunks: bytes) -> bytes:
        for chunk in chunks:
            self.filter.feed(chunk)
        self.filter.finish()
        return self.log

    def _carry_out(self, command: Command) -> bytes | None:
        self.commands.append(command)
        if command.name == "add-mask":
            self.masker.add(command.data)
            return None
        return f"<{command.name} {command.data}>".encode()


@pytest.mark.parametrize(
    ("printed", "log"),
    [
        (b"", b""),
        (b"text", b"text"),
        (b"a\r\nb\rc\n\x00\xff\xc3", b"a\r\nb\rc\n\x00\xff\xc3"),
        (b"::debug::x", b"<debug x>"),
        (b"::debug::x\n", b"<debug x>\n"),
        (b"::debug::x\r\ny", b"<debug x>\r\ny"),
        (b"::debug::x\ry", b"<debug x>\ry"),
        (b"::debug::x\r", b"<debug x>\r"),
        (b"50%\r::debug::x\n", b"50%\r<debug x>\n"),
        (b"a\n \t::debug::x\nb\n", b"a\n<debug x>\nb\n"),
        (b"a ::debug::x\n", b"a ::debug::x\n"),
        (b"::nothing::x\n::debug::y\n", b"::nothing::x\n<debug y>\n"),
        (b"std::vector::x\n::debug::y\n", b"std::vector::x\n<debug y>\n"),
        (b"a ##[debug]x\nb", b"a <debug x>\nb"),
        (b"  ##[debug]x\nb", b"<debug x>\nb"),
        (b"a ##[no]x ##[debug]y\nb", b"a ##[no]x ##[debug]y\nb"),
        (b"# ## ### ##[", b"# ## ### ##["),
        (b"###[debug]x", b"#<debug x>"),
        (b"::no:: ##[debug]x\n", b"<debug x>\n"),
        (b"::debug::\xff\n", b"<debug \xef\xbf\xbd>\n"),
        (b"::add-mask::key\nkey\n", b"***\n"),
        (b"key\n::add-mask::key\nkey\n", b"key\n***\n"),
        (b"a ##[add-mask]key\nkey\n", b"a \n***\n"),
        (b"::debug::secret\n", b"<debug ***>\n"),
        (b"sec\n::add-mask::key\nret\n", b"sec\nret\n"),
        (b"x secretsecret y secr", b"x *** y secr"),
        (b":", b":"),
        (b"\n  ", b"\n  "),
        (b"::", b"::"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_reaches_the_log(printed: bytes, log: bytes, size: int) -> None:
    chunks = (printed[at : at + size] for at in range(0, len(printed), size))
    assert Step("secret").print(*chunks) == log


def test_a_command_keeps_the_bytes_of_its_line() -> None:
    step = Step()
    step.print(b" ::debug::\xff\r\n")
    assert [command.raw for command in step.commands] == [b" ::debug::\xff"]


def test_names_are_asked_for_each_line() -> None:
    names = {"debug"}
    step = Step(names=lambda: names)
    step.filter.feed(b"::debug::1\n")
    names = {"Token"}
    assert step.print(b"::debug::2\n::TOKEN::\n") == b"<debug 1>\n::debug::2\n<Token >\n"


@pytest.mark.parametrize(
    ("chunk", "at_once"),
    [
        (b"a", b"a"),
        (b"Password: ", b"Password: "),
        (b"50%\r", b"50%\r"),
        (b"a\n:", b"a\n"),
        (b"a\n :: x", b"a\n"),
        (b"a\n:x", b"a\n:x"),
        (b"a #", b"a "),
        (b"a ##[x", b"a "),
        (b"a ##x", b"a ##x"),
        (b"a\n  ", b"a\n"),
        (b"a se", b"a "),
        (b"a secret", b"a ***"),
        (b"::debug::x\r\n", b"<debug x>\r\n"),
    ],
)
def test_output_goes_on_at_once_unless_it_may_change(chunk: bytes, at_once: bytes) -> None:
    step = Step("secret")
    step.filter.feed(chunk)
    assert step.log == at_once


@pytest.mark.parametrize("size", [LONGEST_COMMAND // 3, 10**9])
@pytest.mark.parametrize(
    ("opening", "excess", "is_command"),
    [
        (b"::debug::", 0, True),
        (b"::debug::", 1, False),
        (b"::debug::", 2, False),
        (b"##[debug]", 0, True),
        (b"##[debug]", LONGEST_COMMAND, False),
    ],
)
def test_the_longest_command(opening: bytes, excess: int, is_command: bool, size: int) -> None:
    data = b"x" * (LONGEST_COMMAND - 2 * len(opening) + excess) + opening
    printed = opening + data + b"\r\n::debug::y"
    log = Step().print(*(printed[at : at + size] for at in range(0, len(printed), size)))
    first = b"<debug " + data + b">" if is_command else opening + data
    assert log == first + b"\r\n<debug y>"


@pytest.mark.parametrize("size", [999, 10**9])
@pytest.mark.parametrize(("excess", "is_command"), [(0, True), (1, False)])
def test_most_blanks_before_a_command(excess: int, is_command: bool, size: int) -> None:
    printed = b" " * (MOST_BLANKS + excess) + b"::debug::x\n::debug::y"
    log = Step().print(*(printed[at : at + size] for at in range(0, len(printed), size)))
    first = b"<debug x>\n" if is_command else printed.partition(b"\n")[0] + b"\n"
    assert log == first + b"<debug y>"


PIECES = st.sampled_from(
    [
        *(b"::", b":", b"::debug::", b"::add-mask::", b"::no", b"##[debug]", b"##[", b"##", b"#"),
        *(b" ", b"\t", b"\n", b"\r", b"\r\n", b"]", b"=", b"\x00", "ä".encode()),
        *(b"a", b"b", b"ab", b"ba", b"abab", b"secret", b"sec", b"ret", b"c2Vj", b"cmV0"),
    ]
)
OUTPUT = st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@given(OUTPUT, st.lists(st.integers(0, 1000), max_size=30))
def test_cuts_make_no_difference(printed: bytes, places: list[int]) -> None:
    whole, cut_up, bytewise = (Step("secret", "abab", "bb") for _ in range(3))
    log = whole.print(printed)
    assert cut_up.print(*cut(printed, places)) == log
    assert bytewise.print(*(printed[at : at + 1] for at in range(len(printed)))) == log
    assert whole.commands == cut_up.commands == bytewise.commands


@given(st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join))
def test_without_commands_the_output_is_what_the_masker_makes_of_it(printed: bytes) -> None:
    step = Step("secret", "abab", names=lambda: ())
    assert step.print(printed) == step.masker.mask(printed)
    assert b"secret" not in step.log
    assert b"abab" not in step.log


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 1_000_000,
        b" :: " * 250_000,
        b"a::b" * 250_000,
        b"\n::nothing" * 100_000,
        b"#" * 1_000_000,
        b"secre" * 200_000,
        b"aaaa" * 250_000,
        b"::" * 500_000,
        b"##[" * 300_000,
    ],
    ids=lambda line: line[:12].decode().strip(),
)
def test_no_output_takes_long(line: bytes) -> None:
    step = Step("secret", "aaaaaaaaaaaaaaaaaaaab")
    began = time.process_time()
    for at in range(0, len(line), 4096):
        step.filter.feed(line[at : at + 4096])
    step.filter.finish()
    assert step.log == line
    assert time.process_time() - began < 5
