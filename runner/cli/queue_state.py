"""What `pipe queue` shows: how much waits, who works, what limits it, and how it went."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runner.cli.history import table
from runner.cli.workers import read_workers, worker_rows, workers_to_json
from runner.queue import Waiting, limit_use, waiting_in_front
from runner.store import Store, census, limits
from runner.store.census import Depth, Flow
from runner.store.limits import Scope
from runner.terminal.words import counted, duration, visible

#: What statistics are about, and for how many seconds back.
_PERIODS = {"hour": 3600.0, "day": 86400.0}
#: Runs that wait for their start, go on, are not due; and how far the jobs of all of them are.
_HEAD = (
    *("QUEUE", "RUNS WAIT", "RUN", "LATER"),
    *("JOBS READY", "HELD", "RETRY", "BLOCKED", "RUNNING"),
)
#: Jobs in front of environments that are told one by one.
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class State:
    """The queue at one moment."""

    now: float
    depths: Sequence[Depth]
    workers: "Sequence[Any]"
    scopes: Sequence[Scope]
    waiting: Mapping[str, int]
    flows: Mapping[str, Flow]
    dead: Mapping[str, int]
    #: Jobs that wait in front of environments.
    waits: Sequence[Waiting] = ()

    @property
    def oldest(self) -> float | None:
        """For how many seconds the oldest job waits that could run."""
        since = [depth.oldest for depth in self.depths if depth.oldest is not None]
        return max(0.0, self.now - min(since)) if since else None


def read_state(store: Store, now: float) -> State:
    """All of it."""
    notes = store.notes
    return State(
        now,
        census.depths(notes),
        read_workers(store, now),
        limits.all_scopes(notes),
        {scope: len(runs) for scope, runs in census.held_runs(notes).items()},
        {name: census.flow(notes, now - seconds) for name, seconds in _PERIODS.items()},
        census.dead_by_kind(notes),
        list(waiting_in_front(store, now)),
    )


def to_json(state: State) -> dict[str, Any]:
    """As `pipe queue --json` prints it."""
    day = limits.day_of(state.now)
    return {
        "queues": [asdict(depth) for depth in state.depths],
        "oldest_seconds": state.oldest,
        "workers": workers_to_json(state.workers),
        "limits": [
            {
                "scope": str(scope),
                **asdict(scope),
                "started": scope.started_on(day),
                "waiting": state.waiting.get(str(scope), 0),
            }
            for scope in state.scopes
        ],
        "environments": [{"run": each.run, **each.to_json()} for each in state.waits],
        "dead": dict(state.dead),
        **{
            f"last_{name}": {
                "runs": flow.runs,
                **asdict(flow),
                "failure_rate": flow.failure_rate,
            }
            for name, flow in state.flows.items()
        },
    }


def as_text(state: State) -> str:
    """For people."""
    parts = [
        _depths(state),
        _limits(state),
        _environments(state),
        "\n".join(["workers", *worker_rows(state.workers, state.now)]),
        _flows(state.flows),
        _dead(state.dead),
    ]
    return "\n\n".join(part for part in parts if part)


def _depths(state: State) -> str:
    if not state.depths:
        return "nothing is queued; `pipe submit FILE` does that"
    rows = [_depth(depth) for depth in state.depths]
    oldest = [f"the oldest waits for {duration(state.oldest)}"] if state.oldest is not None else []
    return "\n".join([table([_HEAD, *rows]), *oldest])


def _depth(depth: Depth) -> tuple[str, ...]:
    runs = (depth.runs_waiting, depth.runs_running, depth.later)
    jobs = (depth.ready, depth.held, depth.scheduled, depth.waiting, depth.running)
    return (visible(depth.queue), *map(str, (*runs, *jobs)))


def _limits(state: State) -> str:
    rows = [limit_use(scope, state.waiting.get(str(scope), 0), state.now) for scope in state.scopes]
    return "\n".join(["limits", *(f"  {visible(row)}" for row in rows)]) if rows else ""


def _environments(state: State) -> str:
    rows = [f"run {each.run}, `{each.job}`: {each.text}" for each in state.waits[:_MOST_SHOWN]]
    more = len(state.waits) - len(rows)
    rows += [f"and {more} more"] if more else []
    return "\n".join(["environments", *(f"  {visible(row)}" for row in rows)]) if rows else ""


def _flows(flows: Mapping[str, Flow]) -> str:
    return "\n".join(f"last {name}: {_flow(flow)}" for name, flow in flows.items())


def _flow(flow: Flow) -> str:
    if not flow.runs:
        return "no run has ended"
    return ", ".join([f"{counted(flow.runs, 'run')} ended", *_details(flow)])


def _details(flow: Flow) -> Iterator[str]:
    for result, runs in sorted(flow.ended.items(), key=lambda each: -each[1]):
        yield f"{runs} {result}"
    if flow.failure_rate is not None:
        yield f"{flow.failure_rate:.1%} failed"
    if flow.median is not None and flow.p95 is not None:
        yield f"took {duration(flow.median)} (median), {duration(flow.p95)} (p95)"


def _dead(dead: Mapping[str, int]) -> str:
    if not dead:
        return ""
    kinds = ", ".join(f"{runs} {kind}" for kind, runs in sorted(dead.items()))
    return f"{counted(sum(dead.values()), 'dead letter')} ({kinds}): `pipe queue dead`"
