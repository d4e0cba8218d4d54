"""Commits whose message asks for no runs, as `[skip ci]` does."""

import re

#: The events that such a message keeps from starting anything.
_EVENTS = ("push", "pull_request")
_WORDS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]")
#: A trailer, behind two empty lines.
_TRAILER = re.compile(r"\n\n\n(skip-checks: ?true)\Z")


def skipped_by(event: str, message: str) -> str:
    """What in the message of the newest commit keeps the event from starting pipelines; or ""."""
    if event not in _EVENTS:
        return ""
    trailer = _TRAILER.search(message.rstrip())
    return next((word for word in _WORDS if word in message), trailer[1] if trailer else "")
