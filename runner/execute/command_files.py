"""What a step leaves in its command files: outputs, variables, state, and directories for PATH."""

import codecs
import re
from collections.abc import Callable, Iterator, Mapping

from runner.errors import EXIT_RUN_FAILED, PipeError

# The longer marks first: UTF-32's begins with UTF-16's.
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")
#: It makes every later Node process load what it says, those of actions included.
_REFUSED = frozenset({"NODE_OPTIONS"})


class CommandFileError(PipeError):
    """A step wrote a command file that cannot be read, which fails the step."""

    exit_code = EXIT_RUN_FAILED


def parse_pairs(data: bytes) -> dict[str, str]:
    """The values in a file of `NAME=VALUE` lines and `NAME<<DELIMITER` blocks.

    A name that is written again moves to the end, so that whoever ignores the case of names finds
    the last one last. Raises CommandFileError.
    """
    pairs: dict[str, str] = {}
    for name, value in _pairs(_lines(data)):
        pairs.pop(name, None)
        pairs[name] = value
    return pairs


def parse_path(data: bytes) -> list[str]:
    """The directories in a file of one per line, in its order: each next one belongs before them.

    A directory that is written again counts where it comes last.
    """
    lines = [line for line in _LINE_END.split(_text(data)) if line]
    return list(dict.fromkeys(reversed(lines)))[::-1]


def check_environment(pairs: Mapping[str, str], refuse: Callable[[str], None]) -> dict[str, str]:
    """The variables that later steps get; `refuse` is told why another is left out.

    Names that the runner sets for each step are among them: it does so after these.
    """
    return {name: value for name, value in pairs.items() if not _is_refused(name, refuse)}


def _is_refused(name: str, refuse: Callable[[str], None]) -> bool:
    if name.upper() in _REFUSED:
        refuse(f"{name} cannot be set for later steps")
        return True
    if not name or "\0" in name:
        refuse(f"`{name}` cannot be the name of a variable")
        return True
    return False


def _pairs(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    for number, line in lines:
        if not line:
            continue
        name, equals, value = line.partition("=")
        if "<<" in name or not equals:
            yield _block(number, line, lines)
        else:
            yield name, value


def _block(number: int, line: str, lines: Iterator[tuple[int, str]]) -> tuple[str, str]:
    name, opening, delimiter = line.partition("<<")
    if not opening:
        raise CommandFileError(f"line {number} is neither NAME=VALUE nor NAME<<DELIMITER")
    if not name or not delimiter:
        missing = "delimiter" if name else "name"
        raise CommandFileError(f"line {number} has no {missing}: expected NAME<<DELIMITER")
    value: list[str] = []
    for _, part in lines:
        if part == delimiter:
            return name, "\n".join(value)
        value.append(part)
    raise CommandFileError(
        f"the value that begins in line {number} never ends",
        hint=f"print {delimiter!r} on a line of its own after the value",
    )


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Number and text of each line; a carriage return belongs to the text."""
    return iter(enumerate(_text(data).removesuffix("\n").split("\n"), start=1))


def _text(data: bytes) -> str:
    """Unicode in any encoding that a byte order mark tells, else UTF-8; invalid bytes become U+FFFD."""
    for mark, encoding in _ENCODINGS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    return data.decode(errors="replace")
