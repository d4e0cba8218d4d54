"""What a look at one thing found, for people who want to know whether all is well."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a diagnosis; `hint` says what to do about it."""

    name: str
    level: Literal["ok", "warning", "error"]
    text: str
    hint: str = ""
