"""What actions cost: a composite one against its steps written out, a JavaScript one against node."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import mean

from benchmarks import pipelines
from benchmarks.effort import Effort
from benchmarks.events import read_events, times
from benchmarks.figures import Bound, Figure, take_pairs
from benchmarks.sandbox import NODE, Sandbox

COMPOSITE = Bound(1.5)
JAVASCRIPT = Bound(1.3)

#: Steps of the composite action, and how often it is used in a job.
STEPS, USES = 20, 10
#: Uses of the JavaScript action in a job, and calls of node.
CALLS = 10
RUNS = 5


def measure(sandbox: Sandbox, effort: Effort) -> Iterator[Figure]:
    """The time of a composite action's steps, and that of one use of a JavaScript action."""
    uses = effort.sized(USES)
    yield Figure(
        f"composite of {STEPS}",
        "ms",
        take_pairs(
            partial(_of_steps, sandbox, _composite(sandbox, uses), uses),
            partial(_of_steps, sandbox, _inline(sandbox, uses), uses),
            effort.pairs(RUNS),
        ),
        f"the same {STEPS} steps inline",
        COMPOSITE,
    )
    started = sandbox.docker_run("--detach", NODE, "sleep", "3600")
    container = started.output.decode().strip()
    yield Figure(
        "javascript action",
        "ms",
        take_pairs(
            partial(_of_steps, sandbox, _javascript(sandbox), CALLS),
            partial(_exec, sandbox, container),
            effort.pairs(RUNS),
        ),
        "docker exec CONTAINER node -e 0",
        JAVASCRIPT,
    )


def _composite(sandbox: Sandbox, uses: int) -> Path:
    steps = ["- run: ':'", *(["- uses: ./action"] * uses)]
    project = sandbox.project("composite", pipelines.of_steps(steps))
    inner = [{"run": ":", "shell": "bash"}] * STEPS
    return _with_action(sandbox, project, {"using": "composite", "steps": inner})


def _inline(sandbox: Sandbox, uses: int) -> Path:
    steps = ["- run: ':'", *(["- {run: ':', shell: bash}"] * (uses * STEPS))]
    return sandbox.project("inline", pipelines.of_steps(steps))


def _javascript(sandbox: Sandbox) -> Path:
    steps = ["- uses: ./action"] * (CALLS + 1)
    project = sandbox.project("javascript", pipelines.of_steps(steps, NODE))
    (project / "action").mkdir()
    (project / "action" / "main.js").write_text("0\n")
    return _with_action(sandbox, project, {"using": "node20", "main": "main.js"})


def _with_action(sandbox: Sandbox, project: Path, runs: object) -> Path:
    (project / "action").mkdir(exist_ok=True)
    (project / "action" / "action.yml").write_text(json.dumps({"runs": runs}))
    sandbox.commit(project)
    return project


def _of_steps(sandbox: Sandbox, project: Path, uses: int) -> float:
    """From the end of the first step to that of the last, for one of `uses`, in ms."""
    events = read_events(sandbox.pipe_run(project, "--json").output)
    ends = times([event for event in events if event.get("step", 0) > 0], "StepFinished")
    return (ends[-1] - ends[0]) / uses * 1000


def _exec(sandbox: Sandbox, container: str) -> float:
    command = ("docker", "exec", container, "node", "-e", "0")
    return mean(sandbox.run(*command).seconds for _ in range(CALLS)) * 1000
