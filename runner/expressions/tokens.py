"""The words of an expression: text in, tokens with their offsets out."""

import re
from typing import NamedTuple

from runner.errors import InvalidInputError, Problem, quoted
from runner.expressions.values import WHITESPACE, Value, parse_number

#: Characters at which a word or a number ends; a word ends at a dot too.
_BOUNDARY = r"()\[\],!><=&|" + WHITESPACE
_KINDS = (
    rf"(?P<name>[A-Za-z_][A-Za-z0-9_-]*+(?=[.{_BOUNDARY}]|\Z))",
    r"(?P<symbol>&&|\|\||[=!<>]=|[!<>()\[\],*]|\.(?![0-9]))",
    r"(?P<string>'[^']*+(?:''[^']*+)*+')",
    rf"(?P<number>(?:[-+0-9]|\.[0-9])[^{_BOUNDARY}]*+)",
    r"(?P<end>\Z)",
    r"(?P<unclosed>'.*)",
    rf"(?P<word>[^.{_BOUNDARY}]++)",
    r"(?P<stray>.)",
)
_TOKEN = re.compile(rf"[{WHITESPACE}]*+(?:{'|'.join(_KINDS)})", re.DOTALL)
_HINTS = {
    '"': "strings take single quotes: `'text'`",
    "'": "this string has no closing quote",
    "=": "did you mean `==`?",
    "&": "did you mean `&&`?",
    "|": "did you mean `||`?",
}


class ExpressionError(InvalidInputError):
    """An expression is invalid or failed; `offset` (from 0) and `length` say where in its text."""

    def __init__(self, message: str, offset: int = 0, length: int = 1, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, problems=[Problem("expression", message, hint=hint)])
        self.offset = offset
        self.length = length

    def shifted(self, by: int) -> "ExpressionError":
        """The same error, told to a reader whose text starts `by` characters earlier."""
        return ExpressionError(self.message, self.offset + by, self.length, hint=self.hint)


class Token(NamedTuple):
    """One word: `kind` is "name", "literal", "end", or the symbol itself (`.`, `==`, `(`)."""

    kind: str
    text: str
    offset: int
    value: Value = None


def scan(text: str) -> list[Token]:
    """Split `text` into tokens, the last of kind "end"; raises ExpressionError."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "stray"
        found = match[kind]
        offset = match.end() - len(found)
        if kind == "name":
            tokens.append(Token(kind, found, offset))
        elif kind == "symbol":
            tokens.append(Token(found, found, offset))
        elif kind == "end":
            break
        else:
            tokens.append(_special(kind, found, offset))
    tokens.append(Token("end", "", len(text)))
    return tokens


def _special(kind: str, found: str, offset: int) -> Token:
    if kind == "string":
        return Token("literal", found, offset, found[1:-1].replace("''", "'"))
    if kind == "number":
        return _number(found, offset)
    raise ExpressionError(
        f"unexpected {quoted(found)}", offset, len(found), hint=_HINTS.get(found[0], "")
    )


def _number(text: str, offset: int) -> Token:
    value = parse_number(text)
    if value != value:
        message, hint = f"{quoted(text)} is not a number", "expressions have no arithmetic"
        raise ExpressionError(message, offset, len(text), hint=hint)
    return Token("literal", text, offset, value)
