"""`pipe workers`: who takes jobs from the queue, and what they run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from runner.cli.history import moment, open_store, table
from runner.terminal.words import elapsed, visible

if TYPE_CHECKING:
    from runner.store import Store
    from runner.store.census import Leased
    from runner.store.workers import WorkerRecord

#: A worker says that it lives about once a second; after so many it is remarkable.
_SILENT = 10.0


@click.command("workers", short_help="List the workers and what they run.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """List the processes of `pipe worker`, on all machines, and the jobs that they run."""
    with open_store() as store:
        now = store.now()
        found = read_workers(store, now)
    if as_json:
        click.echo(json.dumps(workers_to_json(found), indent=2))
    else:
        click.echo("\n".join(worker_rows(found, now)))


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker, how it is (`working`, `stopping`, `silent` or `gone`), and what it has leased."""

    record: "WorkerRecord"
    state: str
    jobs: "tuple[Leased, ...]"


def read_workers(store: "Store", now: float) -> list[Seen]:
    """All that are known, in the order in which they came."""
    from runner.queue.tending import is_gone
    from runner.store import census, workers

    leased = census.leased(store.notes)
    found = []
    for record in workers.all_workers(store.notes):
        state = "silent" if now - record.seen_at > _SILENT else str(record.state)
        state = "gone" if is_gone(record, now) else state
        jobs = tuple(job for job in leased if job.worker == record.name)
        found.append(Seen(record, state, jobs))
    return found


def workers_to_json(found: Sequence[Seen]) -> list[dict[str, Any]]:
    """As `--json` prints them."""
    return [
        {
            **asdict(each.record),
            "labels": list(each.record.labels),
            "state": each.state,
            "running": [_job(job) for job in each.jobs],
        }
        for each in found
    ]


def _job(job: "Leased") -> dict[str, Any]:
    return {"run": job.run, "job": job.key, "attempt": job.attempt, "file": job.file}


def worker_rows(found: Sequence[Seen], now: float) -> list[str]:
    """For people: a line for each, and below it one for each job."""
    if not found:
        return ["no worker runs; `pipe worker` starts one"]
    head = ("WORKER", "HOST", "STATE", "JOBS", "SINCE", "SEEN", "LABELS")
    lines = table([head, *(_row(each, now) for each in found)]).splitlines()
    rows = [lines[0]]
    for line, each in zip(lines[1:], found, strict=True):
        rows += [
            line,
            *(f"  run {job.run} {visible(f'{job.key} ({job.name})')}" for job in each.jobs),
        ]
    return rows


def _row(each: Seen, now: float) -> tuple[str, ...]:
    record = each.record
    return (
        visible(record.name),
        visible(record.host),
        each.state,
        f"{len(each.jobs)}/{record.slots}",
        moment(record.started_at),
        f"{elapsed(now - record.seen_at)} ago",
        visible(", ".join(record.labels)),
    )
