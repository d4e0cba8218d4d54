"""Which concurrency groups a run and its jobs ask for, and in which contexts that is evaluated.

A place is where one of them stands in line: "" is that of the run, the key of a job its own,
`called_in` of a call that of the pipeline that it calls, and `locked_at` of a job that for the lock
of its environment.
"""

from collections.abc import Iterator

from runner.concurrency import Claim, evaluated
from runner.errors import InvalidInputError, Problem
from runner.model import Concurrency
from runner.plan import Contexts, asker_of, call_inputs, called_in, locked_at
from runner.plan.refusal import naming
from runner.queue.definitions import (
    contexts_around,
    contexts_of,
    definition,
    pipeline_at,
    pipeline_of,
)
from runner.queue.gates import Gate, claim, gate_of
from runner.source import load
from runner.store.rows import StoredRun, Submission


def places_of(run: StoredRun, key: str) -> Iterator[str]:
    """Where a job has to be the first in line before it starts: in this order, at one after another."""
    job = definition(run, key)
    if job.concurrency:
        yield key
    if job.call and pipeline_at(run, called_in(key)).concurrency:
        yield called_in(key)
    if (gate := gate_of(run, key)) and gate.rules.lock:
        yield locked_at(key)


def claim_of_run(run: StoredRun) -> Claim | None:
    """What the run itself asks for. Raises InvalidInputError, with where it is written."""
    concurrency = pipeline_of(run).concurrency
    try:
        return evaluated(concurrency, run.submission.contexts) if concurrency else None
    except InvalidInputError as error:
        raise _located(error, run.submission) from error


def claim_at(run: StoredRun, place: str) -> Claim:
    """What is asked for at one of `places_of` a job. Raises InvalidInputError."""
    key = asker_of(place)
    if place == locked_at(key):
        return claim(_gate(run, key))
    contexts = contexts_of(run, key)
    if place == key:
        return _claim("concurrency", definition(run, key).concurrency, contexts)
    call, called = definition(run, key).call, pipeline_at(run, place)
    assert call is not None
    contexts = {**contexts_around(run, key), "inputs": call_inputs(call, called, contexts)}
    return _claim(f"concurrency of `{called.file}`", called.concurrency, contexts)


def _gate(run: StoredRun, key: str) -> Gate:
    gate = gate_of(run, key)
    assert gate is not None
    return gate


def _claim(name: str, concurrency: Concurrency | None, contexts: Contexts) -> Claim:
    assert concurrency is not None
    with naming(name):
        return evaluated(concurrency, contexts)


def _located(error: InvalidInputError, submission: Submission) -> InvalidInputError:
    """What is wrong with the run's own `concurrency`, with where it is written."""
    position = load(submission.text, submission.file).locate(("concurrency",), key=True)
    problem = Problem("concurrency", error.message, position, error.hint)
    return InvalidInputError(error.message, hint=error.hint, position=position, problems=(problem,))
