"""Parts of a job's execution by themselves: its place, what expressions see, limits, commands."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.engines.box import BoxFacts, Image, Workspace
from runner.errors import EnvironmentMissingError, InvalidInputError, PipeError, Position
from runner.events import Annotation, Event, Result
from runner.execute import stopping
from runner.execute.commands import Command, parse_command
from runner.execute.contexts import JobState, job_contexts, status_functions, variables
from runner.execute.evaluation import seconds, text, text_map
from runner.execute.frame import Frame
from runner.execute.job_actions import LOOK
from runner.execute.labels import labels_of
from runner.execute.limits import Limit, limit_of
from runner.execute.place import Place, choose
from runner.execute.policy import Policy
from runner.execute.reporting import CommandState, Reporter
from runner.execute.retry import backoff
from runner.execute.stopping import CANCEL_LIMIT, JobClock, StepStop
from runner.execute.task import JobTask
from runner.model import Job, Pipeline, Retry, Timeouts
from runner.plan import PlannedJob
from runner.secrets import Masker
from runner.storage import Storage

# -- places

POLICY = Policy(images={"ubuntu-latest": "debian:12", "gpu": "cuda"})


def place(image: str, **changes: Any) -> Place:
    return Place(host=False, image=Image(image), **changes)


def machine(image: str) -> Place:
    return place(image, is_machine=True)


@pytest.mark.parametrize(
    ("runs_on", "container", "expected"),
    [
        ("ubuntu-latest", None, machine("debian:12")),
        ("Ubuntu-Latest", "", machine("debian:12")),
        (["linux", "gpu"], {}, machine("cuda")),
        ({"group": "large", "labels": "gpu"}, None, machine("cuda")),
        ({"labels": ["x", "ubuntu-latest"]}, None, machine("debian:12")),
        ("windows-2022", "alpine", place("alpine")),
        (None, "docker://alpine:3", place("alpine:3")),
        ("self-hosted", {"image": "alpine"}, place("alpine")),
        (
            "ubuntu-latest",
            {
                "image": "a",
                "env": {"A": 1, "B": True, "C": None},
                "volumes": ["/a:/b"],
                "ports": [80, "8080:80"],
                "options": "--cpus 1",
            },
            place(
                "a",
                env={"A": "1", "B": "true", "C": ""},
                volumes=("/a:/b",),
                ports=("80", "8080:80"),
                options="--cpus 1",
            ),
        ),
        (
            "x",
            {"image": "a", "pull": "always", "credentials": {"username": "me", "password": "word"}},
            Place(False, Image("a", "always", ("me", "word"))),
        ),
    ],
)
def test_labels_and_containers_choose_a_place(
    runs_on: Any, container: Any, expected: Place
) -> None:
    assert choose(runs_on, container, POLICY) == expected


@pytest.mark.parametrize("runs_on", ["self-hosted", ["self-hosted", "linux"], "Self-Hosted"])
def test_the_host_needs_consent(runs_on: Any) -> None:
    with pytest.raises(EnvironmentMissingError, match="nobody allowed") as caught:
        choose(runs_on, None, POLICY)
    assert "--host" in caught.value.hint
    assert choose(runs_on, None, Policy(allow_host=True)) == Place(host=True, image=Image(""))


@pytest.mark.parametrize(
    ("runs_on", "container", "kind", "message", "hint"),
    [
        ("mars", None, EnvironmentMissingError, "`runs-on` `mars`", "pipe.yaml"),
        (["a", "B"], None, EnvironmentMissingError, "`a`, `b`", "pipe.yaml"),
        (None, None, EnvironmentMissingError, "nothing", "pipe.yaml"),
        ("windows-latest", None, EnvironmentMissingError, "`windows-latest`", "-j JOB"),
        ("macos-14", None, EnvironmentMissingError, "`macos-14`", "-j JOB"),
        ("x", {"image": ""}, InvalidInputError, "`container.image` is empty", "name an image"),
        ("x", {"options": "--cpus 1"}, InvalidInputError, "`container.image` is empty", "image"),
    ],
)
def test_without_a_place_it_says_what_to_do(
    runs_on: Any, container: Any, kind: type[PipeError], message: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        choose(runs_on, container, POLICY)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("runs_on", "labels"),
    [("A", ["a"]), (["A", "", None, 5], ["a", "5"]), ({"group": "g"}, []), (None, []), ("", [])],
)
def test_labels_are_lower_case(runs_on: Any, labels: list[str]) -> None:
    assert labels_of(runs_on) == labels


# -- contexts

FACTS = BoxFacts("/w", "/c", "/c/temp", "/tools", {}, frozenset({"sh"}), id="box1", network="net")


def task(**changes: Any) -> JobTask:
    job = Job("build", ("jobs", "build"))
    values: dict[str, Any] = {
        "run": 7,
        "attempt": 2,
        "pipeline": Pipeline("ci.yaml", {"build": job}),
        "job": job,
        "planned": PlannedJob("build (1)", "build", "Build 1"),
        "contexts": {"github": {"ref_name": "main", "job": "?"}, "matrix": {"n": 1}},
        "secrets": {"KEY": "word"},
        "project": "/p",
        "workspace": Workspace(),
        "policy": Policy(env={"A": "policy", "B": "policy", "C": "policy"}),
        "locate": lambda path: Position("ci.yaml", 1, 1),
        "storage": Storage(Path("/nowhere")),
    }
    return JobTask(**{**values, **changes})


def test_expressions_see_the_job_and_its_box() -> None:
    frame = Frame(task().locate, status="failure")
    state = JobState(frame, env={"C": "file"}, job_env={"B": "job", "C": "job"})
    contexts = job_contexts(task(), FACTS, state)
    assert contexts["github"] == {
        "ref_name": "main",
        "job": "build",
        "workspace": "/w",
        "event_path": "/c/event.json",
        "run_attempt": "2",
    }
    assert dict(contexts["env"]) == {"A": "policy", "B": "job", "C": "file"}
    assert contexts["job"]["status"] == "failure"
    assert contexts["job"]["container"] == {"id": "box1", "network": "net", "ports": {}}
    assert (contexts["secrets"], contexts["matrix"]) == ({"KEY": "word"}, {"n": 1})
    assert contexts["runner"]["temp"] == "/c/temp"
    assert contexts["runner"]["debug"] == ""


def test_a_job_that_was_cancelled_stays_so() -> None:
    frame = Frame(task().locate, status="cancelled")
    frame.fail()
    assert JobState(frame).status == "cancelled"


@pytest.mark.parametrize(
    ("status", "cancelled", "holding"),
    [
        ("success", False, {"success", "always"}),
        ("failure", False, {"failure", "always"}),
        ("cancelled", False, {"cancelled", "always"}),
        ("success", True, {"success", "cancelled", "always"}),
        ("failure", True, {"failure", "cancelled", "always"}),
        ("cancelled", True, {"cancelled", "always"}),
    ],
)
def test_status_functions(status: Result, cancelled: bool, holding: set[str]) -> None:
    functions = status_functions(status, cancelled=cancelled)
    assert {name for name, function in functions.items() if function()} == holding
    assert set(functions) == {"success", "failure", "cancelled", "always"}


def test_variables_of_a_step() -> None:
    github = {
        "ref_name": "main",
        "run_id": 5,
        "sha": None,
        "actor-name": "x",
        "repositoryUrl": "no",
        "token": "secret",
        "event": {"a": 1},
        "event_path": "/c/event.json",
        "list": [1],
    }
    found = variables({"github": github, "runner": {"os": "Linux", "debug": ""}}, "/c/1")
    assert found == {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF_NAME": "main",
        "GITHUB_RUN_ID": "5",
        "GITHUB_SHA": "",
        "GITHUB_ACTOR_NAME": "x",
        "GITHUB_EVENT_PATH": "/c/event.json",
        "GITHUB_OUTPUT": "/c/1/output",
        "GITHUB_ENV": "/c/1/env",
        "GITHUB_PATH": "/c/1/path",
        "GITHUB_STATE": "/c/1/state",
        "GITHUB_STEP_SUMMARY": "/c/1/summary",
        "RUNNER_OS": "Linux",
    }


# -- limits


@dataclass
class Clock:
    """Stands in for the module `time`."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Wanted:
    """What somebody wants of the job."""

    stop: bool = False
    now: bool = False

    def cancelled(self) -> bool:
        return self.stop

    def immediately(self) -> bool:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stopping, "time", clock)
    return clock


def test_a_job_ends_at_its_limit(clock: Clock) -> None:
    job = JobClock(Wanted(), deadline=1010)
    assert (job.ending(), job.immediately(), job.told_at) == ("", False, None)
    clock.now = 1010
    assert (job.ending(), job.immediately(), job.told_at) == ("timeout", False, 1010)
    clock.now += CANCEL_LIMIT
    assert (job.ending(), job.immediately(), job.told_at) == ("timeout", False, 1010)
    clock.now += 0.1
    assert job.immediately()


def test_a_job_may_have_a_patience_of_its_own(clock: Clock) -> None:
    job = JobClock(Wanted(stop=True), deadline=2000, patience=3.0)
    assert (job.ending(), job.immediately()) == ("cancelled", False)
    clock.now += 3.1
    assert job.immediately()


def test_a_wish_comes_before_the_limit(clock: Clock) -> None:
    wanted = Wanted(stop=True)
    job = JobClock(wanted, deadline=0)
    assert (job.ending(), job.immediately()) == ("cancelled", False)
    wanted.now = True
    assert job.immediately()


@pytest.mark.parametrize(
    ("own", "of_all", "expected"),
    [
        (None, None, Limit(360 * 60)),
        (2, None, Limit(120)),
        (2, 60.0, Limit(60, "timeouts.attempt")),
        (2, 120.0, Limit(120)),
        (1, 90.0, Limit(60)),
        ("${{ matrix.n }}", 90.0, Limit(60)),
        (None, 86400.0, Limit(86400, "timeouts.attempt")),
    ],
)
def test_the_smaller_limit_counts(own: Any, of_all: float | None, expected: Limit) -> None:
    job = Job("build", ("jobs", "build"), timeout_minutes=own)
    pipeline = Pipeline("ci.yaml", {"build": job}, timeouts=Timeouts(attempt=of_all))
    assert limit_of(task(job=job, pipeline=pipeline)) == expected


@pytest.mark.parametrize(
    ("retry", "failed", "least", "most"),
    [
        (Retry(delay=2, jitter=False), 1, 2, 2),
        (Retry(delay=2, jitter=False), 4, 16, 16),
        (Retry(delay=2, jitter=False, max_delay=10), 4, 10, 10),
        (Retry(delay=2, jitter=False, backoff="constant"), 4, 2, 2),
        (Retry(delay=2), 1, 1.5, 2.5),
        (Retry(delay=2, max_delay=10), 4, 6, 10),
        (Retry(delay=10, max_delay=10, backoff="constant"), 1, 6, 10),
        (Retry(delay=0), 1, 0, 0),
        (Retry(), 999, 180, 300),
    ],
)
def test_how_long_the_next_try_waits(retry: Retry, failed: int, least: float, most: float) -> None:
    pauses = [backoff(retry, failed, partial(float, share)) for share in (0.0, 1.0)]
    assert pauses == pytest.approx([least, most])
    assert least <= backoff(retry, failed) <= most + 1e-9


@dataclass
class Condition:
    """A step's condition, with how often it was asked."""

    holds: bool
    asked: int = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.holds


def test_a_step_ends_with_its_job(clock: Clock) -> None:
    wanted, condition = Wanted(), Condition(False)
    stop = StepStop(JobClock(wanted, 2000), condition)
    assert (stop.reason(), condition.asked) == ("", 0)
    wanted.stop = True
    assert [stop.reason(), stop.reason()] == ["cancelled", "cancelled"]
    assert (condition.asked, stop.timed_out) == (1, "")


def test_a_step_whose_condition_still_holds_goes_on(clock: Clock) -> None:
    wanted, condition = Wanted(stop=True), Condition(True)
    stop = StepStop(JobClock(wanted, 2000), condition, deadline=3000)
    assert [stop.reason(), stop.reason()] == ["", ""]
    assert (condition.asked, stop.immediately()) == (1, False)
    clock.now += CANCEL_LIMIT + 1
    assert (stop.reason(), stop.immediately()) == ("cancelled", True)


def test_a_second_wish_ends_what_went_on(clock: Clock) -> None:
    wanted = Wanted(stop=True)
    stop = StepStop(JobClock(wanted, 2000), Condition(True))
    assert stop.reason() == ""
    wanted.now = True
    assert (stop.reason(), stop.immediately()) == ("cancelled", True)


@pytest.mark.parametrize(
    ("step_limit", "job_limit", "who"), [(1005, 2000, "step"), (2000, 1005, "job"), (5, 5, "step")]
)
def test_whose_limit_it_was(clock: Clock, step_limit: float, job_limit: float, who: str) -> None:
    stop = StepStop(JobClock(Wanted(), job_limit), Condition(False), step_limit)
    clock.now = 1006
    assert (stop.reason(), stop.timed_out) == ("timeout", who)


def test_a_limit_of_the_step_holds_while_its_job_ends(clock: Clock) -> None:
    stop = StepStop(JobClock(Wanted(stop=True), 2000), Condition(True), deadline=1005)
    assert stop.reason() == ""
    clock.now = 1005
    assert stop.reason() == "timeout"


# -- commands


@dataclass
class Said:
    """A reporter, and what it told."""

    events: list[Event] = field(default_factory=list)
    masker: Masker = field(default_factory=Masker)
    state: CommandState = field(default_factory=CommandState)
    env: Mapping[str, str] = field(default_factory=dict)
    debug: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        its = task(policy=Policy(debug=self.debug))
        self.reporter = Reporter(
            its, 3, self.events.append, self.masker, self.state, self.env, self.read, "/w"
        )

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise InvalidInputError(f"there is no file `{path}`")
        return self.files[path]

    def print(self, line: str) -> bytes | None:
        """What is printed for a line that a step wrote."""
        command = parse_command(line, self.reporter.names())
        if command is None:
            return line.encode()
        raw = line.encode()
        return self.reporter.handle(Command(command.name, command.properties, command.data, raw))

    @property
    def findings(self) -> list[tuple[str, str]]:
        return [(e.level, e.message) for e in self.events if isinstance(e, Annotation)]


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.mark.parametrize("level", ["notice", "warning", "error"])
def test_an_annotation_keeps_its_place(said: Said, level: str) -> None:
    where = "file=a.py,line=3,endLine=4,col=5,endColumn=x,title=T"
    assert said.print(f"::{level} {where}::found%0Ait") == f"##[{level}]found\nit".encode()
    [found] = said.events
    assert isinstance(found, Annotation)
    assert (found.run, found.job, found.attempt, found.step) == (7, "build (1)", 2, 3)
    assert (found.level, found.message, found.title, found.file) == (
        level,
        "found\nit",
        "T",
        "a.py",
    )
    assert (found.line, found.end_line, found.column, found.end_column) == (3, 4, 5, 0)
    assert said.reporter.failure == ""


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("::group::a b", b"##[group]a b"),
        ("::endgroup::", b"##[endgroup]"),
        ("::debug::x", None),
        ("::unknown::x", b"::unknown::x"),
        ("plain", b"plain"),
    ],
)
def test_what_is_printed_for_a_command(said: Said, line: str, shown: bytes | None) -> None:
    assert said.print(line) == shown
    assert said.findings == []


def test_debug_messages_show_when_they_are_wanted() -> None:
    assert Said(debug=True).print("::debug::x") == b"##[debug]x"


def test_a_mask_hides_from_then_on(said: Said) -> None:
    assert said.print("::add-mask::hidden") is None
    assert said.masker.mask_text("a hidden b") == "a *** b"
    assert said.print("::add-mask:: ") is None
    assert said.findings == [("warning", "`add-mask` without a value masks nothing")]


def test_echo_shows_commands_except_masks(said: Said) -> None:
    said.print("::echo::ON")
    assert said.print("::save-state name=a::b") == b"::save-state name=a::b"
    assert said.print("::add-mask::hidden") is None
    said.print("::echo::off")
    assert said.print("::save-state name=a::c") is None
    assert said.reporter.states == {"a": "c"}
    said.print("::echo::maybe")
    assert said.findings == [("warning", "`::echo::` takes `on` or `off`, not `maybe`")]


def test_between_stop_and_its_token_nothing_counts(said: Said) -> None:
    assert said.print("::stop-commands::enough-now") is None
    assert said.print("::error::x") == b"::error::x"
    assert said.print("::other::") == b"::other::"
    assert said.print("::enough-now::") is None
    assert said.print("::group::g") == b"##[group]g"
    assert said.findings == []
    assert said.masker.mask_text("enough-now") == "***"


@pytest.mark.parametrize("token", ["", "pause-logging", "error", "Group"])
def test_a_token_may_be_no_command(said: Said, token: str) -> None:
    said.print(f"::stop-commands::{token}")
    assert said.state.stopped_by == ""
    assert said.reporter.failure == f"`::stop-commands::` needs a token of its own, not `{token}`"


def test_a_short_token_is_not_masked(said: Said) -> None:
    said.print("::stop-commands::abc")
    assert said.masker.mask_text("abc") == "abc"


def test_an_output_is_set_and_the_step_warned(said: Said) -> None:
    said.print("::set-output name=a::b%0Ac")
    assert said.reporter.outputs == {"a": "b\nc"}
    [(level, message)] = said.findings
    assert (level, "deprecated" in message) == ("warning", True)
    said.print("::set-output::b")
    assert said.reporter.failure == "`::set-output::` needs a name"


@pytest.mark.parametrize(
    ("line", "file"), [("::set-env name=A::b", "GITHUB_ENV"), ("::add-path::/x", "GITHUB_PATH")]
)
def test_unsafe_commands_are_off(said: Said, line: str, file: str) -> None:
    said.print(line)
    assert file in said.reporter.failure
    assert (said.reporter.variables, said.reporter.path) == ({}, [])


def test_unsafe_commands_can_be_allowed() -> None:
    said = Said(env={"ACTIONS_ALLOW_UNSECURE_COMMANDS": "TRUE"})
    for line in ("::set-env name=A::b", "::add-path::/x", "::add-path::/y"):
        assert said.print(line) is None
    assert (said.reporter.variables, said.reporter.path) == ({"A": "b"}, ["/x", "/y"])
    assert said.findings == []


def test_variables_that_may_not_be_set_are_told(said: Said) -> None:
    said.reporter.add_variables({"A": "1", "NODE_OPTIONS": "x", "": "y"})
    assert said.reporter.variables == {"A": "1"}
    assert [message for _, message in said.findings] == [
        "NODE_OPTIONS cannot be set for later steps",
        "`` cannot be the name of a variable",
    ]


@pytest.mark.parametrize("name", ["add-matcher", "remove-matcher"])
def test_a_matcher_that_is_not_there_is_told(said: Said, name: str) -> None:
    said.print(f"::{name}::m.json")
    assert said.findings == [("warning", f"`{name}`: there is no file `m.json`")]


def test_the_first_failure_is_the_steps(said: Said) -> None:
    said.reporter.fail("first")
    said.reporter.fail("second")
    assert said.reporter.failure == "first"
    assert said.findings == [("error", "first"), ("error", "second")]


# -- values

CONTEXTS = {"vars": {"n": 5, "t": "x", "none": None, "map": {"k": 1, "l": True}, "yes": True}}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("v${{ vars.n }}", "v5"),
        ("${{ vars.yes }}", "true"),
        (None, ""),
        (1.0, "1"),
        ("${{ vars.none }}", ""),
    ],
)
def test_a_value_as_text(value: Any, shown: str) -> None:
    assert text(value, CONTEXTS) == shown


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, {}),
        ({}, {}),
        ("${{ vars.none }}", {}),
        ({"A": "${{ vars.n }}", "B": None, "C": True}, {"A": "5", "B": "", "C": "true"}),
        ("${{ vars.map }}", {"k": "1", "l": "true"}),
    ],
)
def test_a_map_of_texts(value: Any, found: dict[str, str]) -> None:
    assert text_map(value, CONTEXTS) == found


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="`env` has to be a map, not `x`"):
        text_map("${{ vars.t }}", CONTEXTS)


@pytest.mark.parametrize(
    ("minutes", "found"),
    [
        (None, None),
        ("", None),
        ("${{ vars.none }}", None),
        (2, 120),
        (0.5, 30),
        ("${{ vars.n }}", 300),
    ],
)
def test_minutes_as_seconds(minutes: Any, found: float | None) -> None:
    assert seconds(minutes, CONTEXTS) == found


@pytest.mark.parametrize("minutes", [0, -1, True, float("nan"), "${{ vars.t }}", "5x", [1]])
def test_minutes_that_are_none_are_refused(minutes: Any) -> None:
    with pytest.raises(InvalidInputError, match="`timeout-minutes` has to be a number above 0"):
        seconds(minutes, CONTEXTS)


@pytest.mark.parametrize("minutes", ["${{ fromJSON('NaN') }}", "${{ vars. }}"])
def test_an_expression_that_is_wrong_is_refused(minutes: str) -> None:
    with pytest.raises(InvalidInputError):
        seconds(minutes, CONTEXTS)


def test_a_definition_is_not_read_further_than_it_can_matter(tmp_path: Path) -> None:
    """The script that looks for an action prints at most what it was told, of whatever is there."""
    (tmp_path / "action.yml").write_text("x" * 100)
    command = ["/bin/sh", "-c", LOOK, "sh", "unused", str(tmp_path), "10", "action.yml"]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert printed == b"action.yml\n" + b"x" * 10
