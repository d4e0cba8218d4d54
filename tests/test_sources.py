"""Jobs with `sources`: what makes them the same as in an earlier run, and what is taken over then."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner import queue
from runner.events import JobFinished, JobQueued
from runner.model import Pipeline
from runner.plan import plan
from runner.project import SourceFiles
from runner.queue import JobOutcome, Source, Submission, comparison, entering, load_pipeline
from runner.queue.fingerprint import fingerprint
from runner.queue.sources import Digests, source_digests
from runner.storage import Artifact, Origin, Storage
from runner.storage.untrusted import Tally
from runner.store import Store, hot
from tests.test_queue import SUCCESS, finish, lease, pipeline, recorded, states

SOURCES = {"sources": ["src"]}
BOTH: Digests = {"ci.yaml": {"build": "1", "test": "1"}}
CHAIN = pipeline(build=SOURCES, test={**SOURCES, "needs": "build"})
GITHUB = {"sha": "1", "ref_name": "main", "event": {"action": "opened"}}
CONTEXTS: Mapping[str, Any] = {"github": GITHUB, "inputs": {}, "vars": {}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        yield opened


def submit(
    store: Store,
    text: str = CHAIN,
    sources: Any = BOTH,
    options: Mapping[str, Any] | None = None,
    now: float = 1.0,
    **changes: Any,
) -> int:
    values = {"file": "ci.yaml", "project": "/project", "name": "CI", "contexts": CONTEXTS}
    given = {**({} if sources is None else {"sources": sources}), **(options or {})}
    submission = Submission(**{**values, "text": text, "options": given, **changes})
    loaded = load_pipeline(submission.file, text, submission.called)
    return queue.enqueue(store, submission, plan(loaded, submission.contexts), now)


def leave(store: Store, run: int, job: str, content: bytes = b"x") -> Artifact:
    """The job stores an artifact."""
    origin = Origin("/project", run, job, 1)
    return Storage(store.home).artifacts.store(origin, f"of {job}", [content], Tally(1, 1), days=90)


def artifacts(store: Store, run: int) -> list[tuple[str, str, int]]:
    found = Storage(store.home).artifacts.of_run(run)
    return [(each.name, each.job, each.run) for each in found]


# -- what is the same --

DETAILED: dict[str, Any] = {
    "on": "push",
    "env": {"A": "1"},
    "defaults": {"run": {"shell": "sh"}},
    "jobs": {
        "build": {
            "runs-on": "${{ matrix.on }}",
            "sources": ["src"],
            "needs": "list",
            "strategy": {"matrix": {"on": ["small", "big"]}},
            "container": "debian:12",
            "env": {"B": "${{ secrets.B }}"},
            "defaults": {"run": {"working-directory": "x"}},
            "outputs": {"name": "${{ steps.a.outputs.name }}"},
            "steps": [
                {"id": "a", "run": "make ${{ github.ref_name }} ${{ github.sha }}"},
                {"if": "github.event.action == 'opened'", "run": "true"},
            ],
        },
        "list": {"runs-on": "small", "steps": [{"run": "ls"}]},
    },
}


def detailed(**changes: Any) -> dict[str, Any]:
    """`DETAILED` with other values: `build__env={...}` is that of the job."""
    data: dict[str, Any] = json.loads(json.dumps(DETAILED))
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = data["jobs"] if parents else data
        for parent in parents:
            place = place[parent]
        place[key.replace("_", "-")] = value
    return data


def word(
    store: Store,
    text: str,
    *,
    contexts: Mapping[str, Any] = CONTEXTS,
    images: Mapping[str, str] | None = None,
    digest: str = "1",
    outputs: Mapping[str, str] | None = None,
    stored: bytes = b"",
) -> str | None:
    """The fingerprint of the leg `build (1)`, once `list` has ended with these outputs."""
    labels = {"small": "busybox", "big": "debian"} if images is None else images
    sources = {"ci.yaml": {"build": digest}}
    run = submit(store, text, sources, {"images": labels}, contexts=contexts)
    found = lease(store)
    names = [leave(store, run, "list", stored)] if stored else []
    queue.finish(store, found, JobOutcome("success", outputs or {}), 3.0)
    while queue.lease(store, "me", now=4.0):  # whatever became ready is out of the way
        pass
    done = hot.load_run(store.notes, run)
    return fingerprint(done, "build (1)", [(each.name, each.digest) for each in names])


def github(**changes: Any) -> dict[str, Any]:
    return {**CONTEXTS, "github": {**GITHUB, **changes}}


STEPS: list[dict[str, Any]] = DETAILED["jobs"]["build"]["steps"]
MORE_STEPS = [*STEPS, {"run": "more"}]
OTHER_LEGS = {"matrix": {"on": ["big", "small"]}}


@pytest.mark.parametrize(
    ("data", "given"),
    [
        (detailed(build__steps=MORE_STEPS), {}),
        (detailed(build__env={"B": "${{ secrets.C }}"}), {}),
        (detailed(build__container="debian:13"), {}),
        (detailed(build__defaults={"run": {"working-directory": "y"}}), {}),
        (detailed(build__outputs={}), {}),
        (detailed(build__strategy=OTHER_LEGS), {}),
        (detailed(env={"A": "2"}), {}),
        (detailed(defaults={"run": {"shell": "bash"}}), {}),
        (DETAILED, {"images": {"small": "alpine", "big": "debian"}}),
        (DETAILED, {"contexts": {**CONTEXTS, "inputs": {"a": 1}}}),
        (DETAILED, {"contexts": {**CONTEXTS, "vars": {"a": "1"}}}),
        (DETAILED, {"contexts": github(ref_name="other")}),
        (DETAILED, {"contexts": github(event={"action": "closed"})}),
        (DETAILED, {"digest": "2"}),
        (DETAILED, {"outputs": {"name": "x"}}),
        (DETAILED, {"stored": b"bytes"}),
    ],
)
def test_what_makes_a_job_another(
    store: Store, data: dict[str, Any], given: Mapping[str, Any]
) -> None:
    first = word(store, json.dumps(DETAILED))
    second = word(store, json.dumps(data), **given)
    assert first
    assert second
    assert first != second


FASTER = {"matrix": {"on": ["small", "big", "huge"]}, "fail-fast": False}


@pytest.mark.parametrize(
    ("data", "given"),
    [
        (DETAILED, {}),
        (detailed(name="Other", on={"push": {"branches": ["main"]}}), {}),
        (detailed(list__steps=[{"run": "ls -l"}]), {}),
        (detailed(build__strategy=FASTER), {}),
        (detailed(build__concurrency="one"), {}),
        (detailed(build__retry=2), {}),
        (DETAILED, {"images": {"small": "busybox", "big": "other"}}),
        (DETAILED, {"contexts": github(sha="2", actor="me", event={"action": "opened", "x": 1})}),
    ],
)
def test_what_leaves_a_job_the_same(
    store: Store, data: dict[str, Any], given: Mapping[str, Any]
) -> None:
    text = json.dumps(data, indent=8)
    assert word(store, json.dumps(DETAILED)) == word(store, text, **given)


def test_its_place_among_the_legs_counts_where_it_is_named(store: Store) -> None:
    steps = [{"run": "shard ${{ strategy.job-total }}"}]
    first = json.dumps(detailed(build__steps=steps))
    second = json.dumps(detailed(build__steps=steps, build__strategy=FASTER))
    assert word(store, first) != word(store, second)


# -- the files --

FILES = {
    b"src/a.py": b"f1",
    b"src/b.md": b"f2",
    b"src/deep/c.py": b"f3",
    b"other/": b"d",
    b"README": b"f4",
    b"act/action.yml": b"f5",
    b"act/inner/run.sh": b"f6",
}
ACTION = """\
name: outer
runs: {using: composite, steps: [{uses: ./nested}]}
"""


def digests(
    job: Mapping[str, Any],
    changed: Mapping[bytes, bytes] | None = None,
    tree: Path = Path("/nowhere"),
    **around: Any,
) -> str | None:
    loaded = load_pipeline("ci.yaml", pipeline(build=job))
    files = SourceFiles({**FILES, **(changed or {})})
    return source_digests(loaded, Source(files, tree, **around)).get("ci.yaml", {}).get("build")


@pytest.mark.parametrize(
    ("sources", "path", "matches"),
    [
        (["src"], b"src/deep/c.py", True),
        (["src"], b"README", False),
        (["./src/*.py"], b"src/a.py", True),
        (["src/*.py"], b"src/deep/c.py", False),
        (["**/*.py", "!src/deep"], b"src/deep/c.py", False),
        (["**/*.py", "!src/deep", "src/**"], b"src/deep/c.py", True),
        (["!src/deep", "src"], b"src/deep/c.py", True),
        (["src", "!**/*.md"], b"src/b.md", False),
        (["src"], b"src/new.py", True),
    ],
)
def test_which_files_count(sources: list[str], path: bytes, matches: bool) -> None:
    before, after = digests({"sources": sources}), digests({"sources": sources}, {path: b"f9"})
    assert before
    assert (before != after) is matches


def test_that_a_file_becomes_executable_counts() -> None:
    assert digests(SOURCES) != digests(SOURCES, {b"src/a.py": b"x1"})


@pytest.mark.parametrize("sources", [["nothing"], ["!src"], ["other"]])
def test_patterns_that_match_no_file(sources: list[str]) -> None:
    assert digests({"sources": sources}) is None


def test_actions_of_the_source_count_and_those_that_they_use(tmp_path: Path) -> None:
    (tmp_path / "act").mkdir()
    (tmp_path / "act/action.yml").write_text(ACTION)
    job = {**SOURCES, "steps": [{"parallel": [{"uses": "./act"}]}]}
    before = digests(job, tree=tmp_path)
    assert before != digests(job, {b"act/inner/run.sh": b"f0"}, tmp_path)
    assert before != digests(job, {b"nested/action.yml": b"f0"}, tmp_path)
    assert before == digests(job, {b"README": b"f0"}, tmp_path)
    assert digests({**SOURCES, "steps": [{"uses": "../out"}]}) == digests(SOURCES)


def test_what_steps_get_from_outside_counts() -> None:
    before = digests(SOURCES)
    assert before != digests(SOURCES, env={"A": "1"})
    there = {"prod": {"A": "1"}}
    assert before == digests(SOURCES, environments=there)
    inside = {**SOURCES, "environment": "prod"}
    assert digests(inside) != digests(inside, environments=there)


def nothing_here() -> Source | None:
    return None


def test_what_a_submission_says_of_it() -> None:
    plain: Pipeline = load_pipeline("ci.yaml", pipeline(build={}))
    with_sources = load_pipeline("ci.yaml", pipeline(build=SOURCES))
    assert comparison(plain, nothing_here, {}) == {}
    assert comparison(with_sources, nothing_here, {"a": "b"}, reuse=False) == {
        "reuse": False,
        "images": {"a": "b"},
    }
    source = Source(SourceFiles(FILES), Path("/nowhere"))
    known = comparison(with_sources, lambda: source, {})["sources"]
    assert known["ci.yaml"].keys() == {"build"}


# -- in the queue --


def test_a_run_without_changes_ends_at_once(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("success", {"name": "x"}))
    finish(store)
    submit(store)
    assert recorded(store, 2) == ["started", "success build", "success test", "success"]
    ends = [event for _, event in store.events(2) if isinstance(event, JobFinished)]
    assert [(end.reason, end.reused_from) for end in ends] == [("reused from run 1", 1)] * 2
    assert ends[0].outputs == {"name": "x"}
    assert queue.lease(store, "me", now=5.0) == []
    submit(store)
    assert hot.load_run(store.notes, 3).jobs["build"].reason == "reused from run 1"


def test_what_needs_a_reused_job_goes_on_at_once(store: Store) -> None:
    submit(store)
    finish(store, JobOutcome("success", {"name": "x"}))
    finish(store)
    submit(store, sources={"ci.yaml": {"build": "1", "test": "2"}})
    found = lease(store)
    assert (found.run, found.key) == (2, "test")
    assert found.states["build"].outputs == {"name": "x"}


def test_a_job_whose_need_gave_the_same_again_is_reused(store: Store) -> None:
    submit(store)
    finish(store)
    finish(store)
    submit(store, sources={"ci.yaml": {"build": "2", "test": "1"}})
    finish(store)
    assert states(store, 2) == {"build": "success", "test": "success"}
    assert hot.load_run(store.notes, 2).jobs["test"].reason == "reused from run 1"


@pytest.mark.parametrize(
    "outcome",
    [JobOutcome("failure"), JobOutcome("failure", failed_softly=True), JobOutcome("cancelled")],
)
def test_only_a_success_is_reused(store: Store, outcome: JobOutcome) -> None:
    submit(store, pipeline(build=SOURCES))
    finish(store, outcome)
    submit(store, pipeline(build=SOURCES))
    assert states(store, 2) == {"build": "queued"}


def test_a_success_at_the_second_attempt_is_reused(store: Store) -> None:
    submit(store, pipeline(build=SOURCES))
    finish(store, JobOutcome("failure", retry_after=0.0))
    finish(store)
    submit(store, pipeline(build=SOURCES))
    assert states(store, 2) == {"build": "success"}


def test_another_project_has_its_own_results(store: Store) -> None:
    submit(store, pipeline(build=SOURCES))
    finish(store)
    submit(store, pipeline(build=SOURCES), project="/other")
    assert states(store, 2) == {"build": "queued"}


def test_without_reuse_all_runs_and_counts_for_later_runs(store: Store) -> None:
    for options in ({}, {"reuse": False}):
        submit(store, pipeline(build=SOURCES), options=options)
        finish(store)
    submit(store, pipeline(build=SOURCES))
    assert hot.load_run(store.notes, 3).jobs["build"].reason == "reused from run 2"


@pytest.mark.parametrize(
    ("sources", "remark"),
    [
        (None, "nothing is reused: this run has no copy of the source to compare"),
        ({}, "nothing is reused: `sources` match no file"),
        (BOTH, ""),
    ],
)
def test_why_nothing_can_be_reused(store: Store, sources: Any, remark: str) -> None:
    submit(store, pipeline(build=SOURCES), sources)
    [queued] = [event for _, event in store.events(1) if isinstance(event, JobQueued)]
    assert queued.remark == remark
    finish(store)
    submit(store, pipeline(build=SOURCES), sources)
    assert states(store, 2) == {"build": "success" if not remark else "queued"}


def test_the_result_of_a_run_that_is_gone_is_not_reused(store: Store) -> None:
    submit(store, pipeline(build=SOURCES))
    finish(store)
    with store.promises.writing() as database:
        database.execute("DELETE FROM run WHERE id = 1")
    submit(store, pipeline(build=SOURCES))
    assert states(store, 2) == {"build": "queued"}


def test_each_leg_is_reused_by_itself(store: Store) -> None:
    def legs(*values: int) -> str:
        matrix = {"matrix": {"n": list(values)}, "max-parallel": 1}
        return pipeline(build={**SOURCES, "strategy": matrix})

    submit(store, legs(1, 2))
    finish(store, JobOutcome("success", {"n": "1"}))
    finish(store)
    submit(store, legs(3, 2, 1))
    jobs = hot.load_run(store.notes, 2).jobs
    assert states(store, 2) == {
        "build (1)": "queued",
        "build (2)": "blocked",
        "build (3)": "blocked",
    }
    finish(store)
    jobs = hot.load_run(store.notes, 2).jobs
    assert [job.reason for job in jobs.values()] == ["", *["reused from run 1"] * 2]
    assert jobs["build (3)"].outputs == {"n": "1"}


def test_what_is_reused_waits_for_no_group(store: Store) -> None:
    job = {**SOURCES, "concurrency": "one"}
    submit(store, pipeline(build=job))
    finish(store)
    submit(store, pipeline(other={"concurrency": "one"}), None)
    lease(store)
    submit(store, pipeline(build=job))
    assert states(store, 3) == {"build": "success"}


INNER = json.dumps(
    {
        "on": {"workflow_call": {"inputs": {"level": {"type": "string"}}}},
        "jobs": json.loads(pipeline(one=SOURCES, two={"needs": "one"}))["jobs"],
    }
)


def call(store: Store, level: str) -> int:
    jobs = {"call": {"uses": "./x.yaml", "with": {"level": level}}}
    text = json.dumps({"on": "push", "jobs": jobs})
    return submit(store, text, {"x.yaml": {"one": "1"}}, called={"x.yaml": INNER})


def test_jobs_of_calls_are_reused_for_the_same_inputs(store: Store) -> None:
    call(store, "full")
    finish(store)
    finish(store)
    call(store, "full")
    assert states(store, 2)["call / one"] == "success"
    assert lease(store).key == "call / two"
    call(store, "less")
    assert states(store, 3)["call / one"] == "queued"


# -- artifacts --


def build(store: Store) -> Artifact:
    """Run 1, in which `build` leaves an artifact."""
    submit(store)
    found = lease(store)
    left = leave(store, 1, "build")
    queue.finish(store, found, SUCCESS, 3.0)
    finish(store)
    return left


def test_artifacts_come_along(store: Store) -> None:
    build(store)
    submit(store)
    assert states(store, 2) == {"build": "success", "test": "success"}
    assert artifacts(store, 2) == [("of build", "build", 2)]


def test_the_artifacts_of_a_need_count_as_what_it_gives(store: Store) -> None:
    build(store)
    submit(store, sources={"ci.yaml": {"build": "2", "test": "1"}})
    found = lease(store)
    leave(store, 2, "build", b"other")
    queue.finish(store, found, SUCCESS, 3.0)
    assert states(store, 2)["test"] == "queued"


def test_nothing_is_reused_whose_artifacts_are_gone(store: Store) -> None:
    expires = build(store).expires
    submit(store, now=expires - 1)
    submit(store, now=expires + 1)
    assert [states(store, run)["build"] for run in (2, 3)] == ["success", "queued"]


def test_no_other_run_gets_the_artifacts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes the number that the run was to have."""
    build(store)
    save = hot.save
    taken: list[int] = []

    def too_late(*edits: Any) -> bool:
        if not taken:
            taken.append(0)
            taken[0] = submit(store, pipeline(other={}), None)
        return save(*edits)

    monkeypatch.setattr(hot, "save", too_late)
    assert submit(store) == 3
    assert taken == [2]
    assert artifacts(store, 2) == []
    assert artifacts(store, 3) == [("of build", "build", 3)]


def test_a_run_that_was_written_but_has_not_entered_is_seen_to(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(store)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(entering, "change", die)
        with pytest.raises(KeyboardInterrupt):
            submit(store)
    assert states(store, 2) == {"build": "blocked", "test": "blocked"}
    queue.tend(store, 2.0)
    queue.tend(store, 2.0)
    assert states(store, 2) == {"build": "success", "test": "success"}
    assert artifacts(store, 2) == [("of build", "build", 2)]
