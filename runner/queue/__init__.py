"""The queue: runs enter, jobs are leased and finished, and what follows is decided on the way.

A decision is made on a copy of the run and written only if the run has not changed meanwhile;
otherwise it is made again. So expressions are evaluated without holding up other writers.
"""

from runner.queue.approving import Review, Reviewed, review
from runner.queue.entering import Entry, enqueue, enqueue_all, enqueue_dead
from runner.queue.gates import PROTECTION
from runner.queue.leases import (
    LEASE_SECONDS,
    Lease,
    LeaseLostError,
    finish,
    finish_and_lease,
    give_back,
    is_open,
    lease,
    renew,
    stay,
)
from runner.queue.outcome import EXPIRED, TIMEOUT, JobOutcome, reused, reused_by
from runner.queue.pipelines import load_pipeline
from runner.queue.progress import Progress, progress
from runner.queue.questions import (
    cancel_requests,
    cancelled,
    held,
    is_over,
    next_due,
    reason,
    waits,
)
from runner.queue.sources import Source, comparison
from runner.queue.stopping import cancel, rescue
from runner.queue.tending import drop, next_time, open_gates, reconcile, tend, tend_run
from runner.queue.together import UnreadableRunError, abandon
from runner.queue.waiting import Situation, Waiting, limit_use, waiting_in_front, whole
from runner.store.lines import Wait
from runner.store.process import is_alive, process_identity
from runner.store.rows import Submission

__all__ = [
    "EXPIRED",
    "LEASE_SECONDS",
    "PROTECTION",
    "TIMEOUT",
    "Entry",
    "JobOutcome",
    "Lease",
    "LeaseLostError",
    "Progress",
    "Review",
    "Reviewed",
    "Situation",
    "Source",
    "Submission",
    "UnreadableRunError",
    "Wait",
    "Waiting",
    "abandon",
    "cancel",
    "cancel_requests",
    "cancelled",
    "comparison",
    "drop",
    "enqueue",
    "enqueue_all",
    "enqueue_dead",
    "finish",
    "finish_and_lease",
    "give_back",
    "held",
    "is_alive",
    "is_open",
    "is_over",
    "lease",
    "limit_use",
    "load_pipeline",
    "next_due",
    "next_time",
    "open_gates",
    "process_identity",
    "progress",
    "reason",
    "reconcile",
    "renew",
    "rescue",
    "reused",
    "reused_by",
    "review",
    "stay",
    "tend",
    "tend_run",
    "waiting_in_front",
    "waits",
    "whole",
]
