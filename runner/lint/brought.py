"""What plugins bring, as far as checking a pipeline needs to know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Name -> the JSON schema of its settings.
Schemas = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Brought:
    """The schemas of all that plugins bring, by what it is and its name."""

    steps: Schemas = field(default_factory=dict)
    targets: Schemas = field(default_factory=dict)
    switches: Schemas = field(default_factory=dict)
    checks: Schemas = field(default_factory=dict)
    snapshots: Schemas = field(default_factory=dict)
    notifiers: Schemas = field(default_factory=dict)
    renderers: Schemas = field(default_factory=dict)
