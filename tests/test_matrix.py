"""Matrix expansion: GitHub's order, `exclude`, `include`, labels and limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.matrix import MatrixError, display_name, expand

Matrix = dict[str, Any]


def values(matrix: Matrix) -> list[Matrix]:
    return [combination.values for combination in expand(matrix)]


def labels(matrix: Matrix) -> list[str]:
    return [combination.label for combination in expand(matrix)]


def test_the_first_vector_varies_slowest() -> None:
    assert labels({"os": ["linux", "mac"], "node": [18, 20]}) == [
        "linux, 18",
        "linux, 20",
        "mac, 18",
        "mac, 20",
    ]


def test_the_fruit_and_animal_case_of_the_documentation() -> None:
    matrix = {
        "fruit": ["apple", "pear"],
        "animal": ["cat", "dog"],
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }
    assert values(matrix) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


EXCLUDED = [
    ("one value", {"os": "a"}, ["b, 1", "b, 2"]),
    ("several values", {"os": "a", "n": 1}, ["a, 2", "b, 1", "b, 2"]),
    ("nothing", {"os": "c"}, ["a, 1", "a, 2", "b, 1", "b, 2"]),
    ("any case, of value and key", {"OS": "A"}, ["b, 1", "b, 2"]),
    ("a number as text", {"n": "1"}, ["a, 2", "b, 2"]),
    ("a number written otherwise", {"n": "0x1"}, ["a, 2", "b, 2"]),
    ("true as one", {"n": True}, ["a, 2", "b, 2"]),
]


@pytest.mark.parametrize(
    ("entry", "expected"), [case[1:] for case in EXCLUDED], ids=[case[0] for case in EXCLUDED]
)
def test_exclude_compares_loosely(entry: Matrix, expected: list[str]) -> None:
    assert labels({"os": ["a", "b"], "n": [1, 2], "exclude": [entry]}) == expected


def test_exclude_compares_nested_values_by_subset() -> None:
    vector = [{"name": "a", "arch": ["x", "y"]}, {"name": "b", "arch": ["x"]}]
    assert labels({"on": vector, "exclude": [{"on": {"name": "a"}}]}) == ["b, x"]
    assert labels({"on": vector, "exclude": [{"on": {"arch": ["x", "y"]}}]}) == ["b, x"]
    assert labels({"on": vector, "exclude": [{"on": {"size": 1}}]}) == ["a, x, y", "b, x"]


def test_extras_never_serve_as_a_filter() -> None:
    """The second entry knows `tag` only as an extra, so it matches all and overwrites."""
    matrix = {"os": ["a", "b"], "include": [{"os": "a", "tag": "x"}, {"tag": "y", "more": 1}]}
    assert values(matrix) == [
        {"os": "a", "tag": "y", "more": 1},
        {"os": "b", "tag": "y", "more": 1},
    ]


def test_a_later_extra_overwrites_an_earlier_one_in_any_case() -> None:
    matrix = {"os": ["a"], "include": [{"Tag": "x"}, {"tag": "y"}]}
    assert values(matrix) == [{"os": "a", "Tag": "y"}]


def test_an_include_for_an_excluded_combination_is_appended() -> None:
    matrix = {
        "os": ["a", "b"],
        "exclude": [{"os": "a"}],
        "include": [{"os": "a", "tag": "x"}, {"tag": "y"}],
    }
    assert values(matrix) == [{"os": "b", "tag": "y"}, {"os": "a", "tag": "x"}]


def test_a_matrix_of_includes_alone() -> None:
    matrix = {"include": [{"os": "a", "n": 1}, {"os": "b"}, {"n": 1}]}
    assert values(matrix) == [{"os": "a", "n": 1}, {"os": "b"}, {"n": 1}]
    assert labels(matrix) == ["a, 1", "b", "1"]


def test_an_include_that_is_appended_is_not_extended_by_others() -> None:
    matrix = {"os": ["a"], "include": [{"os": "z"}, {"os": "z", "tag": "x"}]}
    assert values(matrix) == [{"os": "a"}, {"os": "z"}, {"os": "z", "tag": "x"}]


LABELS = [
    ("text and number", {"a": ["x"], "b": [3.10]}, "x, 3.1"),
    ("boolean", {"a": [True], "b": [False]}, "true, false"),
    ("null and empty text are left out", {"a": [None], "b": [""], "c": ["x"]}, "x"),
    ("leaves of nested values", {"a": [{"v": 1, "w": ["y", {"z": 2}]}]}, "1, y, 2"),
    ("nothing to show", {"a": [None]}, ""),
    ("extras are left out", {"a": [1], "include": [{"a": 1, "b": 2}]}, "1"),
]


@pytest.mark.parametrize(
    ("matrix", "label"), [case[1:] for case in LABELS], ids=[case[0] for case in LABELS]
)
def test_labels(matrix: Matrix, label: str) -> None:
    assert labels(matrix) == [label]


def test_display_names() -> None:
    assert display_name("build", "") == "build"
    assert display_name("build", "a, 1") == "build (a, 1)"
    exact = display_name("b" * 94, "abc")
    assert len(exact) == 100
    assert exact.endswith("(abc)")
    long = display_name("b" * 94, "abcd")
    assert len(long) == 100
    assert long.endswith("(a...")


INVALID: list[tuple[Any, str, tuple[str | int, ...]]] = [
    (None, "must be a mapping", ()),
    ([1], "must be a mapping", ()),
    ({}, "at least one list", ()),
    ({"include": []}, "at least one list", ()),
    ({"exclude": [{"os": "a"}]}, "no list of values `os`", ("exclude", 0, "os")),
    ({"os": []}, "`os` has no values", ("os",)),
    ({"os": "linux"}, "`os` must be a list", ("os",)),
    ({"os": ["a"], "include": {"os": "a"}}, "`include` must be a list", ("include",)),
    ({"os": ["a"], "include": ["a"]}, "entry of `include`", ("include", 0)),
    ({"os": ["a"], "include": [{"b": 1}, {}]}, "entry is empty", ("include", 1)),
    ({"os": ["a"], "exclude": [{}]}, "entry is empty", ("exclude", 0)),
    ({"os": ["a"], "exclude": [{"so": "a"}]}, "no list of values `so`", ("exclude", 0, "so")),
    ({"os": ["a"], "exclude": [{"os": "a"}]}, "removes every combination", ("exclude",)),
    ({"a": list(range(257))}, "more than 256 jobs", ()),
    ({"a": [1] * 256, "include": [{"a": 2}]}, "more than 256 jobs", ()),
    ({name: list(range(1000)) for name in "abcd"}, "1000000000000 combinations", ()),
]


@pytest.mark.parametrize(("matrix", "message", "path"), INVALID)
def test_what_makes_no_sense_is_refused(
    matrix: Any, message: str, path: tuple[str | int, ...]
) -> None:
    with pytest.raises(MatrixError, match=message) as caught:
        expand(matrix)
    assert caught.value.path == path


def test_256_jobs_are_allowed_also_after_exclude() -> None:
    assert len(expand({"a": list(range(256))})) == 256
    assert len(expand({"a": list(range(257)), "exclude": [{"a": 3}]})) == 256


SCALARS = st.sampled_from([None, True, 0, 1, "", "a", "B", 2.5])
VECTORS = st.dictionaries(
    st.sampled_from(["os", "node", "arch"]), st.lists(SCALARS, min_size=1, max_size=4), min_size=1
)
ENTRIES = st.lists(st.dictionaries(st.sampled_from(["x", "y"]), SCALARS, min_size=1), max_size=3)


@given(vectors=VECTORS, extras=ENTRIES)
def test_extras_change_no_own_value_and_add_no_job(vectors: Matrix, extras: list[Matrix]) -> None:
    plain = expand(vectors)
    extended = expand({**vectors, "include": extras})
    assert [c.label for c in extended] == [c.label for c in plain]
    for before, after in zip(plain, extended, strict=True):
        assert before.values.items() <= after.values.items()
