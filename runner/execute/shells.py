"""Shells: which command runs a step's script, and what the script's file is called and holds."""

import re
from collections.abc import Iterator

from runner.errors import InvalidInputError

_ARGUMENTS = {
    "bash": ("--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"),
    "sh": ("-e", "{0}"),
    "python": ("{0}",),
    "pwsh": ("-command", ". '{0}'"),
    "powershell": ("-command", ". '{0}'"),
    "cmd": ("/D", "/E:ON", "/V:OFF", "/S", "/C", 'CALL "{0}"'),
}
_SUFFIXES = {
    "bash": ".sh",
    "sh": ".sh",
    "python": ".py",
    "pwsh": ".ps1",
    "powershell": ".ps1",
    "cmd": ".cmd",
}
_POWERSHELL = (
    "$ErrorActionPreference = 'stop'\n"
    "{text}\n"
    "if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) {{ exit $LASTEXITCODE }}"
)
_FRAMES = {"cmd": "@echo off\n{text}", "pwsh": _POWERSHELL, "powershell": _POWERSHELL}

_BLANKS = " \t"
_PLACE = "{0}"
#: Doubled braces stand for single ones.
_BRACES = re.compile(r"\{\{|\}\}|\{0\}")
_PIECE = re.compile(r'(\\*)(")|([ \t]+)|(\\+|[^\\" \t]+)')


def argv_for(shell: str | None, script: str, available: frozenset[str]) -> tuple[str, ...]:
    """The command that runs the file `script` in `shell`, as written in the pipeline.

    Unspecified (None or empty), it is bash if that is among `available`, else sh. Raises
    InvalidInputError for a word that is no shell known here, or a command without `{0}`.
    """
    if not shell:
        return ("bash" if "bash" in available else "sh", "-e", script)
    command, rest = _split(shell)
    template = tuple(_words(rest)) if rest else _ARGUMENTS.get(command, ())
    if _PLACE not in (rest or "".join(template)):
        raise _invalid(shell, bool(rest))
    return (command, *(_filled(word, script) for word in template))


def script_name(shell: str | None) -> str:
    """The name of the script's file: what ends it is the known shell's, also in a custom command."""
    return "script" + _SUFFIXES.get(_command(shell), "")


def script_text(shell: str | None, text: str) -> bytes:
    """The content of the script's file; PowerShell's ends with the exit code of its last program."""
    return _FRAMES.get(_command(shell), "{text}").format(text=text).encode(errors="replace")


def _command(shell: str | None) -> str:
    return _split(shell)[0] if shell else "sh"


def _split(shell: str) -> tuple[str, str]:
    command, _, rest = shell.strip(_BLANKS).partition(" ")
    return command, rest.strip(_BLANKS)


def _invalid(shell: str, has_arguments: bool) -> InvalidInputError:
    if has_arguments:
        message = f"shell `{shell}` does not say where the script goes"
        return InvalidInputError(message, hint=f"write `{shell} {_PLACE}`")
    known = ", ".join(_ARGUMENTS)
    return InvalidInputError(
        f"shell `{shell}` is not known", hint=f"use {known}, or a command with `{_PLACE}`"
    )


def _filled(word: str, script: str) -> str:
    return _BRACES.sub(lambda found: script if found[0] == _PLACE else found[0][0], word)


def _words(command: str) -> Iterator[str]:
    """The words of a command line, quoted as .NET reads them.

    Double quotes group, and doubled inside of them are one; single quotes are characters. Before a
    double quote, two backslashes are one, and a last odd one makes the quote a character.
    """
    word, quoted, closed = "", False, False
    for backslashes, quote, blanks, text in _PIECE.findall(command):
        word += "\\" * (len(backslashes) // 2) + text
        is_character = len(backslashes) % 2 == 1 or (closed and not backslashes)
        if quote and is_character:
            word += quote
        if blanks and quoted:
            word += blanks
        elif blanks:
            yield word
            word = ""
        turns = bool(quote) and len(backslashes) % 2 == 0
        closed, quoted = turns and quoted, quoted != turns
    yield word
