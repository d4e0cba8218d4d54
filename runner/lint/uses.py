"""The expressions of a document: each with the place where it is used and what it may use there."""

from dataclasses import dataclass

from runner.errors import Position, Problem
from runner.expressions import Expression, ExpressionError, has_expression, parse, parse_template
from runner.lint.availability import Availability
from runner.lint.findings import finding
from runner.lint.scalars import Scalar, scalars
from runner.source import Document

#: More errors than this in one text say nothing new.
_MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Use:
    """An expression in a scalar; its own text begins `offset` characters into the scalar's."""

    scalar: Scalar
    offset: int
    expression: Expression

    @property
    def is_whole(self) -> bool:
        """Whether the scalar is this expression and nothing else, so that its value is kept."""
        before = self.scalar.text[: self.offset]
        after = self.scalar.text[self.offset + len(self.expression.text) :]
        marks = (before.rstrip(), after.lstrip())
        return marks == ("${{", "}}") or not has_expression(self.scalar.text)

    def position(self, document: Document, offset: int, length: int) -> Position:
        """The place of a part of the expression, `offset` characters into its text."""
        return _position(self.scalar, document, self.offset + offset, length)


def read(document: Document) -> tuple[list[Use], list[Problem]]:
    """Every expression that can be parsed, and a problem for every one that cannot."""
    uses: list[Use] = []
    problems: list[Problem] = []
    for scalar in scalars(document.data):
        if scalar.available is None:
            problems.append(_nowhere(scalar, document))
            continue
        found, errors = _parsed(scalar, scalar.available)
        uses += found
        problems += [_problem(scalar, error, document) for error in errors]
    return uses, problems


def _parsed(scalar: Scalar, available: Availability) -> tuple[list[Use], list[ExpressionError]]:
    """The expressions of one scalar; one that is wrong does not hide the next."""
    text = scalar.text
    errors: list[ExpressionError] = []
    while len(errors) < _MOST_ERRORS:
        try:
            pairs = _expressions(text, scalar.is_condition, available)
        except ExpressionError as error:
            errors.append(error)
            text = _without(text, error.offset)
        else:
            return [Use(scalar, *pair) for pair in pairs], errors
    return [], errors


def _expressions(
    text: str, is_condition: bool, available: Availability
) -> tuple[tuple[int, Expression], ...]:
    names = available.contexts, available.functions
    if has_expression(text):
        return parse_template(text, *names).expressions
    return ((0, parse(text, *names)),) if is_condition and text.strip() else ()


def _without(text: str, offset: int) -> str:
    """The text with the `${{ }}` around `offset` blanked out; all of it where there is none."""
    start, end = text.rfind("${{", 0, offset + 3), text.find("}}", offset)
    if start < 0 or end < 0:
        return ""
    return f"{text[:start]}{' ' * (end + 2 - start)}{text[end + 2 :]}"


def _nowhere(scalar: Scalar, document: Document) -> Problem:
    position = _position(scalar, document, scalar.text.index("${{"), 3)
    return finding("not-available", f"`{scalar.path[-1]}` cannot hold an expression", position)


def _problem(scalar: Scalar, error: ExpressionError, document: Document) -> Problem:
    position = _position(scalar, document, error.offset, error.length)
    word = scalar.text[error.offset : error.offset + error.length]
    if scalar.available and scalar.available.lacks(word):
        message = f"`{word}` is not available here"
        return finding("not-available", message, position, scalar.available.advice(word))
    return finding("expression", error.message, position, error.hint)


def _position(scalar: Scalar, document: Document, offset: int, length: int) -> Position:
    if scalar.key:
        return document.locate(scalar.path, key=True)
    return document.locate_in(scalar.path, offset, length)
