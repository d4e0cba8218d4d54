"""For authors of plugins: calls to try a plugin with, and what every plugin has to pass."""

import time
from pathlib import Path
from typing import Any

from runner.delivery.call import AskedCall, Call, Nowhere, Surroundings
from runner.testing.workshop import Workshop

__all__ = ["Workshop", "check_call", "delivery_call"]


def delivery_call(folder: Path, around: Surroundings | None = None, **changes: Any) -> Call:
    """A call as a deployment makes it; `changes` are other fields of it, such as `key`."""
    return Call(**{**_standard(folder, around), **changes})


def check_call(folder: Path, around: Surroundings | None = None, **changes: Any) -> AskedCall:
    """A call as a check gets it; `changes` are other fields of it, such as `with_`, `address`."""
    return AskedCall(**{**_standard(folder, around), **changes})


def _standard(folder: Path, around: Surroundings | None) -> dict[str, Any]:
    return {
        "application": "shop",
        "environment": "test",
        "deployment": 1,
        "key": f"call-{time.monotonic_ns()}",
        "token": 1,
        "folder": folder,
        "around": around or Nowhere(),
        "deadline": time.monotonic() + 60.0,
    }
