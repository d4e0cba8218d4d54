"""How a worker waits: for somebody who rings, and no longer than it has nothing to do by itself."""

import selectors

from runner.store.bell import Listener


def listen(listener: Listener, seconds: float) -> None:
    """Returns when somebody has rung since the listener was calm, or that much time is over."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.select(max(0.0, seconds))
