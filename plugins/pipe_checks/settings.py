"""Reads settings whose expressions are evaluated, so that numbers may have become text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.plugin import DeliveryError, seconds

PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user gave. Every method raises DeliveryError for what it cannot read.

    `place` stands before the names of settings in messages: `max.`.
    """

    values: Mapping[str, Any]
    place: str = ""

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name, default)
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "text")
        return str(value)

    def texts(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """A list of text; one that stands alone may go without brackets."""
        value = self.values.get(name, default)
        if isinstance(value, str):
            return [value]
        if not isinstance(value, Sequence) or not all(isinstance(each, str) for each in value):
            raise self._wrong(name, "a list of text")
        return list(value)

    def whole(self, name: str, default: int) -> int:
        number = self.number(name, default)
        if number != int(number):
            raise self._wrong(name, "a whole number")
        return int(number)

    def wholes(self, name: str, default: Sequence[int]) -> list[int]:
        """A list of whole numbers; one that stands alone may go without brackets."""
        value = self.values.get(name, default)
        listed = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return [Settings({name: each}, self.place).whole(name, 0) for each in listed]

    def number(self, name: str, default: float) -> float:
        value = self.values.get(name, default)
        try:
            if isinstance(value, bool):
                raise TypeError
            return float(value)
        except (TypeError, ValueError):
            raise self._wrong(name, "a number") from None

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.values.get(name, default)
        found = WORDS.get(value, value) if isinstance(value, str) else value
        if not isinstance(found, bool):
            raise self._wrong(name, "true or false")
        return found

    def seconds(self, name: str, default: str) -> float:
        return seconds(self.text(name, default))

    def share(self, name: str, default: str) -> float:
        """A percentage as a part of 1."""
        found = PERCENT.fullmatch(self.text(name, default))
        if not found:
            raise self._wrong(name, "a percentage such as `5%`")
        return float(found[1]) / 100

    def map(self, name: str) -> Mapping[str, Any]:
        value = self.values.get(name, {})
        if not isinstance(value, Mapping):
            raise self._wrong(name, "a map")
        return value

    def inner(self, name: str) -> "Settings":
        """The settings in one that is a map."""
        return Settings(self.map(name), f"{self.place}{name}.")

    def _wrong(self, name: str, wanted: str) -> DeliveryError:
        # without the value, which may be a secret
        return DeliveryError(f"`{self.place}{name}` is not {wanted}")
