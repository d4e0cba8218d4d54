"""The values of an expression: how they are converted, compared and looked up."""

import math
import re
from typing import Any, TypeAlias

#: JSON-like data; integers and floats are both "number".
Value: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None

#: What separates words and is trimmed: Python's `str.isspace` counts four control characters more.
WHITESPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"0x0*([0-9a-fA-F]{1,8})")
_OCTAL = re.compile(r"0o0*([0-7]{1,11})")
_INFINITY = re.compile(r"([-+]?)infinity", re.IGNORECASE)
#: Up to here every integer is exactly one double, so it may be a Python integer.
_EXACT = 2**53
#: From here on numbers print with an exponent.
_EXPONENT_FROM = 10**15


class CaseSensitive(dict[str, Any]):
    """A map whose keys are looked up as written (`env`); any other map ignores case."""

    __slots__ = ()


class FilteredArray(list[Any]):
    """What `*` gives: a further index applies to each item instead of to the array."""

    __slots__ = ()


def truthy(value: Value) -> bool:
    """Whether a condition with this value holds; every list and map does."""
    if isinstance(value, list | dict):
        return True
    return bool(value) and value == value


def to_string(value: Value) -> str:
    """The text of a value; null is empty, lists and maps are the words `Array` and `Object`."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_to_string(value)
    return "Array" if isinstance(value, list) else "Object"


def _number_to_string(value: float) -> str:
    if isinstance(value, int) and -_EXPONENT_FROM < value < _EXPONENT_FROM:
        return str(value)
    number = to_number(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return format(number or 0.0, ".15G")


def to_number(value: Value) -> float:
    """The number of a value; NaN where it has none (lists, maps, most texts)."""
    if isinstance(value, str):
        return float(parse_number(value))
    if value is None:
        return 0.0
    if isinstance(value, list | dict):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def parse_number(text: str) -> float:
    """The number that `text` writes, an int where it is integral; empty is 0, other text NaN."""
    text = text.strip(WHITESPACE)
    if not text:
        return 0
    if _DECIMAL.fullmatch(text):
        return narrow(float(text))
    if match := _HEXADECIMAL.fullmatch(text):
        return _signed(int(match[1], 16))
    if match := _OCTAL.fullmatch(text):
        return _signed(int(match[1], 8))
    if match := _INFINITY.fullmatch(text):
        return -math.inf if match[1] == "-" else math.inf
    return math.nan


def narrow(number: float) -> float:
    """The same number as an int, if it is integral and not too large to be exact."""
    return int(number) if -_EXACT < number < _EXACT and number.is_integer() else number


def _signed(bits: int) -> float:
    if bits >= 2**32:
        return math.nan
    return bits - 2**32 if bits >= 2**31 else bits


def fold(text: str) -> str:
    """Upper case, character by character and never longer: texts equal so are equal here."""
    if text.isascii():
        return text.upper()
    return "".join(map(_fold_character, text))


def _fold_character(character: str) -> str:
    upper = character.upper()
    return upper if len(upper) == 1 and character != "ı" else character


def equals(left: Value, right: Value) -> bool:
    """`left == right`: texts ignore case, mixed kinds compare as numbers, lists and maps are
    equal only to themselves."""
    if isinstance(left, str) and isinstance(right, str):
        return left == right or fold(left) == fold(right)
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        return left is right
    return to_number(left) == to_number(right)


def differs(left: Value, right: Value) -> bool:
    """`left != right`."""
    return not equals(left, right)


def less(left: Value, right: Value) -> bool:
    """`left < right`; false where the two have no order."""
    if isinstance(left, str) and isinstance(right, str):
        return _ordinal(left) < _ordinal(right)
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        return False
    return to_number(left) < to_number(right)


def greater(left: Value, right: Value) -> bool:
    """`left > right`; false where the two have no order."""
    return less(right, left)


def at_most(left: Value, right: Value) -> bool:
    """`left <= right`: equal or less, so it holds for a list and itself."""
    return equals(left, right) or less(left, right)


def at_least(left: Value, right: Value) -> bool:
    """`left >= right`: equal or greater."""
    return equals(left, right) or less(right, left)


def _ordinal(text: str) -> bytes:
    # GitHub orders UTF-16 units, in which characters beyond the first plane come before U+E000.
    return fold(text).encode("utf-16-be", "surrogatepass")


def index(target: Value, key: Value) -> Value:
    """`target[key]`: null where there is nothing; each item of a filtered array is asked."""
    if isinstance(target, FilteredArray):
        return FilteredArray(found for item in target for found in _lookup(item, key))
    found = _lookup(target, key)
    return found[0] if found else None


def items(target: Value) -> FilteredArray:
    """`target.*`: the items of a list, the values of a map, of all items of a filtered array."""
    if isinstance(target, FilteredArray):
        return FilteredArray(each for item in target for each in _children(item))
    return FilteredArray(_children(target))


def _children(target: Value) -> list[Any]:
    if isinstance(target, dict):
        return list(target.values())
    return target if isinstance(target, list) else []


def _lookup(target: Value, key: Value) -> tuple[Value, ...]:
    if isinstance(target, dict):
        return () if isinstance(key, list | dict) else _lookup_key(target, to_string(key))
    if isinstance(target, list):
        position = to_number(key)
        return (target[int(position)],) if 0 <= position < len(target) else ()
    return ()


def _lookup_key(target: dict[str, Any], key: str) -> tuple[Value, ...]:
    if key in target:
        return (target[key],)
    if isinstance(target, CaseSensitive):
        return ()
    folded = fold(key)
    return next(((value,) for name, value in target.items() if fold(name) == folded), ())
