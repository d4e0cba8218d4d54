"""Ctrl-C and SIGTERM, as a wish that somebody is told of."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def signals_ask(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` for each Ctrl-C and SIGTERM that comes meanwhile, in the main thread."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
