"""What a pipeline asks for GitHub's token, in a line."""

from collections.abc import Mapping
from typing import Any


def permissions(written: Mapping[str, Any]) -> str:
    """What the top of a pipeline or a job says about GitHub's token, in a line; or nothing."""
    granted = written.get("permissions")
    if isinstance(granted, Mapping):
        granted = ", ".join(f"{scope}: {access}" for scope, access in granted.items()) or "none"
    return f"permissions {granted}" if granted else ""
