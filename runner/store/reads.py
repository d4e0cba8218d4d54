"""What listings show, read through the tables: runs, and one run with all that belongs to it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from runner.errors import InvalidInputError
from runner.store import Store
from runner.store.connection import whole
from runner.store.tables import (
    AnnotationRow,
    AttemptRow,
    JobRow,
    RunRow,
    StepRow,
    SubmissionRow,
)

_IN_PLAN = (col(JobRow.position), col(JobRow.key))
_IS_ITS_JOB = and_(col(JobRow.run) == AttemptRow.run, col(JobRow.key) == AttemptRow.job)
_BY_START = (col(AttemptRow.started_at), *_IN_PLAN, col(AttemptRow.number))
#: A step that was skipped only ended.
_BY_TIME = (
    func.coalesce(col(StepRow.started_at), col(StepRow.finished_at)),
    *(col(StepRow.job), col(StepRow.attempt), col(StepRow.number)),
)


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run and its rows: jobs in the order of the plan, all others in the order of time."""

    run: RunRow
    jobs: tuple[JobRow, ...]
    attempts: tuple[AttemptRow, ...]
    steps: tuple[StepRow, ...]
    annotations: tuple[AnnotationRow, ...]


@whole
def runs(
    store: Store, *, file: str = "", state: str = "", before: int | None = None, limit: int = 50
) -> list[RunRow]:
    """The newest runs first: of one pipeline file, in one state, with an id below `before`."""
    wanted = select(RunRow).order_by(col(RunRow.id).desc()).limit(limit)
    if file:
        wanted = wanted.where(RunRow.file == file)
    if state:
        wanted = wanted.where(RunRow.state == state)
    if before is not None:
        wanted = wanted.where(RunRow.id < before)
    with _session(store) as session:
        return list(session.exec(wanted))


@whole
def run(store: Store, number: int) -> RunDetail:
    """One run with all that belongs to it; raises InvalidInputError for no such run."""
    with _session(store) as session:
        found = session.get(RunRow, number)
        if found is None:
            raise InvalidInputError(f"there is no run {number}", hint="`pipe runs` lists them")
        jobs = select(JobRow).where(JobRow.run == number).order_by(*_IN_PLAN)
        attempts = select(AttemptRow).where(AttemptRow.run == number)
        attempts = attempts.join(JobRow, _IS_ITS_JOB).order_by(*_BY_START)
        steps = select(StepRow).where(StepRow.run == number).order_by(*_BY_TIME)
        annotations = select(AnnotationRow).where(AnnotationRow.run == number)
        annotations = annotations.order_by(col(AnnotationRow.id))
        return RunDetail(
            found,
            tuple(session.exec(jobs)),
            tuple(session.exec(attempts)),
            tuple(session.exec(steps)),
            tuple(session.exec(annotations)),
        )


@whole
def snapshot(store: Store, number: int) -> dict[str, Any]:
    """What the copy of the source of a run that exists was described as."""
    wanted = select(SubmissionRow.snapshot).where(SubmissionRow.run == number)
    with _session(store) as session:
        found: dict[str, Any] = json.loads(session.exec(wanted).one())
    return found


@whole
def priority(store: Store, number: int) -> int:
    """That of a run that exists: 0 to 100."""
    wanted = select(SubmissionRow.priority).where(SubmissionRow.run == number)
    with _session(store) as session:
        return session.exec(wanted).one()


@contextmanager
def _session(store: Store) -> Iterator[Session]:
    try:
        with Session(store.engine, expire_on_commit=False) as session:
            yield session
    except DBAPIError as error:
        explained = store.location.explained(error.orig)
        if explained is None:
            raise
        raise explained from error
