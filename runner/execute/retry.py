"""How long to wait before something is tried again."""

import secrets
from collections.abc import Callable

from runner.model import Retry

#: What `retry.on` calls the ways in which an attempt fails.
KINDS = ("timeout", "lost")


def is_due(retry: Retry, reason: str) -> bool:
    """Whether the policy covers a failure with this reason."""
    return (reason if reason in KINDS else "failure") in retry.on


def backoff(retry: Retry, failed: int, jitter: Callable[[], float] | None = None) -> float:
    """Seconds to wait after `failed` failed attempts; `jitter` gives a number from 0 to 1."""
    factor = 2 ** (failed - 1) if retry.backoff == "exponential" else 1
    delay = retry.delay * factor
    if not retry.jitter:
        return min(delay, retry.max_delay)
    share = jitter() if jitter else secrets.randbelow(1000) / 1000
    # The longest pause is never exceeded, and those that reach it differ all the same.
    return min(delay, retry.max_delay / 1.25) * (0.75 + share / 2)
