"""The labels of `runs-on`."""

from collections.abc import Mapping
from typing import Any

from runner.expressions import to_string

#: Of a job that runs on the machine itself.
SELF_HOSTED = "self-hosted"


def labels_of(runs_on: Any) -> list[str]:
    """`runs-on` as labels, lower-case: a string, a list, or a map with `labels`."""
    if isinstance(runs_on, Mapping):
        runs_on = runs_on.get("labels") or []
    entries = runs_on if isinstance(runs_on, list) else [runs_on]
    return [to_string(entry).lower() for entry in entries if entry not in (None, "")]
