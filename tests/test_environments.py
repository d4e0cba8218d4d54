"""A job's environment: its name and address, and whose secrets and variables it sees."""

from typing import Any

import pytest

from runner.environments import Entered, enter, laid_over, possible_secrets, secrets_in
from runner.project import Environment

KNOWN = {"Production": Environment("https://shop.example", {"REGION": "eu"})}
CONTEXTS = {"inputs": {"target": "production", "both": {"name": "x", "url": "u"}}}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, Entered()),
        ("", Entered()),
        ("${{ inputs.nothing }}", Entered()),
        ("staging", Entered("staging")),
        ("production", Entered("production", "https://shop.example", {"REGION": "eu"})),
        ("${{ inputs.target }}", Entered("production", "https://shop.example", {"REGION": "eu"})),
        (
            {"name": "${{ inputs.target }}-2", "url": "${{ x }}"},
            Entered("production-2", "${{ x }}"),
        ),
        ({"name": "PRODUCTION", "url": "u"}, Entered("PRODUCTION", "u", {"REGION": "eu"})),
        (
            {"name": "production", "url": ""},
            Entered("production", "https://shop.example", {"REGION": "eu"}),
        ),
        ("${{ inputs.both }}", Entered("x", "u")),
    ],
)
def test_entering(written: Any, expected: Entered) -> None:
    assert enter(written, CONTEXTS, KNOWN) == expected


SECRETS = {"TOKEN": "1", "OTHER": "2", "prod:token": "3", "prod:OWN": "4", "a:b:X": "5"}


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ("", {"TOKEN": "1", "OTHER": "2"}),
        ("staging", {"TOKEN": "1", "OTHER": "2"}),
        ("PROD", {"OTHER": "2", "token": "3", "OWN": "4"}),
        ("a:b", {"TOKEN": "1", "OTHER": "2", "X": "5"}),
        ("a", {"TOKEN": "1", "OTHER": "2"}),
    ],
)
def test_secrets_of_an_environment(environment: str, seen: dict[str, str]) -> None:
    assert secrets_in(SECRETS, environment) == seen
    assert possible_secrets(environment, SECRETS) == {name.upper() for name in seen}


def test_secrets_that_an_environment_may_have() -> None:
    every = {"TOKEN", "OTHER", "OWN", "X"}
    assert possible_secrets("${{ inputs.target }}", SECRETS) == every
    assert possible_secrets({"name": "${{ inputs.target }}"}, SECRETS) == every
    assert possible_secrets({"name": "Prod"}, SECRETS) == every - {"X"}
    assert possible_secrets(None, SECRETS) == {"TOKEN", "OTHER"}


def test_names_win_in_any_case() -> None:
    assert laid_over({"a": 1, "b": 2}, {"A": 3}) == {"b": 2, "A": 3}
