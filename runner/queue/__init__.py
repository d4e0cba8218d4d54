"""The queue: runs enter, jobs are leased and finished, and what follows is decided on the way.

A decision is made on a copy of the run and written only if the run has not changed meanwhile;
otherwise it is made again. So expressions are evaluated without holding up other writers.
"""

from runner.queue.entering import Entry, enqueue, enqueue_all
from runner.queue.leases import (
    LEASE_SECONDS,
    Lease,
    LeaseLostError,
    finish,
    give_back,
    is_open,
    lease,
    renew,
    stay,
)
from runner.queue.outcome import JobOutcome
from runner.queue.pipelines import load_pipeline
from runner.queue.questions import cancel_requests, cancelled, next_due, reason, waits
from runner.queue.stopping import cancel, rescue
from runner.queue.tending import drop, next_time, reconcile, tend
from runner.queue.together import UnreadableRunError, abandon
from runner.store.lines import Wait
from runner.store.process import is_alive, process_identity
from runner.store.rows import Submission

__all__ = [
    "LEASE_SECONDS",
    "Entry",
    "JobOutcome",
    "Lease",
    "LeaseLostError",
    "Submission",
    "UnreadableRunError",
    "Wait",
    "abandon",
    "cancel",
    "cancel_requests",
    "cancelled",
    "drop",
    "enqueue",
    "enqueue_all",
    "finish",
    "give_back",
    "is_alive",
    "is_open",
    "lease",
    "load_pipeline",
    "next_due",
    "next_time",
    "process_identity",
    "reason",
    "reconcile",
    "renew",
    "rescue",
    "stay",
    "tend",
    "waits",
]
