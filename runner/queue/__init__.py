"""The queue: runs enter, jobs are leased and finished, and what follows is decided on the way.

A decision is made on a copy of the run and written only if the run has not changed meanwhile;
otherwise it is made again. So expressions are evaluated without holding up other writers.
"""

from runner.queue.entering import enqueue
from runner.queue.leases import (
    LEASE_SECONDS,
    Lease,
    LeaseLostError,
    finish,
    lease,
    renew,
    stay,
)
from runner.queue.outcome import JobOutcome
from runner.queue.pipelines import load_pipeline
from runner.queue.questions import cancel_requests, cancelled, next_due, reason, waits
from runner.queue.stopping import cancel, rescue
from runner.store.lines import Wait
from runner.store.process import is_alive, process_identity
from runner.store.rows import Submission

__all__ = [
    "LEASE_SECONDS",
    "JobOutcome",
    "Lease",
    "LeaseLostError",
    "Submission",
    "Wait",
    "cancel",
    "cancel_requests",
    "cancelled",
    "enqueue",
    "finish",
    "is_alive",
    "lease",
    "load_pipeline",
    "next_due",
    "process_identity",
    "reason",
    "renew",
    "rescue",
    "stay",
    "waits",
]
