"""Takes jobs from the queue and runs them."""

from runner.worker.ground import between, ground_on, workspace_of
from runner.worker.loop import Worker
from runner.worker.means import Means, Site
from runner.worker.serving import QueueWorker, Terms
from runner.worker.spare import Spare

__all__ = [
    "Means",
    "QueueWorker",
    "Site",
    "Spare",
    "Terms",
    "Worker",
    "between",
    "ground_on",
    "workspace_of",
]
