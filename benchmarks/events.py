"""What a run of `pipe run --json` recorded."""

import json
from typing import Any

Record = dict[str, Any]


def read_events(output: bytes) -> list[Record]:
    """The events, one from each line of what was printed."""
    return [json.loads(line) for line in output.splitlines()]


def times(events: list[Record], kind: str) -> list[float]:
    """When events of this kind happened, in order, in seconds since the epoch."""
    return sorted(event["time"] for event in events if event["event"] == kind)
