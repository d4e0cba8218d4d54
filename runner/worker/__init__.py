"""Takes jobs from the queue and runs them."""

from runner.worker.loop import Worker
from runner.worker.means import Means, Site, workspace_of
from runner.worker.serving import QueueWorker, Terms

__all__ = ["Means", "QueueWorker", "Site", "Terms", "Worker", "workspace_of"]
