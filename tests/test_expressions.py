"""The expression language, sentence by sentence: tables of text and what it means."""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import InvalidInputError
from runner.expressions import (
    CONTEXTS,
    FUNCTIONS,
    STATUS_FUNCTIONS,
    CaseSensitive,
    Expression,
    ExpressionError,
    Functions,
    Value,
    equals,
    evaluate,
    has_expression,
    parse,
    parse_condition,
    parse_template,
    resolve,
    to_string,
    truthy,
)

NAN = math.nan
INFINITY = math.inf
GITHUB: dict[str, Any] = {
    "ref": "refs/heads/main",
    "Actor": "mona",
    "b-ar": "hyphen",
    "_x": "underscore",
    "true": "a name",
    "null": "another",
    "NaN": "a third",
    "format": "a fourth",
    "": "empty key",
    "5": "five",
    "0.5": "half",
    "*": "star",
    "list": ["a", "b", "c"],
    "nested": [["a", "b"], ["c"], "scalar", {"0": "zero"}],
    "labels": [{"name": "bug", "id": 1}, {"id": 2}, "scalar", {"NAME": "help"}],
    "map": {"one": {"v": 1}, "two": {"v": 2}, "three": 3},
    "none": None,
    "exact": {"Key": "upper", "key": "lower"},
    "empty": {"list": [], "map": {}},
}
CASES: dict[str, Value] = {
    "github": GITHUB,
    "env": CaseSensitive({"Path": "/bin", "PATH": "/usr/bin"}),
    "matrix": {"os": "linux", "version": 3.1, "flag": True, "huge": 10**400},
}


def value(text: str) -> Value:
    return evaluate(text, CASES)


def same(found: Value, expected: Value) -> bool:
    """Equal and of the same kind; NaN is the same as NaN."""
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    if isinstance(found, bool) != isinstance(expected, bool):
        return False
    return found == expected


def failure(run: Callable[..., object], *arguments: object, **options: object) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        run(*arguments, **options)
    return caught.value


def table(rows: str) -> list[tuple[str, str]]:
    """Rows `text -> expected`, one a line."""
    pairs = (line.split(" -> ") for line in rows.strip().splitlines())
    return [(text.strip(), expected.strip()) for text, expected in pairs]


LITERALS: list[tuple[str, Value]] = [
    ("null", None),
    ("true", True),
    ("false", False),
    ("NaN", NAN),
    ("Infinity", INFINITY),
    ("-Infinity", -INFINITY),
    ("+Infinity", INFINITY),
    ("0", 0),
    ("-0", 0),
    ("+1", 1),
    (".5", 0.5),
    ("-.5", -0.5),
    ("+.5", 0.5),
    ("1.", 1),
    ("1.0", 1),
    ("1e-1", 0.1),
    ("1E+1", 10),
    ("1e400", INFINITY),
    ("0xfF", 255),
    ("0xFFFFFFFF", -1),
    ("0x80000000", -(2**31)),
    ("0x7fffffff", 2**31 - 1),
    ("0x00000000ff", 255),
    ("0o17", 15),
    ("0o37777777777", -1),
    ("''", ""),
    ("''''", "'"),
    ("'it''s ''quoted'''", "it's 'quoted'"),
    ("'two\nlines'", "two\nlines"),
    (r"'no \n escapes'", r"no \n escapes"),
    ("'always()'", "always()"),
    (" \t\r\n true \n", True),
    ("\u00a0true\u3000", True),
]


@pytest.mark.parametrize(("text", "expected"), LITERALS)
def test_literals(text: str, expected: Value) -> None:
    assert same(value(text), expected)


SYNTAX_ERRORS = [
    ("", 0, 1, "expression was expected"),
    ("   ", 0, 3, "expression was expected"),
    ('"text"', 0, 6, "unexpected"),
    ("True", 0, 4, "unknown context `True`"),
    ("NULL", 0, 4, "unknown context"),
    ("nan", 0, 3, "unknown context"),
    ("-foo", 0, 4, "not a number"),
    ("-0xFF", 0, 5, "not a number"),
    ("-Inf", 0, 4, "not a number"),
    ("0xFZ", 0, 4, "not a number"),
    ("0x01p2", 0, 6, "not a number"),
    ("0XFF", 0, 4, "not a number"),
    ("0xFFFFFFFFF", 0, 11, "not a number"),
    ("0o8", 0, 3, "not a number"),
    ("0o40000000000", 0, 13, "not a number"),
    ("1_000", 0, 5, "not a number"),
    ("1e", 0, 2, "not a number"),
    ("1.2.3", 0, 5, "not a number"),
    ("1+2", 0, 3, "not a number"),
    ("1 + 2", 2, 1, "not a number"),
    (".", 0, 1, "unexpected `.`"),
    ("'open", 0, 5, "unexpected"),
    ("github.ref == 'a''b", 14, 5, "unexpected"),
    ("github.1", 6, 2, "unexpected `.1`"),
    ("github.b@r", 7, 3, "unexpected `b@r`"),
    ("github.", 7, 1, "unexpected end"),
    ("github.'ref'", 7, 5, "expected a name"),
    ("github..ref", 7, 1, "expected a name"),
    ("github ref", 7, 3, "unexpected `ref`"),
    ("github[", 7, 1, "unexpected end"),
    ("github[]", 7, 1, "expected a value"),
    ("github['a'", 10, 1, "expected `]`"),
    ("github[*.x]", 8, 1, "expected `]`"),
    ("*", 0, 1, "expected a value"),
    ("github.* *", 9, 1, "unexpected `*`"),
    ("'abc'[0]", 5, 1, "unexpected `[`"),
    ("'abc'.length", 5, 1, "unexpected `.`"),
    ("null.x", 4, 1, "unexpected `.`"),
    ("true(1)", 4, 1, "unexpected `(`"),
    ("github.ref(1)", 10, 1, "unexpected `(`"),
    ("()", 1, 1, "expected a value"),
    ("(true", 5, 1, "expected `)`"),
    ("true)", 4, 1, "unexpected `)`"),
    ("(true]", 5, 1, "expected `)`"),
    ("(true, false)", 5, 1, "expected `)`"),
    ("format('', )", 11, 1, "expected a value"),
    ("format(, '')", 7, 1, "expected a value"),
    ("format('' '')", 10, 2, "expected `)`"),
    ("format", 0, 6, "unknown context"),
    ("true &&", 7, 1, "unexpected end"),
    ("&& true", 0, 2, "unexpected `&&`"),
    ("true & false", 5, 1, "unexpected `&`"),
    ("true | false", 5, 1, "unexpected `|`"),
    ("1 = 1", 2, 1, "unexpected `=`"),
    ("1 === 1", 4, 1, "unexpected `=`"),
    ("true !false", 5, 1, "unexpected `!`"),
    ("!", 1, 1, "unexpected end"),
    ("true # note", 5, 1, "unexpected `#`"),
    ("true ? 1 : 2", 5, 1, "unexpected `?`"),
    ("foo", 0, 3, "unknown context `foo`"),
    ("true || foo.bar", 8, 3, "unknown context `foo`"),
    ("false && nope()", 9, 4, "unknown function `nope`"),
    ("nope ()", 0, 4, "unknown function `nope`"),
    ("contains('a')", 0, 8, "takes 2 arguments, not 1"),
    ("false && contains('a', 'b', 'c')", 9, 8, "takes 2 arguments, not 3"),
    ("startsWith()", 0, 10, "takes 2 arguments, not 0"),
    ("endsWith('a')", 0, 8, "takes 2 arguments"),
    ("join()", 0, 4, "takes 1 to 2 arguments, not 0"),
    ("join(1, 2, 3)", 0, 4, "takes 1 to 2 arguments, not 3"),
    ("toJSON()", 0, 6, "takes 1 argument, not 0"),
    ("fromJSON('1', '2')", 0, 8, "takes 1 argument, not 2"),
    ("format()", 0, 6, "takes 1 to 255 arguments, not 0"),
    ("case(true, 1)", 0, 4, "takes 3 to 255 arguments, not 2"),
    ("case(true, 1, false, 2)", 0, 4, "odd number"),
    ("hashFiles()", 0, 9, "takes 1 to 255 arguments"),
    ("always(1)", 0, 6, "takes 0 arguments, not 1"),
    ("cancelled('a')", 0, 9, "takes 0 arguments, not 1"),
]


@pytest.mark.parametrize(("text", "offset", "length", "message"), SYNTAX_ERRORS)
def test_syntax_errors_say_where(text: str, offset: int, length: int, message: str) -> None:
    error = failure(parse, text)
    assert message in error.message
    assert (error.offset, error.length) == (offset, length)


HINTS = [
    ("git.ref", "did you mean `github`?"),
    ("True", "did you mean `true`?"),
    ("startswit('a', 'b')", "did you mean `startsWith`?"),
    ("1 = 1", "did you mean `==`?"),
    ("true & true", "did you mean `&&`?"),
    ('"text"', "strings take single quotes: `'text'`"),
    ("'text", "this string has no closing quote"),
    ("1 + 1", "expressions have no arithmetic"),
]


@pytest.mark.parametrize(("text", "hint"), HINTS)
def test_hints(text: str, hint: str) -> None:
    assert failure(parse, text).hint == hint


def test_an_unknown_name_is_told_what_is_known() -> None:
    error = failure(parse, "zzz.x", contexts=["github", "inputs"])
    assert error.hint.startswith("available here: github, inputs")


def test_a_name_that_exists_elsewhere_is_not_called_unknown() -> None:
    error = failure(parse, "secrets.TOKEN", contexts=["github"])
    assert error.message == "context `secrets` is not available here"
    error = failure(parse, "hashFiles('x')", functions=FUNCTIONS - {"hashfiles"})
    assert error.message == "function `hashFiles` is not available here"


def test_an_error_is_invalid_input_with_one_problem() -> None:
    error = failure(parse, "git.ref")
    assert isinstance(error, InvalidInputError)
    assert [(each.code, each.message, each.hint) for each in error.problems] == [
        ("expression", error.message, error.hint)
    ]


PRECEDENCE: list[tuple[str, Value]] = [
    ("3 < 2 < 1", True),
    ("3 < (2 < 1)", False),
    ("3 < 2 <= 1", True),
    ("3 <= 2 < 1", True),
    ("0 > 0 < 1", True),
    ("0 > (0 < 1)", False),
    ("2 > 2 > 0", False),
    ("2 > (2 > 0)", True),
    ("2 == 2 == 1", True),
    ("2 == (2 == 1)", False),
    ("2 == 2 != 0", True),
    ("2 <= 3 == true", True),
    ("2 <= (3 == true)", False),
    ("1 == 1 && 2", 2),
    ("1 == (1 && 2)", False),
    ("false && 0 || null", None),
    ("false && (0 || null)", False),
    ("1 || 2 && 3", 1),
    ("(1 || 2) && 3", 3),
    ("!2 < 3", True),
    ("!(2 < 3)", False),
    ("!!'a'", True),
    ("!github.ref", False),
    ("(!github).ref", None),
    ("!true == false", True),
    ("! true", False),
    ("1<2", True),
    ("1>=1&&2!=3", True),
    ("((((1))))", 1),
]


@pytest.mark.parametrize(("text", "expected"), PRECEDENCE)
def test_precedence(text: str, expected: Value) -> None:
    assert same(value(text), expected)


LOGIC: list[tuple[str, Value]] = [
    ("null && true", None),
    ("1 && 2 && 3", 3),
    ("1 && '' && 3", ""),
    ("true && 'x'", "x"),
    ("false || ''", ""),
    ("0 || null || 'x' || 'y'", "x"),
    ("'' || 0", 0),
    ("!null", True),
    ("!''", True),
    ("!0", True),
    ("!NaN", True),
    ("!' '", False),
    ("!'0'", False),
    ("!'false'", False),
    ("!github.empty.list", False),
    ("!github.empty.map", False),
    ("false && fromJSON('broken')", False),
    ("true || fromJSON('broken')", True),
    ("1 && 0 && fromJSON('broken')", 0),
]


@pytest.mark.parametrize(("text", "expected"), LOGIC)
def test_logic_gives_values_and_stops_early(text: str, expected: Value) -> None:
    assert same(value(text), expected)


TRUTH: list[tuple[Value, bool]] = [
    (None, False),
    (False, False),
    (True, True),
    (0, False),
    (-0.0, False),
    (NAN, False),
    (1, True),
    (-1.5, True),
    (INFINITY, True),
    ("", False),
    (" ", True),
    ("0", True),
    ("false", True),
    ([], True),
    ({}, True),
]


@pytest.mark.parametrize(("given_value", "expected"), TRUTH)
def test_truth(given_value: Value, expected: bool) -> None:
    assert truthy(given_value) is expected


EQUAL = """
null == null -> true
null == 0 -> true
null == '' -> true
null == false -> true
null == '  ' -> true
null == 'null' -> false
null == github.empty.map -> false
'' == 0 -> true
'' == false -> true
false == '' -> true
true == '1' -> true
true == 1 -> true
true == 'true' -> false
true == 2 -> false
false == '0x0' -> true
1 == 'a' -> false
1 == '1' -> true
1 == ' 1.0 ' -> true
255 == '0xFF' -> true
15 == '0o17' -> true
-1 == '0xFFFFFFFF' -> true
Infinity == 'Infinity' -> true
Infinity == 'infinity' -> true
Infinity == 'inf' -> false
10 == '1_0' -> false
10 == '1e1' -> true
NaN == NaN -> false
NaN != NaN -> true
NaN == 'NaN' -> false
0 == -0 -> true
'a' == 'A' -> true
'a' == 'b' -> false
'1' == '1.0' -> false
'ς' == 'Σ' -> true
'σ' == 'ς' -> true
'ü' == 'Ü' -> true
'ı' == 'I' -> false
'İ' == 'i' -> false
'ß' == 'SS' -> false
'ﬁ' == 'FI' -> false
fromJSON('[]') == fromJSON('[]') -> false
fromJSON('{}') == fromJSON('{}') -> false
github == github -> true
github.list == github.list -> true
github.list == github.nested -> false
github.list != github.list -> false
github.* == github.* -> false
github.empty.map == '' -> false
github.empty.list == 0 -> false
github.empty.list == null -> false
github.list == 'Array' -> false
matrix.version == '3.10' -> true
matrix.flag == 1 -> true
matrix.huge == Infinity -> true
"""


@pytest.mark.parametrize(("text", "expected"), table(EQUAL))
def test_equality(text: str, expected: str) -> None:
    assert value(text) is (expected == "true")


def test_equality_of_values() -> None:
    assert equals("Linux", "linux")
    assert equals(1, 1.0)
    assert equals(True, "1")
    assert not equals([1], [1])
    assert not equals(None, {})


ORDER = """
1 < 2 -> true
2 < 1 -> false
1 < '2' -> true
'10' > 9 -> true
'10' > '9' -> false
'a' < 'B' -> true
'a' < '[' -> true
'A' < 'a' -> false
'A' <= 'a' -> true
'A' >= 'a' -> true
'' < 'a' -> true
'ab' > 'a' -> true
'\U0001f600' < '\ufffd' -> true
false < true -> true
true > false -> true
true < true -> false
true >= 1 -> true
null < null -> false
null > null -> false
null <= null -> true
null >= null -> true
null < 1 -> true
null < 'a' -> false
NaN < 1 -> false
NaN > 1 -> false
NaN <= NaN -> false
1 < 'a' -> false
1 > 'a' -> false
Infinity > 1e308 -> true
github < github -> false
github <= github -> true
github.list >= github.list -> true
github.empty.map < 1 -> false
github.empty.map > null -> false
github.list <= github.nested -> false
matrix.huge > 1 -> true
"""


@pytest.mark.parametrize(("text", "expected"), table(ORDER))
def test_order(text: str, expected: str) -> None:
    assert value(text) is (expected == "true")


TEXTS: list[tuple[Value, str]] = [
    (None, ""),
    (True, "true"),
    (False, "false"),
    ("as it is", "as it is"),
    ([], "Array"),
    ([1], "Array"),
    ({}, "Object"),
    (CaseSensitive(a=1), "Object"),
    (0, "0"),
    (-0.0, "0"),
    (1.0, "1"),
    (-2.0, "-2"),
    (3.10, "3.1"),
    (0.5, "0.5"),
    (123456.789, "123456.789"),
    (0.84551240822557006, "0.84551240822557"),
    (0.1 + 0.2, "0.3"),
    (999999999999999, "999999999999999"),
    (10**15, "1E+15"),
    (1e15, "1E+15"),
    (-(10**15), "-1E+15"),
    (1234567890123456789, "1.23456789012346E+18"),
    (1e21, "1E+21"),
    (1e100, "1E+100"),
    (0.0001, "0.0001"),
    (0.00001, "1E-05"),
    (1.5e-7, "1.5E-07"),
    (NAN, "NaN"),
    (INFINITY, "Infinity"),
    (-INFINITY, "-Infinity"),
    (10**400, "Infinity"),
    (-(10**400), "-Infinity"),
]


@pytest.mark.parametrize(("given_value", "expected"), TEXTS)
def test_text_of_a_value(given_value: Value, expected: str) -> None:
    assert to_string(given_value) == expected
    assert evaluate("format('{0}', inputs)", {"inputs": given_value}) == expected


ACCESS: list[tuple[str, Value]] = [
    ("github.ref", "refs/heads/main"),
    ("GitHub.REF", "refs/heads/main"),
    ("github.actor", "mona"),
    ("github['ACTOR']", "mona"),
    ("github . ref", "refs/heads/main"),
    ("github\n.\nref", "refs/heads/main"),
    ("github.b-ar", "hyphen"),
    ("github._x", "underscore"),
    ("github.true", "a name"),
    ("github.null", "another"),
    ("github.NaN", "a third"),
    ("github.format", "a fourth"),
    ("(github).ref", "refs/heads/main"),
    ("((github)['ref'])", "refs/heads/main"),
    ("github.exact.Key", "upper"),
    ("github.exact.key", "lower"),
    ("github.exact.KEY", "upper"),
    ("env.Path", "/bin"),
    ("env.PATH", "/usr/bin"),
    ("env.path", None),
    ("env['Path']", "/bin"),
    ("fromJSON('{\"One\": 1}').ONE", 1),
    ("fromJSON('[1, 2]')[1]", 2),
    ("(fromJSON('{\"a\": [7]}')).a[0]", 7),
    # what is not there
    ("github.missing", None),
    ("github.missing.deeper['x'][1].y", None),
    ("github.none.x", None),
    ("github.ref.x", None),
    ("github.ref[0]", None),
    ("('abc')[0]", None),
    ("(1).x", None),
    ("strategy", None),
    ("strategy.x", None),
    ("github.missing[fromJSON('broken')]", None),
    # keys are texts
    ("github[5]", "five"),
    ("github[null]", "empty key"),
    ("github['']", "empty key"),
    ("github[true]", "a name"),
    ("github[.5]", "half"),
    ("github['*']", "star"),
    ("github[github.list]", None),
    ("github[github.map]", None),
    ("github.map[github.list[9] || 'two'].v", 2),
    # indexes are numbers
    ("github.list[0]", "a"),
    ("github.list[2]", "c"),
    ("github.list[3]", None),
    ("github.list[-1]", None),
    ("github.list[-.5]", None),
    ("github.list[1.9]", "b"),
    ("github.list['1']", "b"),
    ("github.list[' 0x02 ']", "c"),
    ("github.list[null]", "a"),
    ("github.list[false]", "a"),
    ("github.list[true]", "b"),
    ("github.list['']", "a"),
    ("github.list['x']", None),
    ("github.list[NaN]", None),
    ("github.list[Infinity]", None),
    ("github.list[1e300]", None),
    ("github.list[github.map]", None),
    ("github.list.length", None),
]


@pytest.mark.parametrize(("text", "expected"), ACCESS)
def test_access(text: str, expected: Value) -> None:
    assert same(value(text), expected)


FILTERS: list[tuple[str, Value]] = [
    ("github.list.*", ["a", "b", "c"]),
    ("github.list[*]", ["a", "b", "c"]),
    ("github.map.*.v", [1, 2]),
    ("github.map[*]['v']", [1, 2]),
    ("github.labels.*.name", ["bug", "help"]),
    ("github.labels[*].NAME", ["bug", "help"]),
    ("github.labels.*.id", [1, 2]),
    ("github.labels.*.missing", []),
    ("github.nested.*[0]", ["a", "c", "zero"]),
    ("github.nested.*[1]", ["b"]),
    ("github.nested.*.*", ["a", "b", "c", "zero"]),
    ("github.nested.*[github.map]", []),
    ("(github.nested.*)[0]", ["a", "c", "zero"]),
    ("(github.labels.*.name)[0]", []),
    ("(github.nested.* || 'x')[1]", ["b"]),
    ("case(true, github.nested.*, null)[1]", ["b"]),
    ("github.ref.*", []),
    ("github.missing.*", []),
    ("github.missing.*.name", []),
    ("github.none.*", []),
    ("(1).*", []),
    ("github.empty.map.*", []),
    ("github.empty.list.*.x", []),
    ("github.list.*.*", []),
    ('fromJSON(\'[{"a": 1}, {"a": null}]\').*.a', [1, None]),
]


@pytest.mark.parametrize(("text", "expected"), FILTERS)
def test_filters(text: str, expected: Value) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is list


CONTAINS = """
contains('Hello', 'ELL') -> true
contains('Hello', 'x') -> false
contains('Hello', '') -> true
contains('Hello', null) -> true
contains(null, '') -> true
contains(null, 'a') -> false
contains('', '') -> true
contains(123, 2) -> true
contains(true, 'RU') -> true
contains('Object', github.map) -> false
contains('Array', github.list) -> false
contains(github.list, 'B') -> true
contains(github.list, 'bc') -> false
contains(github.list, '') -> false
contains(github.empty.list, '') -> false
contains(github.empty.list, null) -> false
contains(github.map, 'one') -> false
contains(fromJSON('[1]'), '1') -> true
contains(fromJSON('[1]'), 1) -> true
contains(fromJSON('["true"]'), true) -> false
contains(fromJSON('[null]'), 0) -> true
contains(fromJSON('[[]]'), github.empty.list) -> false
contains(github.nested, github.nested[0]) -> true
contains(github.labels.*.name, 'HELP') -> true
contains('straße', 'STRASSE') -> false
contains('Ünder', 'ü') -> true
CONTAINS('a', 'A') -> true
startsWith('Hello', 'HE') -> true
startsWith('Hello', 'lo') -> false
startsWith('Hello', '') -> true
startsWith(null, '') -> true
startsWith(123, 12) -> true
startsWith(github.list, 'A') -> false
startsWith('Array', github.list) -> false
startsWith(github.map, github.map) -> false
endsWith('Hello', 'LLO') -> true
endsWith('Hello', 'he') -> false
endsWith('Hello', null) -> true
endsWith(123, 23) -> true
endsWith(true, 'UE') -> true
endsWith(github.list, '') -> false
ENDSwith('x', 'X') -> true
"""


@pytest.mark.parametrize(("text", "expected"), table(CONTAINS))
def test_search(text: str, expected: str) -> None:
    assert value(text) is (expected == "true")


FORMATS: list[tuple[str, str]] = [
    ("format(null)", ""),
    ("format(null, 'arg')", ""),
    ("format('')", ""),
    ("format(12)", "12"),
    ("format('123{0}456', 'abc')", "123abc456"),
    ("format('{0}{1}{0}', 'a', 'b')", "aba"),
    ("format('{1}', 'a', 'b')", "b"),
    ("format('{0}', null)", ""),
    ("format('{0} {1} {2}', true, 1.50, github.list)", "true 1.5 Array"),
    ("format('{0}', github)", "Object"),
    ("format('{00}', 'a')", "a"),
    ("format('{{0}}', 'abc')", "{0}"),
    ("format('{{{0}}}', 'abc')", "{abc}"),
    ("format('{{{{0}}}}', 'abc')", "{{0}}"),
    ("format('}}{{}}')", "}{}"),
    ("format('{0}', '{1}{')", "{1}{"),
    ("format('{0}', 'a', fromJSON('broken'))", "a"),
    ("format('none', fromJSON('broken'))", "none"),
]


@pytest.mark.parametrize(("text", "expected"), FORMATS)
def test_format(text: str, expected: str) -> None:
    assert value(text) == expected


BROKEN_FORMATS = ["{", "}", "{0", "0}", "{}", "{ 0}", "{a}", "{0:x}", "{-1}", "{0}}", "{0}}}}"]
BROKEN_FORMATS += ["{{0}", "{{{{0}", "}0{", "}{0}", "{0}{", "{256}", "{" + "9" * 5000 + "}"]


@pytest.mark.parametrize("template", BROKEN_FORMATS)
def test_broken_formats(template: str) -> None:
    error = failure(value, f"true && format('{template}', '')")
    assert "format() cannot read" in error.message
    assert (error.offset, error.length) == (8, 6)


@pytest.mark.parametrize("text", ["format('{0}')", "format('{0}{1}', 'a')", "format('{255}', 1)"])
def test_formats_that_lack_an_argument(text: str) -> None:
    assert "has no argument for" in failure(value, text).message


JOINS: list[tuple[str, str]] = [
    ("join(github.list)", "a,b,c"),
    ("join(github.list, ', ')", "a, b, c"),
    ("join(github.list, '')", "abc"),
    ("join(github.list, null)", "abc"),
    ("join(github.list, true)", "atruebtruec"),
    ("join(github.list, 1.5)", "a1.5b1.5c"),
    ("join(github.list, github.map)", "a,b,c"),
    ("join(github.list, github.list)", "a,b,c"),
    ("join(github.nested, '|')", "Array|Array|scalar|Object"),
    ("join(fromJSON('[null, true, 1.50, null]'))", ",true,1.5,"),
    ("join(github.labels.*.name, ' ')", "bug help"),
    ("join('abc', '-')", "abc"),
    ("join(null)", ""),
    ("join(true)", "true"),
    ("join(12.50)", "12.5"),
    ("join(github.empty.list)", ""),
    ("join(github.map)", ""),
    ("join(fromJSON('[\"only\"]'), fromJSON('broken'))", "only"),
]


@pytest.mark.parametrize(("text", "expected"), JOINS)
def test_join(text: str, expected: str) -> None:
    assert value(text) == expected


WRITTEN: list[tuple[Value, str]] = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (-0.0, "0"),
    (1.0, "1"),
    (1234.5, "1234.5"),
    (1e15, "1E+15"),
    (NAN, "NaN"),
    (-INFINITY, "-Infinity"),
    ("", '""'),
    ('a"b\\c\n\t\x01', r'"a\"b\\c\n\t\u0001"'),
    ("Grüße/☃", '"Grüße/☃"'),
    ([], "[]"),
    ({}, "{}"),
    ([1, 2], "[\n  1,\n  2\n]"),
    ({"b": 1, "a": [2]}, '{\n  "b": 1,\n  "a": [\n    2\n  ]\n}'),
    ([[], {}, [None]], "[\n  [],\n  {},\n  [\n    null\n  ]\n]"),
    ({'k"': "v"}, '{\n  "k\\"": "v"\n}'),
]


@pytest.mark.parametrize(("given_value", "expected"), WRITTEN)
def test_to_json(given_value: Value, expected: str) -> None:
    assert evaluate("toJSON(inputs)", {"inputs": given_value}) == expected


READ: list[tuple[str, Value]] = [
    ("null", None),
    ("true", True),
    (" 1 ", 1),
    ("-0", 0),
    ("1.0", 1),
    ("1234.5", 1234.5),
    ("1e2", 100),
    ("123456789012345678901234567890", 123456789012345678901234567890.0),
    ("1e999", INFINITY),
    ("9" * 5000, INFINITY),
    ('"a\\u0041\\n"', "aA\n"),
    ('"\\ud83d\\ude00"', "😀"),
    ('[1, "2", [true], {}]', [1, "2", [True], {}]),
    ('{"a": {"b": null}}', {"a": {"b": None}}),
    ('{"a": 1, "a": 2}', {"a": 2}),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_from_json(text: str, expected: Value) -> None:
    assert same(evaluate("fromJSON(inputs)", {"inputs": text}), expected)


UNREADABLE: list[Value] = ["", " ", None, "nope", "{", "[1,]", "{'a': 1}", "{a: 1}", "1 2", "01"]
UNREADABLE += ["NaN", "Infinity", "-Infinity", '"\n"', '"\\x"', "\ufeff1", [], {}, "// c\n1"]
UNREADABLE += ['"\\ud800"', '{"\\ud800": 1}', "True"]


@pytest.mark.parametrize("given_value", UNREADABLE)
def test_from_json_refuses(given_value: Value) -> None:
    error = failure(evaluate, "1 && fromJSON(inputs)", {"inputs": given_value})
    assert error.message.startswith("fromJSON() got ")
    assert (error.offset, error.length) == (5, 8)


@pytest.mark.parametrize("shape", ["[{0}]", '{{"a":{0}}}'])
def test_json_may_nest_a_hundred_deep_and_no_more(shape: str) -> None:
    start, end = shape.format("|").split("|")
    fine = start * 100 + "1" + end * 100
    written = evaluate("toJSON(fromJSON(inputs))", {"inputs": fine})
    assert json.loads(str(written)) == json.loads(fine)
    for depth in (101, 5_000, 200_000):
        deep = start * depth + "1" + end * depth
        error = failure(evaluate, "fromJSON(inputs)", {"inputs": deep})
        assert "nests deeper than 100" in error.message


def test_brackets_in_texts_do_not_count_as_nesting() -> None:
    text = json.dumps(["[" * 500 + '"' + "{" * 500] * 3)
    assert evaluate("fromJSON(inputs)", {"inputs": text}) == json.loads(text)


def boxed(inner: Value, depth: int) -> Value:
    for number in range(depth):
        inner = [inner] if number % 2 else {"a": inner}
    return inner


@pytest.mark.parametrize("inner", [1, "x", "${{ 1 }}"])
def test_data_may_nest_a_hundred_deep_everywhere(inner: Value) -> None:
    evaluate("toJSON(inputs)", {"inputs": boxed(inner, 100)})
    assert resolve(boxed(inner, 100), {}) == boxed(resolve(inner, {}), 100)
    for depth in (101, 50_000):
        deep = boxed(inner, depth)
        assert "deeper" in failure(evaluate, "toJSON(inputs)", {"inputs": deep}).message
        assert "deeper" in failure(resolve, deep, {}).message


def test_texts_do_not_grow_without_end() -> None:
    text = "'" + "x" * 100 + "'"
    for _ in range(6):
        text = f"format('{'{0}' * 100}', {text})"
    assert "grows beyond" in failure(evaluate, text, {}).message


CHOICES: list[tuple[str, Value]] = [
    ("case(true, 'first', 'default')", "first"),
    ("case(false, 'first', 'default')", "default"),
    ("case(false, 1, true, 2, 3)", 2),
    ("case(false, 1, false, 2, 3)", 3),
    ("case(1 == 1, null, 3)", None),
    ("case(true, 1, fromJSON('broken'), 2, 3)", 1),
    ("case(false, fromJSON('broken'), 3)", 3),
    ("case(true, 1, fromJSON('broken'))", 1),
    ("CASE(!null, github.list, 0)", ["a", "b", "c"]),
]


@pytest.mark.parametrize(("text", "expected"), CHOICES)
def test_case(text: str, expected: Value) -> None:
    assert same(value(text), expected)


@pytest.mark.parametrize("predicate", ["1", "'true'", "null", "github", "fromJSON('[]')"])
def test_case_takes_only_booleans(predicate: str) -> None:
    error = failure(value, f"case(false, 0, {predicate}, 1, 2)")
    assert error.message == "case() needs true or false as argument 3"


def test_functions_from_outside_get_values() -> None:
    seen: list[tuple[Value, ...]] = []

    def hash_files(*arguments: Value) -> Value:
        seen.append(arguments)
        return "digest"

    found = evaluate("HashFiles('a', github.list, 1)", CASES, {"hashfiles": hash_files})
    assert found == "digest"
    assert seen == [("a", ["a", "b", "c"], 1)]


def test_status_functions_may_name_jobs() -> None:
    found = evaluate("success('a', 'b')", {}, {"success": lambda *jobs: len(jobs)})
    assert found == 2


def test_a_function_that_was_not_passed_in_is_an_error() -> None:
    error = failure(evaluate, "true && hashFiles('x')", {})
    assert error.message == "hashFiles() cannot be used here"
    assert (error.offset, error.length) == (8, 9)
    assert evaluate("false && hashFiles('x')", {}) is False


def test_names_of_ones_own() -> None:
    expression = parse("Mine(1, foo.x)", contexts=["foo"], functions=["mine"])
    assert expression.evaluate({"foo": {"x": 2}}, {"mine": lambda a, b: [a, b]}) == [1, 2]


def nested(start: str, inner: str, end: str, depth: int) -> str:
    return start * depth + inner + end * depth


LIMITS = [
    nested("!", "false", "", 49),
    nested("format(", "1", ")", 49),
    "github" + ".x" * 49,
    "github" + "[0]" * 49,
    " == ".join(["1"] * 50),
    " && ".join(["1"] * 60),
    " || ".join(["0"] * 3000),
    "1 && (" * 60 + "1" + ")" * 60,
    nested("(", "1", ")", 64),
    "'" + "x" * 20_998 + "'",
]


@pytest.mark.parametrize("text", LIMITS, ids=lambda text: text[:20])
def test_what_is_just_within_the_limits(text: str) -> None:
    parse(text).evaluate({})


BEYOND = [
    (nested("!", "false", "", 50), 0, "nests deeper than 50"),
    (nested("!", "false", "", 20_000), 19_950, "nests deeper than 50"),
    (nested("format(", "1", ")", 50), 0, "nests deeper than 50"),
    ("github" + ".x" * 50, 104, "nests deeper than 50"),
    ("github" + ".x" * 10_000, 104, "nests deeper than 50"),
    ("github" + "[0]" * 50, 153, "nests deeper than 50"),
    (" == ".join(["1"] * 51), 247, "nests deeper than 50"),
    (nested("(", "1", ")", 65), 64, "more than 64 brackets"),
    (nested("(", "1", ")", 10_000), 64, "more than 64 brackets"),
    (nested("github[", "1", "]", 2_000), 454, "more than 64 brackets"),
    (nested("0||0&&0==0<!format(", "1", ")", 900), 1234, "more than 64 brackets"),
    ("'" + "x" * 20_999 + "'", 0, "at most 21000"),
    (f"format({', '.join(['1'] * 256)})", 0, "takes 1 to 255 arguments"),
]


@pytest.mark.parametrize(("text", "offset", "message"), BEYOND, ids=lambda part: str(part)[:20])
def test_what_is_beyond_the_limits(text: str, offset: int, message: str) -> None:
    error = failure(parse, text)
    assert message in error.message
    assert error.offset == offset


def test_calls_are_collected_everywhere() -> None:
    expression = parse("false && Always() || toJSON(github[format('x')])")
    assert expression.calls == {"always", "tojson", "format"}
    assert parse("'always()'").calls == frozenset()


REFERENCES: list[tuple[str, list[tuple[tuple[str | None, ...], str]]]] = [
    ("1", []),
    ("github", [(("github",), "github")]),
    ("GitHub.Ref", [(("github", "Ref"), "GitHub.Ref")]),
    (
        "needs.build.outputs['x']",
        [(("needs", "build", "outputs", "x"), "needs.build.outputs['x']")],
    ),
    ("github [ 5 ] . x", [(("github", "5", "x"), "github [ 5 ] . x")]),
    ("steps.*.outputs", [(("steps", None), "steps.*")]),
    ("steps[*].outputs", [(("steps", None), "steps[*]")]),
    (
        "matrix[github.x].y",
        [(("matrix", None), "matrix[github.x]"), (("github", "x"), "github.x")],
    ),
    ("(github).ref", [(("github",), "github")]),
    (
        "env.A == toJSON(secrets) && !vars.B",
        [(("env", "A"), "env.A"), (("secrets",), "secrets"), (("vars", "B"), "vars.B")],
    ),
    ("fromJSON(env.A).b.c", [(("env", "A"), "env.A")]),
    ("false && env.A", [(("env", "A"), "env.A")]),
]


@pytest.mark.parametrize(("text", "expected"), REFERENCES)
def test_references(text: str, expected: list[tuple[tuple[str | None, ...], str]]) -> None:
    assert list(references(parse(text), text)) == expected


def references(expression: Expression, text: str) -> Iterable[tuple[tuple[str | None, ...], str]]:
    for each in expression.references:
        yield each.path, text[each.offset : each.offset + each.length]


def test_parsing_is_cached() -> None:
    assert parse("github.ref == 'x'") is parse("github.ref == 'x'")
    assert parse("github.ref", ["github"]) is parse("github.ref", ("github",))


TEMPLATES: list[tuple[str, Value]] = [
    ("", ""),
    ("plain", "plain"),
    ("a } b }} c { d $ {{ }}", "a } b }} c { d $ {{ }}"),
    ("${{ github.list }}", ["a", "b", "c"]),
    ("${{github.list}}", ["a", "b", "c"]),
    ("${{\n github.list\n}}", ["a", "b", "c"]),
    ("${{ true }}", True),
    ("${{ null }}", None),
    ("${{ 1.50 }}", 1.5),
    ("${{ 'text' }}", "text"),
    ("${{ '${{ x }}' }}", "${{ x }}"),
    ("${{ '}}' }}", "}}"),
    ("${{ 'it''s }}' }}", "it's }}"),
    (" ${{ github.list }}", " Array"),
    ("${{ github.map }}\n", "Object\n"),
    ("${{ true }}${{ null }}", "true"),
    ("[${{ null }}]", "[]"),
    ("v${{ matrix.version }}-${{ matrix.os }}", "v3.1-linux"),
    ("it's {0} {{ ${{ 1 }} }} '", "it's {0} {{ 1 }} '"),
    ("${{ 1 }}}", "1}"),
    ("{${{ 1 }}}}", "{1}}"),
    ("$${{ 1 }}", "$1"),
    ("${{ '{0}' }}x", "{0}x"),
    ("${{ format('{0}', 1) }}x", "1x"),
]


@pytest.mark.parametrize(("text", "expected"), TEMPLATES)
def test_templates(text: str, expected: Value) -> None:
    assert same(parse_template(text).evaluate(CASES), expected)
    assert same(resolve(text, CASES), expected)


BROKEN_TEMPLATES = [
    ("${{", 0, 3, "not closed"),
    ("a ${{ 1 } b", 2, 3, "not closed"),
    ("${{ 'x }}", 0, 3, "not closed"),
    ("${{ 1 }} ${{ 2", 9, 3, "not closed"),
    ("${{}}", 0, 5, "expression was expected"),
    ("ab ${{   }}", 3, 8, "expression was expected"),
    ("ab ${{ nope }}", 7, 4, "unknown context `nope`"),
    ("${{ 1 }} ${{\n  1 = 1 }}", 17, 1, "unexpected `=`"),
    ("${{ github. }}", 11, 1, "unexpected end"),
    ("${{ insert }}", 4, 6, "unknown context `insert`"),
]


@pytest.mark.parametrize(("text", "offset", "length", "message"), BROKEN_TEMPLATES)
def test_broken_templates_say_where(text: str, offset: int, length: int, message: str) -> None:
    error = failure(parse_template, text)
    assert message in error.message
    assert (error.offset, error.length) == (offset, length)


@pytest.mark.parametrize(
    ("text", "offset"), [("${{ toJSON(fromJSON('')) }}", 11), ("a ${{ fromJSON('') }}", 6)]
)
def test_a_template_that_fails_says_where(text: str, offset: int) -> None:
    error = failure(lambda: parse_template(text).evaluate({}))
    assert (error.offset, error.length) == (offset, 8)


def test_a_template_lists_its_expressions() -> None:
    text = "a ${{ github.ref }} b ${{env.X}}"
    found = parse_template(text).expressions
    assert [(offset, each.text) for offset, each in found] == [(6, "github.ref"), (25, "env.X")]
    assert all(text[offset:].startswith(each.text) for offset, each in found)
    assert parse_template("plain").expressions == ()


def test_a_template_knows_only_the_names_it_may_use() -> None:
    error = failure(parse_template, "x ${{ secrets.A }}", contexts=["github"])
    assert error.message == "context `secrets` is not available here"
    error = failure(
        lambda: parse_template("x ${{ always() }}", functions=FUNCTIONS - STATUS_FUNCTIONS)
    )
    assert error.message == "function `always` is not available here"


def test_mixed_text_keeps_to_the_limits_of_format() -> None:
    within = "x" * 20_984 + "${{ 1 }}"
    assert parse_template(within).evaluate({}) == "x" * 20_984 + "1"
    assert "at most 21000" in failure(parse_template, "x" + within).message
    assert parse_template("x" + "${{ 1 }}" * 254).evaluate({}) == "x" + "1" * 254
    assert "arguments" in failure(parse_template, "${{ 1 }}" * 255).message
    deep = "${{ " + "!" * 49 + "false }}"
    assert parse_template(deep).evaluate({}) is True
    assert "deeper than 50" in failure(parse_template, "x" + deep).message
    assert parse_template("x" * 100_000).evaluate({}) == "x" * 100_000


@pytest.mark.parametrize(
    ("text", "expected"), [("${{", True), ("a ${{ 1 }}", True), ("$ {{", False), ("", False)]
)
def test_has_expression(text: str, expected: bool) -> None:
    assert has_expression(text) is expected


def test_resolve_walks_lists_and_maps() -> None:
    given_value = {
        "plain": 1,
        "list": ["${{ github.list }}", {"deep": "${{ matrix.os }}!"}, None],
        "${{ matrix.os }}": "${{ true }}",
    }
    assert resolve(given_value, CASES) == {
        "plain": 1,
        "list": [["a", "b", "c"], {"deep": "linux!"}, None],
        "linux": True,
    }


def test_resolve_leaves_its_input_alone() -> None:
    given_value = {"a": ["${{ 1 }}"]}
    resolve(given_value, {})
    assert given_value == {"a": ["${{ 1 }}"]}


def test_results_are_not_evaluated_again() -> None:
    assert resolve("${{ inputs }}", {"inputs": "${{ secrets }}"}) == "${{ secrets }}"
    assert resolve(["${{ inputs }}"], {"inputs": ["${{ 1 }}"]}) == [["${{ 1 }}"]]


def test_insert_merges_a_map() -> None:
    given_value = {"a": 1, "${{ insert }}": "${{ inputs }}", "z": 2}
    assert resolve(given_value, {"inputs": {"b": 3}}) == {"a": 1, "b": 3, "z": 2}
    assert "takes a map" in failure(resolve, given_value, {"inputs": "x"}).message
    assert "`A` is already" in failure(resolve, given_value, {"inputs": {"A": 0}}).message


def test_keys_are_texts_and_do_not_repeat() -> None:
    assert resolve({"${{ 1.50 }}": 1}, {}) == {"1.5": 1}
    assert "a key cannot" in failure(resolve, {"${{ inputs }}": 1}, {"inputs": []}).message
    error = failure(resolve, {"A": 1, "${{ 'a' }}": 2}, {})
    assert error.message == "the key `a` is already defined"


STATUS: list[tuple[Value, bool, bool]] = [
    # condition, result when all went well, result after a failure
    (None, True, False),
    ("", True, False),
    ("  \n", True, False),
    (True, True, False),
    (False, False, False),
    (0, False, False),
    (1, True, False),
    ("true", True, False),
    ("false", False, False),
    ("'false'", True, False),
    ("${{ 'false' }}", True, False),
    ("${{ false }}", False, False),
    ("true && ${{ false }}", True, False),
    (" ${{ false }}", True, False),
    ("github.ref == 'refs/heads/main'", True, False),
    ("${{ github.ref == 'other' }}", False, False),
    ("always()", True, True),
    ("${{ ALWAYS() }}", True, True),
    ("!cancelled()", True, True),
    ("failure()", False, True),
    ("success()", True, False),
    ("success() || failure()", True, True),
    ("(true || always())", True, True),
    ("!(false && failure())", True, True),
    ("contains(toJSON(always()), 'true')", True, True),
    ("github['always']", False, False),
    ("'always()'", True, False),
    ("'always()' && true", True, False),
    ("x ${{ always() && false }}", True, True),
    ("github.list", True, False),
    ("matrix.version", True, False),
]


@pytest.mark.parametrize(("condition", "well", "failed"), STATUS)
def test_conditions(condition: Value, well: bool, failed: bool) -> None:
    expression = parse_condition(condition)
    assert truthy(expression.evaluate(CASES, status(True))) is well
    assert truthy(expression.evaluate(CASES, status(False))) is failed


def status(succeeded: bool) -> Functions:
    """The status functions of a job that went well so far, or did not."""
    return {
        "success": lambda: succeeded,
        "failure": lambda: not succeeded,
        "always": lambda: True,
        "cancelled": lambda: False,
    }


BROKEN_CONDITIONS: list[tuple[Value, int, str]] = [
    ("nope", 0, "unknown context"),
    ("  github.ref == nope", 16, "unknown context"),
    ("${{ }}", 0, "expression was expected"),
    ("${{ nope }}", 4, "unknown context"),
    ("true && ${{ nope }}", 12, "unknown context"),
    ("true && ${{ true", 8, "not closed"),
    (["a"], 0, "not a list or a map"),
    ({}, 0, "not a list or a map"),
    ("0x1 1", 4, "unexpected `1`"),
]


@pytest.mark.parametrize(("condition", "offset", "message"), BROKEN_CONDITIONS)
def test_broken_conditions_say_where(condition: Value, offset: int, message: str) -> None:
    error = failure(parse_condition, condition)
    assert message in error.message
    assert error.offset == offset


def test_a_condition_that_fails_says_where() -> None:
    well = status(True)
    for text in ("  fromJSON('')", "${{ fromJSON('') }}", "a ${{ fromJSON('') }}"):
        condition = parse_condition(text)
        error = failure(condition.evaluate, {}, well)
        assert error.offset == text.index("fromJSON")


def test_a_condition_knows_calls_and_references() -> None:
    assert parse_condition("").calls == {"success"}
    assert parse_condition("true").calls == {"success"}
    assert parse_condition("a ${{ always() }} ${{ toJSON(1) }}").calls == {"always", "tojson"}
    for text in ("env.A", "${{ env.A }}", "a ${{ 1 }} ${{ env.A }}"):
        assert list(references(parse_condition(text), text)) == [(("env", "A"), "env.A")]


def test_a_condition_knows_only_the_names_it_may_use() -> None:
    error = failure(parse_condition, "secrets.A", contexts=CONTEXTS - {"secrets"})
    assert error.message == "context `secrets` is not available here"


def test_an_implicit_success_stops_early() -> None:
    condition = parse_condition("fromJSON('broken')")
    assert condition.evaluate({}, {"success": lambda: False}) is False


WORDS = "github env.A .x ['a'] [0] .* ( ) [ ] , ! == < && || 'a' '' 1 -1 .5 null true NaN format("
WORDS += """ contains( case( fromJSON('[1]') toJSON( join( always() ${{ }} {0} $ " '"""
SCRAPS = st.sampled_from(WORDS.split())
TEXT = st.one_of(st.text(max_size=60), st.lists(SCRAPS | st.just(" "), max_size=25).map("".join))
OUTSIDE: Functions = {name: lambda *_: True for name in [*STATUS_FUNCTIONS, "hashfiles"]}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=15,
)
#: Numbers of at most 15 digits, so that they survive being written.
SHORT = st.integers(-(10**14), 10**14) | st.integers(-(10**6), 10**6).map(lambda n: n / 64)
TIDY = st.recursive(
    st.none() | st.booleans() | SHORT | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=15,
)


def error_of(run: Callable[..., object], *arguments: object) -> ExpressionError | None:
    """The expression error that `run` ends with, if it does; any other error is the test's."""
    try:
        run(*arguments)
    except ExpressionError as error:
        return error
    return None


def evaluate_template(text: str, contexts: dict[str, Value]) -> Value:
    return parse_template(text).evaluate(contexts, OUTSIDE)


def evaluate_condition(text: str, contexts: dict[str, Value]) -> Value:
    return parse_condition(text).evaluate(contexts, OUTSIDE)


def resolve_all(text: str, contexts: dict[str, Value]) -> Value:
    return resolve({text: [text]}, contexts, OUTSIDE)


@settings(max_examples=200, deadline=None)
@given(TEXT, JSON)
def test_any_text_is_a_value_or_an_expression_error(text: str, data: Any) -> None:
    contexts: dict[str, Value] = {"github": data, "env": CaseSensitive(A=data)}
    errors = [
        error_of(evaluate, text, contexts, OUTSIDE),
        error_of(evaluate_template, text, contexts),
        error_of(evaluate_condition, text, contexts),
        error_of(resolve_all, text, contexts),
    ]
    for error in filter(None, errors):
        assert 0 <= error.offset <= len(text)
        assert error.length >= 1


@settings(max_examples=200, deadline=None)
@given(JSON, st.text(max_size=10))
def test_any_data_can_be_asked_anything(data: Any, key: str) -> None:
    contexts: dict[str, Value] = {"github": data, "inputs": key}
    for text in (
        "github[inputs]",
        "github.*[inputs].*",
        "github == inputs",
        "github.* <= github",
        "format('{0}{1}', github, inputs)",
        "join(github, inputs)",
        "toJSON(github)",
        "contains(github, inputs)",
        "startsWith(inputs, github)",
        "!github && github || inputs",
    ):
        evaluate(text, contexts)
    assert evaluate("github == inputs", contexts) is not evaluate("github != inputs", contexts)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_json_text_is_read_or_refused(text: str) -> None:
    for each in (text, json.dumps(text), f"[{text}]"):
        error = error_of(evaluate, "fromJSON(inputs)", {"inputs": each})
        assert error is None or error.message.startswith("fromJSON()")


@settings(max_examples=200, deadline=None)
@given(TIDY)
def test_json_comes_back_as_it_was(data: Any) -> None:
    assert evaluate("fromJSON(toJSON(inputs))", {"inputs": data}) == data
    assert json.loads(str(evaluate("toJSON(inputs)", {"inputs": data}))) == data


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e308, 1e308) | st.integers() | st.sampled_from([NAN, INFINITY, -INFINITY]))
def test_the_text_of_a_number_reads_as_that_number(number: float) -> None:
    text = to_string(number)
    read = evaluate("inputs < Infinity && inputs || inputs", {"inputs": text})
    assert read == text
    if number != number:
        assert text == "NaN"
        return
    again = evaluate(text, {})
    assert isinstance(again, int | float)
    assert to_string(again) == text
    assert equals(again, text)
    assert again == pytest.approx(float(number), rel=1e-14)


@settings(max_examples=200, deadline=None)
@given(SCALARS, SCALARS)
def test_comparisons_agree_with_each_other(left: Value, right: Value) -> None:
    contexts = {"github": left, "inputs": right}

    def holds(operator: str) -> bool:
        return evaluate(f"github {operator} inputs", contexts) is True

    assert holds("==") is equals(left, right) is equals(right, left)
    assert holds("<=") is (holds("<") or holds("=="))
    assert holds(">=") is (holds(">") or holds("=="))
    assert not (holds("<") and holds(">"))


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_can_be_quoted(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    assert evaluate(quoted, {}) == text
    assert parse_template("${{ " + quoted + " }}").evaluate({}) == text
    if not has_expression(text):
        assert parse_template(text + "${{ " + quoted + " }}").evaluate({}) == text + text
