"""Takes jobs from the queue and runs them."""

from runner.worker.attempt import Means
from runner.worker.loop import Worker

__all__ = ["Means", "Worker"]
