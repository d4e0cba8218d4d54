"""What listings show, read through the tables: runs, and one run with all that belongs to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, create_engine, literal_column
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlmodel import Session, col, select

from runner.errors import InvalidInputError
from runner.store import Store
from runner.store.connection import explain
from runner.store.tables import (
    AnnotationRow,
    AttemptRow,
    JobRow,
    RunRow,
    StepRow,
    SubmissionRow,
)

#: Seconds to wait where SQLite makes a reader wait, which is while a crashed file is recovered.
_PATIENCE = 5.0
#: The order in which rows were written.
_ROWID: ColumnElement[int] = literal_column("rowid")


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run and its rows: jobs in the order of the plan, all others in the order of time."""

    run: RunRow
    jobs: tuple[JobRow, ...]
    attempts: tuple[AttemptRow, ...]
    steps: tuple[StepRow, ...]
    annotations: tuple[AnnotationRow, ...]


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


def run(store: Store, number: int) -> RunDetail:
    """One run with all that belongs to it; raises InvalidInputError for no such run."""
    with _session(store) as session:
        found = session.get(RunRow, number)
        if found is None:
            raise InvalidInputError(f"there is no run {number}", hint="`pipe runs` lists them")
        jobs = select(JobRow).where(JobRow.run == number).order_by(col(JobRow.position), _ROWID)
        attempts = select(AttemptRow).where(AttemptRow.run == number).order_by(_ROWID)
        steps = select(StepRow).where(StepRow.run == number).order_by(_ROWID)
        annotations = select(AnnotationRow).where(AnnotationRow.run == number).order_by(_ROWID)
        return RunDetail(
            found,
            tuple(session.exec(jobs)),
            tuple(session.exec(attempts)),
            tuple(session.exec(steps)),
            tuple(session.exec(annotations)),
        )


def priority(store: Store, number: int) -> int:
    """That of a run that exists: 0 to 100."""
    wanted = select(SubmissionRow.priority).where(SubmissionRow.run == number)
    with _session(store) as session:
        return session.exec(wanted).one()


def open_engine(path: Path) -> Engine:
    """An engine for the database at `path` that refuses to write."""
    return create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def _session(store: Store) -> Iterator[Session]:
    try:
        with Session(store.engine, expire_on_commit=False) as session:
            yield session
    except DBAPIError as error:
        explained = explain(store.home / "pipe.db", error.orig)
        if explained is None:
            raise
        raise explained from error
