"""Jobs as processes of this machine: real processes, and what is left of them."""

import io
import os
import pty
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from runner.engines import ending, processes
from runner.engines.box import (
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
from runner.engines.folders import BoxFolder, leftovers
from runner.engines.host import HostEngine
from runner.engines.host.box import HostBox
from runner.engines.host.environment import without_ours
from runner.engines.processes import BOX, STEP, end_marked, marked
from runner.errors import EnvironmentMissingError
from runner.project import find_project, take_snapshot


@dataclass(slots=True)
class Place:
    """An open box, and the steps that run in it."""

    box: HostBox
    steps: int = 0

    def run(
        self,
        script: str,
        printed: "Printed | None" = None,
        stop: Stop | None = None,
        *,
        argv: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        end: Callable[[], None] | None = None,
    ) -> Finished:
        self.steps += 1
        folder = self.box.new_folder()
        process = Process(
            id=f"step{self.steps}-{os.getpid()}",
            folder=folder,
            argv=argv or ("bash", "-e", f"{folder}/script"),
            cwd=cwd or self.box.facts.workspace,
            env={**(env or {}), "FILES": folder},
            files={"script": script.encode(), "output": b"", "env": b""},
            collect=("output", "env"),
        )
        return self.box.run(process, printed or Printed(), stop or NoStop(), end=end)

    @property
    def mark(self) -> str:
        return Path(self.box.facts.temp).parent.name


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


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what another process does; fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def spec(
    workspace: Workspace, *, keep: bool = False, options: str = "", env: Mapping[str, str] = {}
) -> BoxSpec:
    return BoxSpec(
        run=1,
        job="job",
        attempt=1,
        project="project",
        image=Image(""),
        workspace=workspace,
        env=env,
        options=options,
        files={"event.json": b"{}"},
        keep=keep,
    )


def no_progress(image: str, current: int, total: int, done: bool) -> None:
    raise AssertionError("there is nothing to pull")


@pytest.fixture
def engine(pipe_home: Path) -> Iterator[HostEngine]:
    engine = HostEngine(pipe_home)
    yield engine
    engine.finish()
    assert not list((pipe_home / "boxes").glob("host-*"))


@pytest.fixture
def source(tmp_path: Path) -> Workspace:
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "a.txt").write_text("a\n")
    return Workspace(layers=(layer,))


@pytest.fixture
def place(engine: HostEngine, source: Workspace) -> Iterator[Place]:
    box = engine.open(spec(source), no_progress)
    yield Place(box)
    box.close("success")


# -- one process


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("false", 1),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("no-such-command", 127),
        ("exit 300", 44),
    ],
)
def test_exit_codes_are_those_of_a_shell(place: Place, script: str, code: int) -> None:
    finished = place.run(script)
    assert (finished.exit_code, finished.reason) == (code, "")


def test_what_cannot_be_started_is_told_like_a_shell_does(place: Place, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    missing, refused, nowhere = Printed(), Printed(), Printed()
    assert place.run("", missing, argv=("no-such",)).exit_code == 127
    assert place.run("", refused, argv=(str(plain),)).exit_code == 126
    assert place.run("", nowhere, cwd="/no/folder").exit_code == 1
    assert missing.text == "no-such: not found\n"
    assert refused.text == f"{plain}: Permission denied\n"
    assert nowhere.text == "##[error]the working directory `/no/folder` does not exist\n"


def test_both_outputs_are_in_their_order(place: Place) -> None:
    printed = Printed()
    place.run("for i in {1..500}; do echo $i; echo $i >&2; done", printed)
    assert printed.text.split() == [str(i) for i in range(1, 501) for _ in "12"]


def test_no_byte_is_lost(place: Place) -> None:
    printed = Printed()
    code = "import sys; [sys.stdout.buffer.write(bytes(range(256)) * 4096) for _ in range(16)]"
    assert place.run("", printed, argv=(sys.executable, "-c", code)).exit_code == 0
    assert printed.data == bytes(range(256)) * 4096 * 16


def test_nobody_is_at_the_keyboard(place: Place) -> None:
    assert place.run("! read line").exit_code == 0


def test_a_step_gets_no_descriptor_of_ours(place: Place) -> None:
    printed = Printed()
    place.run("", printed, argv=(sys.executable, "-c", "import os; print(os.listdir('/dev/fd'))"))
    assert len(printed.text.split(",")) == 4  # the fourth is the folder being listed


def test_a_step_leads_a_session_of_its_own(place: Place) -> None:
    code = "import os; assert os.getpid() == os.getsid(0) == os.getpgid(0)"
    assert place.run("", argv=(sys.executable, "-c", code)).exit_code == 0


# -- environment


def test_the_users_environment_lies_below_that_of_the_step(
    pipe_home: Path, source: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OWN", "BOTH", "PIPE_JOBS", "GIT_DIR", "GITHUB_TOKEN", "BOX_TOO"):
        monkeypatch.setenv(name, "outer")
    engine = HostEngine(pipe_home)
    place = Place(engine.open(spec(source, env={"BOX_TOO": "box"}), no_progress))
    printed = Printed()
    place.run(
        "echo $OWN $BOTH $BOX_TOO ${PIPE_JOBS-none} ${GIT_DIR-none} ${GITHUB_TOKEN-none}",
        printed,
        env={"BOTH": "step"},
    )
    place.box.close("success")
    engine.finish()
    assert printed.text == "outer step box none none none\n"


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("PATH", True),
        ("GIT_SSH_COMMAND", True),
        ("GIT_AUTHOR_NAME", True),
        ("GIT_INDEX_FILE", False),
        ("PIPE_BOX", False),
        ("RUNNER_TEMP", False),
        ("ACTIONS_RUNTIME_TOKEN", False),
    ],
)
def test_what_belongs_to_an_outer_run_stays_outside(name: str, stays: bool) -> None:
    assert (name in without_ours({name: "x"})) is stays


def test_the_facts_are_those_of_this_machine(place: Place, pipe_home: Path) -> None:
    facts = place.box.facts
    assert {"bash", "sh"} <= facts.shells
    assert facts.os in ("Linux", "macOS")
    assert (facts.id, facts.network) == ("", "")
    assert Path(facts.control, "event.json").read_bytes() == b"{}"
    assert Path(facts.temp).is_dir()
    assert Path(facts.tool_cache) == pipe_home / "tools"
    assert Path(facts.tool_cache).is_dir()


def test_without_a_shell_nothing_runs(pipe_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(pipe_home))
    with pytest.raises(EnvironmentMissingError, match="`sh`"):
        HostEngine(pipe_home).check()


# -- command files


def test_what_a_step_left_in_its_files(place: Place) -> None:
    finished = place.run("echo x=1 >> $FILES/output; rm $FILES/env")
    assert finished.files == {"output": b"x=1\n", "env": b""}
    assert finished.refused == {}


@pytest.mark.parametrize(
    ("replacement", "why"),
    [
        ("ln -s /etc/passwd $FILES/output", "no longer a regular file"),
        ("mkfifo $FILES/output", "no longer a regular file"),
        ("mkdir $FILES/output", "no longer a regular file"),
        ("truncate -s 33M $FILES/output", "more than"),
    ],
)
def test_a_file_that_was_swapped_is_not_read(place: Place, replacement: str, why: str) -> None:
    finished = place.run(f"rm $FILES/output; {replacement}; echo y=2 > $FILES/env")
    assert finished.files == {"env": b"y=2\n"}
    assert why in finished.refused["output"]


def test_a_folder_that_was_swapped_is_not_read(place: Place, tmp_path: Path) -> None:
    (tmp_path / "output").write_text("secret=1")
    finished = place.run(f"mv $FILES $FILES-away; ln -s {tmp_path} $FILES")
    assert finished.files == {"output": b"", "env": b""}


def test_a_folder_that_is_gone_is_an_error_of_the_box(place: Place) -> None:
    place.run(f"rm -r {place.box.facts.control}")
    with pytest.raises(EngineError, match="folder of the step's files cannot be used") as caught:
        place.run("true")
    assert caught.value.reason == "lost"


@pytest.mark.parametrize(
    "use", [lambda box, process: box.run(process, Printed(), NoStop()), HostBox.shell]
)
def test_a_folder_whose_files_are_taken_is_an_error_of_the_box(
    place: Place, use: Callable[[HostBox, Process], object]
) -> None:
    folder = place.box.new_folder()
    Path(folder, "script").mkdir()
    process = Process("s", folder, ("true",), folder, {}, {"script": b""})
    with pytest.raises(EngineError, match="folder of the step's files cannot be used"):
        use(place.box, process)


# -- the end of a process

STUBBORN = """
set +e
trap 'echo int' INT
trap 'echo term' TERM
echo ready
while true; do sleep 100 & wait; done
"""


@pytest.fixture
def quick_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "STAGES", ((0.0, "INT"), (0.4, "TERM"), (0.8, "KILL")))


def test_a_process_is_asked_twice_before_it_is_killed(place: Place, quick_stages: None) -> None:
    printed = Printed()
    finished = place.run(STUBBORN, printed, Once(printed, b"ready"))
    assert (finished.exit_code, finished.reason) == (137, "cancelled")
    assert printed.text == "ready\nint\nterm\n"


def test_a_process_may_end_in_its_own_way(place: Place) -> None:
    printed = Printed()
    script = "trap 'echo bye; exit 5' INT; echo ready; sleep 100 & wait"
    finished = place.run(script, printed, Once(printed, b"ready"))
    assert (finished.exit_code, finished.reason) == (5, "cancelled")
    assert printed.text == "ready\nbye\n"


def test_a_time_limit_interrupts(place: Place) -> None:
    finished = place.run("sleep 100", stop=Deadline(time.monotonic() + 0.2))
    assert (finished.exit_code, finished.reason) == (130, "timeout")


def test_when_it_has_to_be_at_once_nobody_is_asked(place: Place) -> None:
    printed = Printed()
    finished = place.run(STUBBORN, printed, Once(printed, b"ready", now=True))
    assert (finished.exit_code, finished.reason) == (137, "cancelled")
    assert printed.text == "ready\n"


def test_what_left_the_group_ends_with_a_cancelled_step(place: Place, quick_stages: None) -> None:
    printed = Printed()
    script = (
        "setsid sleep 1001 & (setsid bash -c 'trap : INT; echo ready; sleep 1002 & wait; wait')"
    )
    finished = place.run(script, printed, Once(printed, b"ready"))
    assert finished.reason == "cancelled"
    assert marked(STEP, f"step{place.steps}-{os.getpid()}") == []


def test_a_silent_process_without_output_is_awaited(place: Place) -> None:
    finished = place.run("exec >/dev/null 2>&1; sleep 0.2; echo late; exit 4")
    assert finished.exit_code == 4


# -- background processes


def test_a_step_ends_with_its_shell_and_its_children_go_on(place: Place) -> None:
    first, second = Printed(), Printed()
    go = Path(place.box.facts.temp, "go")
    script = f"(until [ -e {go} ]; do sleep 0.01; done; echo late; touch {go}.done) & echo started"
    assert place.run(script, first).exit_code == 0
    assert first.text == "started\n"
    place.run(f"touch {go}; until [ -e {go}.done ]; do sleep 0.01; done; echo second", second)
    until(lambda: place.run("true") and "late" in first.text)
    assert (first.text, second.text) == ("started\nlate\n", "second\n")


def test_the_end_of_all_output_is_told_once(engine: HostEngine, source: Workspace) -> None:
    place = Place(engine.open(spec(source), no_progress))
    heard: list[str] = []
    place.run("echo all", end=lambda: heard.append("short"))
    assert heard == ["short"]
    printed, held = Printed(), Printed()
    script = "(until [ -e last ]; do sleep 0.01; done; printf late) & echo first"
    place.run(script, printed, end=lambda: heard.append(printed.text))
    place.run("sleep 1011 & printf half", held, end=lambda: heard.append(held.text))
    assert heard == ["short"]
    until(lambda: place.run("touch last") and len(heard) > 1)
    place.box.close("success")
    assert heard == ["short", "first\nlate", "half"]


def test_who_prints_without_end_does_not_hold_the_step(place: Place) -> None:
    printed = Printed()
    assert place.run("yes & sleep 0.1", printed).exit_code == 0
    assert len(printed.data) > 1000


def test_nothing_outlives_the_box(engine: HostEngine, source: Workspace) -> None:
    place = Place(engine.open(spec(source), no_progress))
    printed = Printed()
    place.run(
        "sleep 1003 & setsid sleep 1004 & setsid bash -c 'trap \"\" INT TERM HUP; sleep 1005 & wait' &"
        " (setsid setsid nohup sleep 1006 &) ; echo last",
        printed,
    )
    until(lambda: len(marked(BOX, place.mark)) >= 5)
    place.box.close("success")
    assert marked(BOX, place.mark) == []
    assert printed.text == "last\n"


def test_what_was_printed_before_the_end_arrives(engine: HostEngine, source: Workspace) -> None:
    place = Place(engine.open(spec(source), no_progress))
    printed = Printed()
    done = Path(place.box.facts.temp, "done")
    place.run(f"(echo late; touch {done}; sleep 1007) & ", printed)
    until(done.exists)
    place.box.close("success")
    assert printed.text == "late\n"


def test_processes_are_found_without_a_proc_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "1008"], env={**os.environ, BOX: "by-ps"}) as sleeper:
        until(lambda: marked(BOX, "by-ps"))
        monkeypatch.setattr(processes, "PROCESSES", tmp_path)
        assert marked(BOX, "by-ps") == [sleeper.pid]
        end_marked(BOX, "by-ps")
    assert sleeper.returncode == -signal.SIGKILL


# -- a runner that dies

RUNNER = """
import sys
from pathlib import Path
from runner.engines.box import BoxSpec, Image, NoStop, Process, Workspace
from runner.engines.host import HostEngine

spec = BoxSpec(1, "job", 1, "p", Image(""), Workspace(layers=(Path(sys.argv[2]),)))
box = HostEngine(Path(sys.argv[1])).open(spec, print)
script = "sleep 1009 & setsid sleep 1010 & (setsid setsid sleep 1011 &); echo $PIPE_BOX; exec sleep 1012"
process = Process("s", box.new_folder(), ("bash", "-c", script), box.facts.workspace, {}, {})
box.run(process, lambda data: print(data.decode(), end='', flush=True), NoStop())
"""


def test_nothing_outlives_a_runner_that_is_killed(pipe_home: Path, source: Workspace) -> None:
    command = [sys.executable, "-c", RUNNER, str(pipe_home), str(source.layers[0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout
        mark = runner.stdout.readline().strip()
        try:
            until(lambda: len(marked(BOX, mark)) == 4)
            [guard] = [pid for pid, words in children(runner.pid) if processes.__file__ in words]
        finally:
            runner.kill()
    until(lambda: not marked(BOX, mark))
    until(lambda: processes.__file__ not in command_line(guard))
    folder = pipe_home / "boxes" / mark
    assert folder.is_dir()
    engine = HostEngine(pipe_home)
    engine.open(spec(source), no_progress).close("success")
    engine.finish()
    assert list((pipe_home / "boxes").iterdir()) == []


def command_line(process: str) -> str:
    """Empty for a process that has ended, even if nobody asked for its exit code yet."""
    file = Path("/proc", process, "cmdline")
    return file.read_text() if file.exists() else ""


def children(parent: int) -> list[tuple[str, list[str]]]:
    shown = subprocess.run(
        ["ps", "-ww", "-o", "pid=", "-o", "args=", "--ppid", str(parent)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [(line.split()[0], line.split()[1:]) for line in shown.splitlines()]


def test_one_guard_is_enough_and_another_follows_one_that_was_killed(
    engine: HostEngine, source: Workspace
) -> None:
    def guards() -> list[str]:
        return [pid for pid, words in children(os.getpid()) if processes.__file__ in words]

    boxes = [engine.open(spec(source), no_progress) for _ in range(2)]
    [first] = guards()
    os.kill(int(first), signal.SIGKILL)
    until(lambda: not command_line(first))
    boxes.append(engine.open(spec(source), no_progress))
    [second] = guards()
    assert second != first
    for box in boxes:
        box.close("success")
    engine.finish()
    assert guards() == []


def test_a_leftovers_processes_end_even_if_the_guard_is_gone(pipe_home: Path) -> None:
    folder = BoxFolder.create(pipe_home, "host-")
    folder.release()
    with subprocess.Popen(["sleep", "1013"], env={**os.environ, BOX: folder.label}) as sleeper:
        until(lambda: marked(BOX, folder.label))
        assert HostEngine(pipe_home).clean() == [folder.label]
    assert sleeper.returncode == -signal.SIGKILL


def test_the_boxes_of_others_stay(pipe_home: Path) -> None:
    held = BoxFolder.create(pipe_home, "host-")
    container = BoxFolder.create(pipe_home)
    container.release()
    assert HostEngine(pipe_home).clean() == []
    assert held.path.is_dir()
    assert container.path.is_dir()
    [found] = leftovers(pipe_home)
    assert found.path == container.path
    assert found.remove()
    assert held.remove()
    assert list((pipe_home / "boxes").iterdir()) == []


def test_a_failed_job_is_kept_until_it_is_asked_for(pipe_home: Path, source: Workspace) -> None:
    engine = HostEngine(pipe_home)
    for result in ("success", "failure"):
        place = Place(engine.open(spec(source, keep=True), no_progress))
        place.run("echo found > result; sleep 1014 &")
        place.box.close(result)
        assert marked(BOX, place.mark) == []
    engine.finish()
    [kept] = (pipe_home / "boxes").glob("host-*/workspace/result")
    assert kept.read_text() == "found\n"
    assert HostEngine(pipe_home).clean() == []
    assert HostEngine(pipe_home).clean(kept=True) == [place.mark]
    assert list((pipe_home / "boxes").iterdir()) == []


REMOVAL = """
import os, sys
from pathlib import Path
from runner.engines.folders import remove_tree

if os.geteuid() == 0:
    os.setuid(65534)  # rights mean nothing to root
box = Path(sys.argv[1], "box")
(box / "cache" / "deep").mkdir(parents=True)
(box / "cache" / "deep" / "file").touch()
(box / "cache" / "out").symlink_to(sys.argv[2])
(box / "cache" / "deep").chmod(0o500)
(box / "cache").chmod(0)
print(remove_tree(box))
"""


def test_folders_without_rights_are_removed_too(tmp_path: Path) -> None:
    top = Path(tempfile.mkdtemp())
    top.chmod(0o777)
    tmp_path.chmod(0o500)
    try:
        command = [sys.executable, "-c", REMOVAL, str(top), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.stdout, list(top.iterdir())) == ("True\n", []), done.stderr
        assert tmp_path.stat().st_mode & 0o777 == 0o500
    finally:
        shutil.rmtree(top)


# -- the workspace


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_git_works_in_the_copy_and_the_users_repository_stays(
    engine: HostEngine, pipe_home: Path, tmp_path: Path
) -> None:
    repo = tmp_path / "a repo"
    repo.mkdir()
    (repo / "a.txt").write_text("a\n")
    git(repo, "init", "-q")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "first")
    (repo / "a.txt").write_text("changed\n")
    before = sorted((repo / ".git").rglob("*"))
    pipe_home.mkdir()
    with take_snapshot(find_project(repo), pipe_home, pipe_home) as snapshot:
        assert snapshot.git
        layers = (snapshot.git, snapshot.tree)
        workspace = Workspace(layers=layers, objects=snapshot.objects)
        place = Place(engine.open(spec(workspace), no_progress))
        printed = Printed()
        script = """
            git log --format=%s; git status --short; cat a.txt; git fsck --strict
            echo new > new.txt; git add new.txt; git commit -qam second; git log --format=%s
            """
        finished = place.run(script, printed)
        place.box.close("success")
        assert not (snapshot.tree / "new.txt").exists()
    assert finished.exit_code == 0, printed.text
    assert printed.text == "first\n M a.txt\nchanged\nsecond\nfirst\n"
    assert sorted((repo / ".git").rglob("*")) == before
    assert git(repo, "log", "--format=%s") == "first\n"


def test_a_bound_folder_is_worked_in_and_stays(engine: HostEngine, tmp_path: Path) -> None:
    place = Place(engine.open(spec(Workspace(bind=tmp_path)), no_progress))
    assert place.box.facts.workspace == str(tmp_path)
    place.run("echo x > made; chmod 600 made")
    place.box.close("success")
    engine.finish()
    assert (tmp_path / "made").read_text() == "x\n"


def test_upper_layers_lie_over_lower_ones(engine: HostEngine, tmp_path: Path) -> None:
    for layer, names in (("upper", "ab"), ("lower", "bc")):
        (tmp_path / layer).mkdir()
        for name in names:
            (tmp_path / layer / name).write_text(layer)
    workspace = Workspace(layers=(tmp_path / "upper", tmp_path / "lower"))
    place = Place(engine.open(spec(workspace), no_progress))
    printed = Printed()
    place.run("cat a; echo; cat b; echo; cat c", printed)
    place.box.close("success")
    assert printed.text == "upper\nupper\nlower"


def test_a_source_that_cannot_be_copied_leaves_nothing(engine: HostEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No such file"):
        engine.open(spec(Workspace(layers=(tmp_path / "gone",))), no_progress)


# -- reading a tree


def entries(blocks: Iterator[bytes]) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(blocks)), mode="r:") as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isreg() else None
            found[entry.name] = file.read() if file else entry.linkname
    return found


def test_a_folder_is_read_with_all_that_is_in_it(place: Place) -> None:
    place.run(
        "mkdir -p out/empty; printf x%.0s {1..513} > out/odd; truncate -s 3M out/large; "
        "touch out/none; ln -s ../a.txt out/link; mkfifo out/pipe; "
        "mkdir out/$(printf 'd%.0s' {1..200}); echo ä > out/$(printf 'd%.0s' {1..200})/ä"
    )
    workspace = place.box.facts.workspace
    long = "out/" + "d" * 200
    assert entries(place.box.read_tree(f"{workspace}/out")) == {
        "out": "",
        "out/empty": "",
        "out/odd": b"x" * 513,
        "out/large": bytes(3 << 20),
        "out/none": b"",
        "out/link": "../a.txt",
        "out/pipe": "",
        long: "",
        f"{long}/ä": "ä\n".encode(),
    }
    assert entries(place.box.read_tree(f"{workspace}/a.txt")) == {"a.txt": b"a\n"}


def test_a_file_that_shrinks_while_it_is_read_keeps_the_stream_whole(place: Place) -> None:
    workspace = Path(place.box.facts.workspace)
    (workspace / "b.txt").write_bytes(b"b" * 5000)
    (workspace / "c.txt").write_bytes(b"c")
    stream = place.box.read_tree(str(workspace))
    blocks = []
    for block in stream:
        blocks.append(block)
        if b"b.txt" in block:
            os.truncate(workspace / "b.txt", 10)
    found = entries(iter(blocks))
    assert found["workspace/b.txt"] == b"b" * 10 + bytes(4990)
    assert found["workspace/c.txt"] == b"c"


def test_what_does_not_exist_is_said_at_once(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        place.box.read_tree("/no/such/file")


# -- what needs a container, and the terminal


def test_an_image_for_a_step_needs_a_container(place: Place) -> None:
    with pytest.raises(EngineError, match="a step's image needs a container"):
        place.box.beside(Image("debian"), no_progress)


def test_settings_of_a_container_are_not_ignored(engine: HostEngine, source: Workspace) -> None:
    with pytest.raises(EngineError, match="need a container"):
        engine.open(spec(source, options="--cpus 1"), no_progress)


def test_a_shell_gets_the_terminal(pipe_home: Path, source: Workspace, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    code = RUNNER.partition("script =")[0] + (
        "folder = box.new_folder()\n"
        "argv = ('bash', '--norc', '-i')\n"
        "code = box.shell(Process('s', folder, argv, '/no/folder', {'SAY': 'hello'}, {}))\n"
        "box.close('success')\n"
        "sys.exit(code)\n"
    )
    command = [sys.executable, "-c", code, str(pipe_home), str(source.layers[0])]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as runner:
        os.close(theirs)
        os.write(ours, b'test -t 0 && echo "$SAY" from $(cat a.txt); exit 7\n')
        shown = b""
        while b"hello from a\r\n" not in shown:
            shown += os.read(ours, 4096)
    os.close(ours)
    assert runner.returncode == 7
