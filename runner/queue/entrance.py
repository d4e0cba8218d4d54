"""Jobs in front of their environments: let in, held there, or refused."""

from dataclasses import replace

from runner.errors import InvalidInputError
from runner.plan import explained
from runner.queue.draft import Draft
from runner.queue.gates import Gate, Hold, Refusal, admission, first_due, gate_of, obstacle, told
from runner.queue.outcome import JobOutcome
from runner.store.rows import StoredJob


def may_enter(draft: Draft, key: str) -> bool:
    """Whether the job may enter now; if not, it is held in front of its environment, or fails."""
    try:
        gate = gate_of(draft.run, key)
    except InvalidInputError as error:
        draft.end(key, JobOutcome("failure", reason=explained(error)))
        return False
    if gate is None:
        return True
    job = draft.run.jobs[key]
    said = [*draft.others.boundary.said(draft.run.id), *draft.approvals]
    match obstacle(gate, draft.run, job, said, draft.others.boundary, draft.now):
        case Refusal() as refusal:
            _refuse(draft, key, refusal)
            return False
        case Hold() as hold:
            _hold(draft, job, hold, gate)
            return False
    if job.held:
        draft.put(replace(job, state="blocked", held=""))
    return True


def let_in(draft: Draft, key: str) -> None:
    """The job gets in, which counts."""
    if gate := gate_of(draft.run, key):
        draft.admissions += (admission(gate, draft.run, key, draft.now),)


def _refuse(draft: Draft, key: str, refusal: Refusal) -> None:
    if refusal.told:
        draft.tell(key, refusal.told)
    draft.end(key, JobOutcome("failure", reason=refusal.reason))


def _hold(draft: Draft, job: StoredJob, hold: Hold, gate: Gate) -> None:
    if job.held != str(hold):
        draft.tell(job.key, told(hold, draft.run.id))
    draft.hold(job, hold, first_due(gate, job, draft.now))
