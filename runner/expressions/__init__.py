"""GitHub's expression language: what `${{ }}` and `if:` mean, as pure functions of contexts."""

from runner.expressions.functions import FUNCTIONS, STATUS_FUNCTIONS, Functions
from runner.expressions.parser import CONTEXTS, evaluate, parse
from runner.expressions.template import (
    Template,
    has_expression,
    parse_condition,
    parse_template,
    resolve,
)
from runner.expressions.tokens import ExpressionError
from runner.expressions.tree import Expression, Reference
from runner.expressions.values import CaseSensitive, Value, equals, to_string, truthy

__all__ = [
    "CONTEXTS",
    "FUNCTIONS",
    "STATUS_FUNCTIONS",
    "CaseSensitive",
    "Expression",
    "ExpressionError",
    "Functions",
    "Reference",
    "Template",
    "Value",
    "equals",
    "evaluate",
    "has_expression",
    "parse",
    "parse_condition",
    "parse_template",
    "resolve",
    "to_string",
    "truthy",
]
