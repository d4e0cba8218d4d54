"""Jobs in containers: a real engine, in each way to reach it, and steps that mean no good."""

import hashlib
import io
import os
import pty
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from runner.engines import ending
from runner.engines.box import (
    BOX_LOST,
    BoxSpec,
    Deadline,
    EngineError,
    Finished,
    Image,
    NoStop,
    Process,
    Stop,
    Workspace,
)
from runner.engines.docker import DockerEngine
from runner.engines.docker.box import DockerBox
from runner.engines.docker.client import connect
from runner.errors import PipeError
from runner.project import find_project, keep_snapshot, open_snapshot, take_snapshot

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

BUSYBOX, DEBIAN, NONROOT = "pipe-test/busybox:1", "pipe-test/debian:12", "pipe-test/nonroot:1"
MODES = ("local", "framed", "remote")


@dataclass(slots=True)
class Printed:
    """What a step printed until now."""

    data: bytearray = field(default_factory=bytearray)

    def __call__(self, data: bytes) -> None:
        self.data += data

    @property
    def text(self) -> str:
        return self.data.decode()


@dataclass(frozen=True, slots=True)
class Once:
    """Asks for an end once something was printed."""

    printed: Printed
    text: bytes
    now: bool = False

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        return "cancelled" if self.text in self.printed.data else ""

    def immediately(self) -> bool:
        return self.now and bool(self.reason())


@dataclass(slots=True)
class Place:
    """An open box, and the steps that run in it."""

    box: DockerBox
    steps: int = 0

    def run(
        self,
        script: str,
        write: Callable[[bytes], None] | None = None,
        stop: Stop | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        collect: tuple[str, ...] = ("output", "env"),
        end: Callable[[], None] | None = None,
    ) -> Finished:
        self.steps += 1
        folder = self.box.new_folder()
        process = Process(
            id=self.mark,
            folder=folder,
            argv=("sh", "-e", f"{folder}/script"),
            cwd=cwd or self.box.facts.workspace,
            env={**(env or {}), "FILES": folder, "PIPE_STEP": self.mark},
            files={"script": script.encode(), **dict.fromkeys(collect, b"")},
            collect=collect,
        )
        return self.box.run(process, write or Printed(), stop or NoStop(), end=end)

    @property
    def mark(self) -> str:
        """The id of the step that ran last."""
        return f"step-{self.steps:06}"

    def says(self, script: str) -> str:
        """What a step prints that has to succeed."""
        printed = Printed()
        finished = self.run(script, printed)
        assert finished.exit_code == 0, printed.text
        return printed.text

    def living(self, mark: str) -> str:
        """The processes that carry the mark of an earlier step."""
        return self.says(f"grep -l PIPE_STEP={mark} /proc/[0-9]*/environ 2>/dev/null || true")


class OpenBox(Protocol):
    """Opens a box in the mode of the test; it is closed when the test ends."""

    def __call__(self, image: str = BUSYBOX, **changes: Any) -> Place: ...


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what another process does; fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def no_progress(image: str, current: int, total: int, done: bool) -> None:
    raise AssertionError("there is nothing to pull")


def spec(image: str, tree: Path, **changes: Any) -> BoxSpec:
    return BoxSpec(
        **{
            "run": 1,
            "job": "job",
            "attempt": 1,
            "project": "tests",
            "image": Image(image, "never"),
            "workspace": Workspace(layers=(tree,)),
            "files": {"event.json": b"{}"},
            **changes,
        }
    )


@cache
def docker() -> Any:
    return connect()


def containers(home: Path) -> list[str]:
    """Those of the boxes whose folders are under `home`."""
    boxes = home / "boxes"
    labels = {file.stem for file in boxes.glob("*.lock")} if boxes.exists() else set()
    found = docker().containers(all=True, filters={"label": "pipe.box"})
    return [entry["Id"] for entry in found if entry["Labels"]["pipe.box"] in labels]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    tree.chmod(0o777)
    (tree / "a.txt").write_text("a\n")
    return tree


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What needs a box of its own runs in all modes in long runs only."""
    if "engine" in metafunc.fixturenames:
        marks = () if "shared" in metafunc.fixturenames else (pytest.mark.faults,)
        others = (pytest.param(mode, marks=marks) for mode in MODES[1:])
        metafunc.parametrize("engine", [MODES[0], *others], indirect=True, scope="module")


@pytest.fixture(scope="module")
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPE_ENGINE_MODE", str(request.param))
        engine = DockerEngine(tmp_path_factory.mktemp("home"))
    yield engine
    engine.finish()


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """An engine that finds out by itself how near it is."""
    engine = DockerEngine(tmp_path_factory.mktemp("home"))
    yield engine
    engine.finish()


@pytest.fixture
def is_local(engine: DockerEngine) -> bool:
    return engine.locality is not None and engine.locality.value == "local"


@pytest.fixture(scope="module")
def shared(engine: DockerEngine, tree: Path) -> Iterator[Place]:
    place = Place(engine.open(spec(BUSYBOX, tree), no_progress))
    yield place
    place.box.close("success")


@pytest.fixture
def open_box(engine: DockerEngine, tree: Path) -> Iterator[OpenBox]:
    opened: list[Place] = []

    def open_one(image: str = BUSYBOX, **changes: Any) -> Place:
        opened.append(Place(engine.open(spec(image, tree, **changes), no_progress)))
        return opened[-1]

    yield open_one
    for place in opened:
        place.box.close("success")


# -- one process


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("true", 0),
        ("exit 7", 7),
        ("false; exit 0", 1),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("nothing-of-that-name", 127),
    ],
)
def test_an_exit_code_is_that_of_the_shell(shared: Place, script: str, code: int) -> None:
    finished = shared.run(script)
    assert (finished.exit_code, finished.reason) == (code, "")


def test_output_and_errors_keep_their_order(shared: Place) -> None:
    script = "for i in $(seq 300); do echo out $i; echo err $i >&2; done"
    expected = "".join(f"out {i}\nerr {i}\n" for i in range(1, 301))
    assert shared.says(script) == expected


def test_bytes_arrive_as_they_were_printed(shared: Place) -> None:
    printed = Printed()
    shared.run(r"printf '\000\377\r\n\033[1m\000end'", printed)
    assert printed.data == b"\0\xff\r\n\033[1m\0end"


def test_nothing_can_be_read_from_the_input(shared: Place) -> None:
    assert shared.says("cat; echo end") == "end\n"


def test_a_folder_that_is_missing_is_said(shared: Place) -> None:
    printed = Printed()
    finished = shared.run("true", printed, cwd="/no/such 'folder'")
    assert finished.exit_code == 1
    assert printed.text == ("##[error]the working directory `/no/such 'folder'` does not exist\n")


ODD_VALUES = {
    "PLAIN": "value",
    "QUOTES": 'it\'s "so" `odd` $HOME ${x} \\ \\n',
    "LINES": "one\n\ntwo\n",
    "EMPTY": "",
    "BLANKS": "  a  *  ",
    "LONG": "x" * 100_000,
    "UNICODE": "äöü 🙂",
    "BYTES": "\udcff\udcfe",
    "dotted.name": "1 '2'",
    "with-dash": "-",
    "-i": "not an option",
    "--": "neither",
    "with space": "s",
    "9LIVES": "9",
    "ÄÖ": "ü",
    "IFS": "x",
    "PWD": "/elsewhere",
    "ENV": "/no/such/file",
    "BASH_ENV": "/no/such/file",
    "PPID": "1",
    "LINENO": "7",
    "_": "last",
    "OPTIND": "5",
    "PIPE_TOKEN": "mine",
}
#: A shell sets these itself.
OVERWRITTEN = {"PWD", "PPID", "LINENO", "_", "OPTIND", "IFS"}


@pytest.mark.parametrize("image", [BUSYBOX, DEBIAN])
def test_variables_of_any_name_and_value_arrive(open_box: OpenBox, image: str) -> None:
    printed = Printed()
    finished = open_box(image).run("cat /proc/$$/environ", printed, env=ODD_VALUES)
    assert finished.exit_code == 0, printed.data
    entries = dict(entry.split(b"=", 1) for entry in bytes(printed.data).split(b"\0") if entry)
    wanted = {
        os.fsencode(name): os.fsencode(value)
        for name, value in ODD_VALUES.items()
        if name not in OVERWRITTEN
    }
    assert {name: entries.get(name) for name in wanted} == wanted


def test_a_variable_that_is_too_long_is_an_error_of_the_step(shared: Place) -> None:
    printed = Printed()
    finished = shared.run("true", printed, env={"HUGE": "x" * 200_000})
    assert finished.exit_code == 126, finished
    assert "Argument list too long" in printed.text


def test_200_megabytes_arrive_whole_and_are_not_kept(shared: Place) -> None:
    seen, size, largest = hashlib.sha256(), 0, 0

    def write(data: bytes) -> None:
        nonlocal size, largest
        seen.update(data)
        size, largest = size + len(data), max(largest, len(data))

    script = "head -c 20m /dev/urandom >big; for i in 0 1 2 3 4 5 6 7 8 9; do cat big; done"
    tracemalloc.start()
    try:
        finished = shared.run(script, write)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    digest = shared.says("cat big big big big big big big big big big | sha256sum; rm big")
    assert (finished.exit_code, size) == (0, 200 << 20)
    assert seen.hexdigest() == digest.split()[0]
    assert largest <= 1 << 20
    assert peak < 16 << 20


# -- what a step leaves


def test_command_files_are_read_back(shared: Place) -> None:
    finished = shared.run("echo a=1 >>$FILES/output; rm $FILES/env; exit 3")
    assert finished.files == {"output": b"a=1\n", "env": b""}
    assert finished.refused == {}


def test_without_its_folder_a_step_left_nothing(shared: Place) -> None:
    finished = shared.run("echo a=1 >$FILES/output; rm -r $FILES")
    assert (finished.exit_code, finished.files) == (0, {"output": b"", "env": b""})


@pytest.mark.parametrize(
    ("replacement", "why"),
    [
        ("ln -s /etc/passwd output", "no longer a regular file"),
        ("ln -s env output", "no longer a regular file"),
        ("ln -s /dev/zero output", "no longer a regular file"),
        ("mkdir output", "no longer a regular file"),
        ("mkfifo output", "no longer a regular file"),
        ("mknod output c 1 5", "no longer a regular file"),
        ("truncate -s 34603008 output", "more than 33554432"),
    ],
)
def test_what_is_no_file_any_more_is_refused(shared: Place, replacement: str, why: str) -> None:
    finished = shared.run(f"cd $FILES; rm output; {replacement}; echo y=2 >env")
    assert finished.files == {"env": b"y=2\n"}
    assert why in finished.refused["output"]


def test_a_file_of_the_image_cannot_be_linked_in(shared: Place) -> None:
    finished = shared.run("cd $FILES; rm output; ln /bin/busybox output || true")
    assert finished.files["output"] == b""


@pytest.mark.parametrize("name", ["passwd", "hostname"])
def test_a_folder_that_was_swapped_is_not_read(shared: Place, name: str) -> None:
    script = "mv $FILES $FILES-away; ln -s /etc $FILES"
    assert shared.run(script, collect=(name,)).files == {name: b""}


def test_other_steps_go_on_in_an_empty_control_folder(open_box: OpenBox) -> None:
    place = open_box()
    place.run("rm -rf /github/pipe/* || true")
    assert place.run("echo b=2 >$FILES/output").files["output"] == b"b=2\n"


# -- steps that attack what watches over them


@pytest.mark.parametrize(
    "attack", ["kill -9 1", "kill -STOP 1", "kill -INT 1", "kill -TERM 1", "kill -HUP 1"]
)
def test_a_step_cannot_end_the_supervisor(shared: Place, attack: str) -> None:
    assert shared.says(f"{attack}; echo tried") == "tried\n"
    assert shared.says("echo on") == "on\n"


def test_a_step_that_kills_all_it_can_kills_no_other(open_box: OpenBox, is_local: bool) -> None:
    place = open_box()
    finished = place.run("kill -9 -1; echo still here")
    assert finished.reason == ("lost" if is_local else "")
    assert place.says("echo on") == "on\n"


def test_a_step_that_kills_its_launcher_is_lost(shared: Place, is_local: bool) -> None:
    began = time.monotonic()
    finished = shared.run("sleep 1001 & kill -9 $PPID; sleep 1002")
    assert finished.exit_code == 137
    assert time.monotonic() - began < 10
    if is_local:
        assert finished.reason == "lost"
        assert "killed the process that watches over it" in finished.explanation
        assert shared.living(shared.mark) == ""


FORGERY = """
for token in 0 - '' {tokens}; do echo "$token exit 0"; echo "$token gone 1"; done >/proc/1/fd/1
printf %s 'no end of a line' >/proc/1/fd/1
printf '\\377\\000\\n' >/proc/1/fd/1
printf %s 'nor here ' >/proc/1/fd/1
exit 3
"""


def test_a_status_cannot_be_forged(shared: Place) -> None:
    tokens = " ".join(f"{n:016x}" for n in range(64))
    finished = shared.run(FORGERY.replace("{tokens}", tokens))
    assert (finished.exit_code, finished.reason) == (3, "")


def test_a_background_process_cannot_speak_for_a_later_step(open_box: OpenBox) -> None:
    place = open_box()
    place.run(
        "(while :; do for each in /github/pipe/*; do echo 0 >$each/exit; echo exit 0 >$each/status;"
        " printf '%s exit 0' ${each##*/} >/proc/1/fd/1; done; done) 2>/dev/null &"
    )
    for _ in range(5):
        finished = place.run("exit 3")
        assert (finished.exit_code, finished.reason) == (3, "")


# -- the end of a process

STUBBORN = """
trap 'echo int' INT
trap 'echo term' TERM
echo ready
while true; do sleep 100 & wait || true; done
"""


@pytest.fixture
def quick_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "STAGES", ((0.0, "INT"), (0.6, "TERM"), (1.2, "KILL")))


@pytest.mark.usefixtures("quick_stages")
def test_a_process_is_asked_twice_before_it_is_killed(shared: Place) -> None:
    printed = Printed()
    finished = shared.run(STUBBORN, printed, Once(printed, b"ready"))
    assert (finished.exit_code, finished.reason) == (137, "cancelled")
    # A shell may say that its child was killed, just before it is killed itself.
    assert printed.text.removesuffix("Killed\n") == "ready\nint\nterm\n"
    assert shared.living(shared.mark) == ""


def test_a_process_may_end_in_its_own_way(shared: Place) -> None:
    printed = Printed()
    script = "trap 'echo bye; exit 5' INT; echo ready; sleep 100 & wait"
    finished = shared.run(script, printed, Once(printed, b"ready"))
    assert (finished.exit_code, finished.reason) == (5, "cancelled")
    assert printed.text == "ready\nbye\n"


def test_a_time_limit_interrupts(shared: Place) -> None:
    finished = shared.run("sleep 100", stop=Deadline(time.monotonic() + 0.2))
    assert (finished.exit_code, finished.reason) == (130, "timeout")


def test_when_it_has_to_be_at_once_nobody_is_asked(shared: Place) -> None:
    printed = Printed()
    finished = shared.run(STUBBORN, printed, Once(printed, b"ready", now=True))
    assert (finished.exit_code, finished.reason) == (137, "cancelled")
    # A shell may say that its child was killed, just before it is killed itself.
    assert printed.text.removesuffix("Killed\n") == "ready\n"


@pytest.mark.usefixtures("quick_stages")
def test_what_left_the_group_ends_with_a_cancelled_step(shared: Place) -> None:
    printed = Printed()
    script = """
    setsid sh -c 'trap "" INT TERM; echo apart; sleep 1003 & wait; wait' &
    trap '' INT TERM
    until false; do echo ready; sleep 1004; done
    """
    finished = shared.run(script, printed, Once(printed, b"ready"))
    mark = shared.mark
    assert finished.reason == "cancelled"
    assert shared.living(mark) == ""


def test_without_setsid_a_step_runs_and_ends(open_box: OpenBox) -> None:
    place = open_box(DEBIAN, volumes=("/dev/null:/usr/bin/setsid",))
    assert place.says("echo works") == "works\n"
    printed = Printed()
    finished = place.run("echo ready; sleep 100", printed, Once(printed, b"ready", now=True))
    assert (finished.exit_code, finished.reason) == (137, "cancelled")


# -- background processes


def test_a_step_ends_with_its_shell_and_its_children_go_on(shared: Place) -> None:
    first = Printed()
    background = "(until [ -e go ]; do sleep 0.01; done; echo late; rm go; touch gone) &"
    assert shared.run(f"{background} echo started", first).exit_code == 0
    assert first.text == "started\n"
    second = shared.says("touch go; until [ -e gone ]; do sleep 0.01; done; rm gone; echo second")
    until(lambda: shared.says("true") or "late" in first.text)
    assert (first.text, second) == ("started\nlate\n", "second\n")


def test_the_end_of_all_output_is_told_once(shared: Place) -> None:
    heard: list[str] = []
    shared.run("echo all", end=lambda: heard.append("short"))
    until(lambda: heard == ["short"])
    printed = Printed()
    script = "(until [ -e last ]; do sleep 0.01; done; printf late) & echo first"
    shared.run(script, printed, end=lambda: heard.append(printed.text))
    assert heard == ["short"]
    shared.run("touch last")
    until(lambda: shared.says("true") or len(heard) > 1)
    shared.run("rm last")
    assert heard == ["short", "first\nlate"]


def test_the_end_of_the_box_is_the_end_of_its_output(engine: DockerEngine, tree: Path) -> None:
    place = Place(engine.open(spec(BUSYBOX, tree), no_progress))
    printed, heard = Printed(), list[str]()
    place.run("sleep 1011 & printf half", printed, end=lambda: heard.append(printed.text))
    assert heard == []
    place.box.close("success")
    assert heard == ["half"]


def test_who_prints_without_end_does_not_hold_the_step(open_box: OpenBox) -> None:
    printed = Printed()
    assert open_box().run("yes & sleep 0.1", printed).exit_code == 0
    assert len(printed.data) > 1000


@pytest.mark.parametrize(
    "script",
    [
        "setsid sleep 1005 & echo last",
        "sleep 1006 & exec >&- 2>&-",
        "exec >/dev/null 2>&1; sleep 0.2",
        "setsid sh -c 'exec >&- 2>&- <&-; sleep 1007' & true",
    ],
)
def test_nobody_waits_for_what_a_step_leaves_running(shared: Place, script: str) -> None:
    began = time.monotonic()
    assert shared.run(script).exit_code == 0
    assert time.monotonic() - began < 10


def test_orphans_are_reaped(shared: Place) -> None:
    shared.run("for i in $(seq 200); do (true &); done")
    count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
    until(lambda: int(shared.says(count)) < 5)


def test_memory_that_ran_out_is_explained(open_box: OpenBox) -> None:
    place = open_box(options="--memory 48m --memory-swap 48m")
    finished = place.run("tail /dev/zero")
    assert (finished.exit_code, finished.reason) == (137, "out-of-memory")
    assert finished.explanation == (
        "the box's memory limit of 48 MiB was reached and a process was killed"
    )
    finished = place.run("exit 9")
    assert (finished.exit_code, finished.reason, finished.explanation) == (9, "", "")


def test_a_box_that_is_taken_away_is_lost(open_box: OpenBox) -> None:
    place, printed = open_box(), Printed()

    def write(data: bytes) -> None:
        printed(data)
        docker().remove_container(place.box.facts.id, force=True)

    began = time.monotonic()
    with pytest.raises(EngineError, match="ended in the middle of the job") as caught:
        place.run("echo ready; sleep 100", write)
    assert caught.value.reason == BOX_LOST
    with pytest.raises(EngineError):
        place.run("true")
    assert time.monotonic() - began < 20


# -- images


@pytest.mark.parametrize("image", [BUSYBOX, DEBIAN, "pipe-test/entrypoint:1"])
def test_a_box_knows_what_its_image_is_like(open_box: OpenBox, image: str) -> None:
    place = open_box(image, env={"GREETING": "hello"})
    facts = place.box.facts
    shells = {"bash", "sh", "python"} & facts.shells
    assert ("bash" in shells, "sh" in shells) == (image == DEBIAN, True)
    assert facts.shells <= {"bash", "sh", "pwsh", "python"}
    assert (facts.env["GREETING"], facts.os) == ("hello", "Linux")
    assert place.says("echo $GREETING; cat a.txt; pwd") == f"hello\na\n{facts.workspace}\n"
    assert place.says(f"cat {facts.control}/event.json; test -w {facts.temp}") == "{}"


def test_an_ordinary_user_can_work(open_box: OpenBox, tree: Path) -> None:
    place = open_box(NONROOT, workspace=Workspace(layers=(tree,), open_layers=lambda: (tree,)))
    assert place.says("id -u; echo b >b.txt; mkdir c; echo x=1 >$FILES/output; ls") == (
        "1000\na.txt\nb.txt\nc\n"
    )
    assert place.run("kill -9 1 || exit 4").exit_code in (0, 4)
    assert place.run("echo x=1 >$FILES/output").files["output"] == b"x=1\n"


@pytest.mark.parametrize(
    ("image", "reason", "message"),
    [
        (Image("pipe-test/unknown:1", "never"), "image", "`pull: never` forbids"),
        (Image("localhost:1/unknown:1"), "registry", "its registry cannot be reached"),
        (Image("pipe-test/noshell:1", "never"), "no-shell", "has no /bin/sh"),
        (Image("Not A Name"), "image", "`Not A Name` is not the name of an image"),
    ],
)
def test_an_image_that_cannot_be_used_is_explained(
    near: DockerEngine, tree: Path, image: Image, reason: str, message: str
) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        near.open(replace(spec("", tree), image=image), lambda *_: None)
    assert caught.value.reason == reason
    assert caught.value.hint


def test_a_wrong_option_is_refused(near: DockerEngine, tree: Path) -> None:
    with pytest.raises(PipeError, match=r"`container.options`.*--memroy"):
        near.open(spec(BUSYBOX, tree, options="--memroy 5m"), no_progress)


def test_options_reach_the_container(open_box: OpenBox) -> None:
    place = open_box(options="--hostname inside -e A=b --cpus 0.5 --user 1000 --ulimit nofile=99")
    assert place.says("hostname; echo $A; id -u; ulimit -n") == "inside\nb\n1000\n99\n"


# -- the workspace


def test_a_box_changes_nothing_of_its_source(open_box: OpenBox, tree: Path) -> None:
    first, second = open_box(), open_box()
    first.run("echo changed >a.txt; echo new >new.txt; rm -rf .git")
    assert second.says("cat a.txt; ls") == "a\na.txt\n"
    assert [file.name for file in tree.iterdir()] == ["a.txt"]
    assert (tree / "a.txt").read_text() == "a\n"


def test_upper_layers_lie_over_lower_ones(open_box: OpenBox, tmp_path: Path) -> None:
    for layer, names in (("upper", "ab"), ("lower", "bc")):
        (tmp_path / layer).mkdir()
        for name in names:
            (tmp_path / layer / name).write_text(layer)
    layers = (tmp_path / "upper", tmp_path / "lower")
    place = open_box(workspace=Workspace(layers=layers, objects=(tmp_path / "lower",)))
    assert place.says("cat a b c; cat /github/objects/0/c") == "upperupperlowerlower"


def test_a_queued_run_needs_neither_its_checkout_nor_its_machine(
    open_box: OpenBox, tmp_path: Path
) -> None:
    repo, storage = tmp_path / "repo", tmp_path / "storage"
    repo.mkdir()
    (repo / "a.txt").write_text("a\n")
    for command in ("init -q -b main", "add -A", "commit -q -m first"):
        subprocess.run(["git", *command.split()], cwd=repo, check=True)
    taken = take_snapshot(find_project(repo), tmp_path / "here", storage)
    with keep_snapshot(taken, portable=True) as kept:
        data = kept.to_json()
    shutil.rmtree(repo)
    storage.rename(tmp_path / "mounted")
    with open_snapshot(data, tmp_path / "mounted") as snapshot:
        assert snapshot.git
        layers = (snapshot.git, snapshot.tree)
        place = open_box(DEBIAN, workspace=Workspace(layers=layers, objects=snapshot.objects))
        assert place.says("git log --format=%s; git status --short; git fsck") == "first\n"


def test_a_box_beside_shares_the_workspace(open_box: OpenBox) -> None:
    place = open_box()
    beside = Place(place.box.beside(Image(DEBIAN, "never"), no_progress))
    assert place.box.beside(Image(DEBIAN, "never"), no_progress) is beside.box
    place.run("echo here >here.txt")
    assert beside.says("cat here.txt; cat /etc/debian_version >there.txt") == "here\n"
    assert place.says("cat there.txt").startswith("12")
    assert beside.run("echo a=1 >$FILES/output; exit 3").files["output"] == b"a=1\n"
    hostname = "hostname; cat /proc/net/dev | wc -l"
    assert beside.says(hostname).split()[1] == place.says(hostname).split()[1]


def test_a_box_beside_that_cannot_be_had_harms_no_other(open_box: OpenBox) -> None:
    place = open_box()
    with pytest.raises(EngineError, match="has no /bin/sh"):
        place.box.beside(Image("pipe-test/noshell:1", "never"), no_progress)
    assert place.says("echo on") == "on\n"


def test_a_tree_is_read(shared: Place) -> None:
    shared.run("mkdir -p out/empty; echo x >out/x; ln -s ../a.txt out/link")
    blocks = b"".join(shared.box.read_tree(f"{shared.box.facts.workspace}/out"))
    with tarfile.open(fileobj=io.BytesIO(blocks)) as tar:
        file = tar.extractfile("out/x")
        assert file is not None
        assert file.read() == b"x\n"
        assert sorted(tar.getnames()) == ["out", "out/empty", "out/link", "out/x"]
        assert tar.getmember("out/link").linkname == "../a.txt"
    with pytest.raises(FileNotFoundError):
        shared.box.read_tree("/no/such/file")


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a b", "a'\"b", "ä=%s;$x"])
def test_any_name_of_a_home_works(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    tree = home / "trees" / name
    tree.mkdir(parents=True)
    (tree / "a.txt").write_text("a\n")
    engine = DockerEngine(home)
    place = Place(engine.open(spec(BUSYBOX, tree), no_progress))
    try:
        assert place.says("cat a.txt; echo b >b.txt; ls") == "a\na.txt\nb.txt\n"
        assert (engine.locality and engine.locality.value) == "local"
        assert [file.name for file in tree.iterdir()] == ["a.txt"]
    finally:
        place.box.close("success")
        engine.finish()


# -- what is left


@dataclass(frozen=True, slots=True)
class Traces:
    """What a box makes outside of itself."""

    container: str
    volumes: tuple[str, ...]
    folder: Path

    @classmethod
    def of(cls, place: Place, home: Path) -> "Traces":
        found = docker().inspect_container(place.box.facts.id)
        volumes = tuple(mount["Name"] for mount in found["Mounts"] if mount["Type"] == "volume")
        return cls(found["Id"], volumes, home / "boxes" / found["Config"]["Labels"]["pipe.box"])

    def remaining(self) -> list[str]:
        known = {entry["Id"] for entry in docker().containers(all=True)}
        volumes = {entry["Name"] for entry in docker().volumes()["Volumes"] or ()}
        mounts = Path("/proc/mounts").read_text()
        return [
            *({self.container} & known),
            *({*self.volumes} & volumes),
            *(name for name in (self.folder.name, *self.volumes) if name in mounts),
            *(str(file) for file in self.folder.parent.glob(f"{self.folder.name}*")),
        ]


@pytest.mark.parametrize("result", ["success", "failure", "cancelled"])
def test_nothing_is_left_of_a_box(
    engine: DockerEngine, tree: Path, result: Literal["success", "failure", "cancelled"]
) -> None:
    place = Place(engine.open(spec(BUSYBOX, tree), no_progress))
    beside = Place(place.box.beside(Image(DEBIAN, "never"), no_progress))
    traces = [Traces.of(each, engine._home) for each in (place, beside)]
    assert all(each.volumes for each in traces)
    for each in (place, beside):
        each.run("echo x >root-made; setsid sleep 1008 & (trap '' TERM INT HUP; sleep 1009) &")
    place.box.close(result)
    engine.finish()
    until(lambda: [trace.remaining() for trace in traces] == [[], []])


def test_a_box_that_never_came_up_leaves_nothing(tmp_path: Path, tree: Path) -> None:
    engine = DockerEngine(tmp_path)
    for changes in ({"image": Image("pipe-test/noshell:1", "never")}, {"options": "--nothing"}):
        with pytest.raises(PipeError):
            engine.open(replace(spec(BUSYBOX, tree), **changes), no_progress)
    engine.finish()
    assert list((tmp_path / "boxes").iterdir()) == []
    assert containers(tmp_path) == []


def test_a_failed_job_is_kept_until_it_is_asked_for(tmp_path: Path, tree: Path) -> None:
    engine = DockerEngine(tmp_path)
    traces = {}
    for result in ("success", "failure"):
        place = Place(engine.open(spec(BUSYBOX, tree, keep=True), no_progress))
        traces[result] = Traces.of(place, tmp_path)
        place.run("echo found >result")
        place.box.close(result)
    engine.finish()
    until(lambda: traces["success"].remaining() == [])
    kept = traces["failure"].container
    assert exec_in(kept, "cat /github/workspace/result") == b"found\n"
    exec_in(kept, "kill -9 -1")
    assert DockerEngine(tmp_path).clean(kept=False) == []
    assert exec_in(kept, "echo on") == b"on\n"
    cleaner = DockerEngine(tmp_path)
    assert cleaner.clean(kept=True) == [traces["failure"].folder.name]
    cleaner.finish()
    until(lambda: traces["failure"].remaining() == [])


def exec_in(container: str, command: str) -> bytes:
    execution = docker().exec_create(container, ["/bin/sh", "-c", command])["Id"]
    return bytes(docker().exec_start(execution))


RUNNER = """
import sys
from pathlib import Path
from runner.engines.box import BoxSpec, Image, NoStop, Process, Workspace
from runner.engines.docker import DockerEngine

workspace = Workspace(layers=(Path(sys.argv[2]),))
spec = BoxSpec(1, "job", 1, "p", Image("pipe-test/busybox:1", "never"), workspace)
box = DockerEngine(Path(sys.argv[1])).open(spec, print)
script = "trap '' INT TERM HUP; touch made; echo %s; sleep 1010" % box.facts.id
process = Process("s", box.new_folder(), ("sh", "-c", script), box.facts.workspace, {}, {})
box.run(process, lambda data: print(data.decode(), end="", flush=True), NoStop())
"""


@pytest.mark.parametrize("mode", ["local", pytest.param("remote", marks=pytest.mark.faults)])
def test_a_runner_that_is_killed_leaves_nothing_for_long(
    tmp_path: Path, tree: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPE_ENGINE_MODE", mode)
    command = [sys.executable, "-c", RUNNER, str(tmp_path), str(tree)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout
        container = runner.stdout.readline().strip()
        runner.kill()
    until(lambda: container not in {entry["Id"] for entry in docker().containers(all=True)})
    assert list((tmp_path / "boxes").glob("*.lock")) != []
    engine = DockerEngine(tmp_path)
    engine.open(spec(BUSYBOX, tree), no_progress).close("success")
    engine.finish()
    until(lambda: list((tmp_path / "boxes").iterdir()) == [])


def test_a_box_to_be_kept_stops_with_a_runner_that_is_killed(tmp_path: Path, tree: Path) -> None:
    command = [sys.executable, "-c", RUNNER.replace("workspace)\n", "workspace, keep=True)\n"),
               str(tmp_path), str(tree)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout
        container = runner.stdout.readline().strip()
        assert docker().inspect_container(container)["State"]["Running"]
        runner.kill()
    until(lambda: not docker().inspect_container(container)["State"]["Running"])
    engine = DockerEngine(tmp_path)
    engine.open(spec(BUSYBOX, tree), no_progress).close("success")
    engine.finish()
    until(lambda: list((tmp_path / "boxes").iterdir()) == [])
    assert container not in {entry["Id"] for entry in docker().containers(all=True)}


def test_a_box_without_sleep_is_kept_but_stopped(tmp_path: Path, tree: Path) -> None:
    engine = DockerEngine(tmp_path)
    place = Place(engine.open(spec(DEBIAN, tree, keep=True), no_progress))
    place.says("rm $(command -v sleep)")
    place.box.close("failure")
    until(lambda: not docker().inspect_container(place.box.facts.id)["State"]["Running"])
    assert engine.clean(kept=False) == []
    assert docker().inspect_container(place.box.facts.id)
    assert len(engine.clean(kept=True)) == 1
    engine.finish()
    assert containers(tmp_path) == []


def test_a_box_to_be_kept_that_is_taken_away_closes(tmp_path: Path, tree: Path) -> None:
    engine = DockerEngine(tmp_path)
    place = Place(engine.open(spec(BUSYBOX, tree, keep=True), no_progress))
    docker().remove_container(place.box.facts.id, force=True, v=True)
    place.box.close("failure")
    assert len(engine.clean(kept=True)) == 1
    engine.finish()
    until(lambda: list((tmp_path / "boxes").iterdir()) == [])


def test_two_boxes_from_two_threads(engine: DockerEngine, tree: Path) -> None:
    together = threading.Barrier(2, timeout=30)
    said: dict[str, list[str]] = {}

    def work(name: str) -> None:
        place = Place(engine.open(spec(BUSYBOX, tree), no_progress))
        together.wait()
        said[name] = [place.says(f"echo {name} {n}; cat own 2>/dev/null || true; echo {name} >own")
                      for n in range(5)]  # fmt: skip
        together.wait()
        place.box.close("success")

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert said == {
        name: [f"{name} 0\n", *(f"{name} {n}\n{name}\n" for n in range(1, 5))] for name in "ab"
    }


# -- the terminal


SHELL = (
    RUNNER.partition("script =")[0]
    + """
folder = box.new_folder()
code = box.shell(Process("s", folder, ("sh", "-i"), "/no/folder", {"SAY": "hello"}, {}))
box.close("success")
sys.exit(code)
"""
)


def test_a_shell_ends_with_its_input(tmp_path: Path, tree: Path) -> None:
    command = [sys.executable, "-c", SHELL, str(tmp_path), str(tree)]
    ended = subprocess.run(
        command, input=b"echo $SAY | tr a-z A-Z\n", capture_output=True, timeout=40, check=False
    )
    assert (ended.returncode, b"HELLO\r\n" in ended.stdout) == (0, True), ended


def test_a_shell_gets_the_terminal(tmp_path: Path, tree: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SHELL, str(tmp_path), str(tree)]
    runner = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        # What is typed before the shell is there is dropped, as terminals do.
        read_until(ours, b"# ")
        os.write(ours, b'test -t 0 && echo "$SAY" from $(cat /github/workspace/a.txt); exit 7\n')
        read_until(ours, b"hello from a\r\n")
        assert runner.wait(20) == 7
    finally:
        os.close(ours)
        runner.kill()
        runner.wait()


def read_until(terminal: int, wanted: bytes) -> None:
    shown = b""
    while wanted not in shown:
        shown += os.read(terminal, 4096)
