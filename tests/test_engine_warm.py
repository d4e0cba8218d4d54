"""Boxes that wait for their job: each gives what a fresh one gives, or is not used at all."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.engines.box import NO_STOP, Box, BoxSpec, EngineError, Image, Service
from runner.engines.bringing import bring, user_and_owner
from runner.engines.docker import DockerEngine
from runner.engines.docker.box import DockerBox
from runner.engines.docker.locality import Locality
from runner.engines.warm import WarmEngine
from runner.project import Difference, Snapshot, find_project, take_snapshot
from runner.worker import between, workspace_of
from tests.test_engine_docker import BUSYBOX, DEBIAN, MODES, NONROOT, Place, no_progress, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(90)]

#: Everything in the tree: names, kinds, modes, owners, times of files to the last digit, targets of
#: links and contents; then what git says of it.
LOOK = """\
find . -path ./.git -prune -o -type d -printf '%P %y %m %u:%g\\n' \\
  -o -printf '%P %y %m %u:%g %T@ %l\\n' | sort
find .git ! -type d -printf '%P %m %u:%g\\n' -exec sha256sum {} + | sort
find . -path ./.git -prune -o -type f -exec sha256sum {} + | sort
git -c safe.directory='*' status --porcelain --branch
cat ../pipe/event.json
"""
#: The same, as far as small images can tell.
LOOK_SMALL = """\
find . -path ./.git -prune -o -print | sort | while read -r name; do
  stat -c '%n %F %a %u:%g' "$name"; [ ! -f "$name" ] || sha256sum "$name"
done
"""


class Bench:
    """A project that changes, and the engines that its jobs run in."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.home = home
        self.docker = DockerEngine(home)
        self.warm = WarmEngine(self.docker, between)
        self.snapshots: list[Snapshot] = []
        self.opened: list[Box] = []

    def spec(self, image: str = DEBIAN, **changes: Any) -> BoxSpec:
        """What a job asks for on the source as it is now."""
        self.snapshots.append(take_snapshot(find_project(self.root), self.home, self.home))
        workspace = workspace_of(self.snapshots[-1], self.root)
        spec = BoxSpec(
            1, "build", 1, str(self.root), Image(image, "never"), workspace,
            files={"event.json": b"{}\n"},
        )  # fmt: skip
        return replace(spec, **changes)

    def stock(self, spec: BoxSpec) -> None:
        self.warm.stock([spec], lambda each: (each.workspace, lambda: None))

    def open(self, engine: DockerEngine | WarmEngine, spec: BoxSpec) -> Place:
        box = engine.open(spec, no_progress)
        assert isinstance(box, DockerBox)
        self.opened.append(box)
        return Place(box)

    def both(self, spec: BoxSpec, look: str) -> tuple[str, str]:
        """What a box that waited and a fresh one have in them."""
        waited = self.open(self.warm, spec)
        assert waited.box.facts.id in self.waiting
        return waited.says(look), self.open(self.docker, spec).says(look)

    @property
    def waiting(self) -> set[str]:
        """The containers that wait, or waited, for a job."""
        places = [*self.warm._waiting, *self.warm._used]
        return {place.opening.result().box.facts.id for place in places}

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True)


@pytest.fixture(params=MODES[:1])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, pipe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setenv("PIPE_ENGINE_MODE", str(request.param))
    pipe_home.mkdir()
    root = tmp_path / "project"
    write(root, {"kept": "k", "changed": "old", "gone": "g", "script": "#!/bin/sh\n"})
    write(root, {"folder/a": "a", "folder/deep/b": "b", "file": "f", "left/alone": "x"})
    write(root, {"-dash": "d", "a b\n c": "odd", ".gitignore": "ignored\n"})
    (root / "link").symlink_to("kept")
    bench = Bench(root, pipe_home)
    bench.git("init", "-q")
    bench.git("add", "-A")
    bench.git("commit", "-qm", "first")
    yield bench
    for box in bench.opened:
        box.close("success")
    bench.warm.finish()
    for snapshot in bench.snapshots:
        snapshot.release()


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def change_everything(bench: Bench) -> None:
    """Each thing that can happen to a file, and to what git keeps."""
    root = bench.root
    write(root, {"changed": "new", "new/deep/file": "n", "ignored": "i", "-dash": "e"})
    os.utime(root / "changed", ns=(5, 1_234_567_890_123_456_789))
    (root / "gone").unlink()
    (root / "script").chmod(0o755)
    (root / "link").unlink()
    (root / "link").symlink_to("changed")
    (root / "new link").symlink_to("nowhere")
    (root / "a b\n c").unlink()
    (root / "file").unlink()
    write(root, {"file/became": "a folder"})
    shutil.rmtree(root / "folder")
    (root / "folder").write_text("became a file")
    shutil.rmtree(root / "left")
    bench.git("add", "new")
    bench.git("commit", "-qm", "second")
    bench.git("tag", "v1")


@pytest.mark.parametrize(
    "bench", [MODES[0], *(pytest.param(m, marks=pytest.mark.faults) for m in MODES[1:])],
    indirect=True,
)  # fmt: skip
def test_a_box_that_waited_has_what_a_fresh_one_has(bench: Bench) -> None:
    bench.stock(bench.spec())
    change_everything(bench)
    spec = bench.spec(run=2, files={"event.json": b'{"n": 2}\n'})
    waited, fresh = bench.both(spec, LOOK)
    if bench.docker.locality is Locality.REMOTE:
        # What is uploaded when a box opens has times that are right to the microsecond.
        waited, fresh = (re.sub(r"(\.\d{6})\d{4} ", r"\1 ", each) for each in (waited, fresh))
    assert waited == fresh
    assert " D left/alone" in fresh


def test_an_image_with_few_programs_can_wait_too(bench: Bench) -> None:
    bench.stock(bench.spec(BUSYBOX))
    change_everything(bench)
    waited, fresh = bench.both(bench.spec(BUSYBOX), LOOK_SMALL)
    assert waited == fresh


def test_what_belongs_to_somebody_else_still_does(bench: Bench, tmp_path: Path) -> None:
    """As where whoever runs the pipeline is not root."""
    bench.stock(bench.spec())
    [waiting] = bench.warm._waiting
    box = waiting.opening.result().box
    assert isinstance(box, DockerBox)
    assert user_and_owner(box) == ("0", f"{os.geteuid()}:{os.getegid()}")
    write(tmp_path, {"theirs": "t"})
    bring(box, Difference((), ((tmp_path / "theirs", "theirs"),)), {}, "1234:5678")
    assert Place(box).says("stat -c %u:%g theirs kept") == "1234:5678\n0:0\n"


def test_nothing_changed(bench: Bench) -> None:
    bench.stock(bench.spec())
    waited, fresh = bench.both(bench.spec(), LOOK)
    assert waited == fresh


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"A": "1"}},
        {"volumes": ("/tmp:/other",)},
        {"job": "test"},
        {"options": "--cpus 1"},
        {"image": Image(BUSYBOX, "never")},
    ],
    ids=str,
)
def test_a_job_that_asks_for_something_else_gets_a_fresh_one(
    bench: Bench, changes: dict[str, Any]
) -> None:
    bench.stock(bench.spec())
    spec = replace(bench.spec(), **changes)
    assert bench.open(bench.warm, spec).box.facts.id not in bench.waiting


@pytest.mark.parametrize(
    "changes",
    [
        {"ports": ("8080:80",)},
        {"keep": True},
        {"image": Image(DEBIAN, "always")},
        {"services": (Service("db", Image(BUSYBOX, "never"), ports=("1:1",)),)},
    ],
    ids=str,
)
def test_what_others_may_want_is_not_held_for_nobody(bench: Bench, changes: dict[str, Any]) -> None:
    bench.stock(replace(bench.spec(), **changes))
    assert bench.waiting == set()


def test_only_root_can_bring_files_of_others_up_to_date(bench: Bench) -> None:
    bench.stock(bench.spec(NONROOT))
    assert bench.open(bench.warm, bench.spec(NONROOT)).says("id -u") != "0\n"
    bench.warm.settle()
    bench.stock(bench.spec(NONROOT))
    assert bench.waiting == set()


def test_an_image_that_is_another_one_by_now(bench: Bench) -> None:
    name = "pipe-test/warm:1"
    tag(BUSYBOX, name)
    try:
        bench.stock(bench.spec(name))
        assert bench.waiting
        tag(DEBIAN, name)
        assert "bash" in bench.open(bench.warm, bench.spec(name)).says("command -v bash")
    finally:
        subprocess.run(["docker", "rmi", "--no-prune", name], check=True, capture_output=True)


def tag(image: str, name: str) -> None:
    subprocess.run(["docker", "tag", image, name], check=True)


def test_a_container_that_somebody_removed(bench: Bench) -> None:
    bench.stock(bench.spec())
    [container] = bench.waiting
    subprocess.run(["docker", "rm", "-f", container], check=True, capture_output=True)
    fresh = bench.open(bench.warm, bench.spec())
    assert fresh.says("cat kept") == "k"


def test_nothing_is_left(bench: Bench) -> None:
    released: list[str] = []
    first, second = bench.spec(), bench.spec(job="test")
    bench.warm.stock(
        [first, second], lambda each: (each.workspace, lambda: released.append(each.job))
    )
    containers = bench.waiting
    assert len(containers) == 2
    bench.warm.stock([second], lambda each: pytest.fail("it waits already"))
    assert released == ["build"]
    bench.warm.finish()
    assert released == ["build", "test"]
    until(lambda: not existing(containers))


def existing(containers: set[str]) -> set[str]:
    listed = subprocess.run(["docker", "ps", "-aq", "--no-trunc"], check=True, capture_output=True)
    return containers & set(listed.stdout.decode().split())


def test_what_its_jobs_asked_for_is_told_after_a_run(bench: Bench) -> None:
    released: list[str] = []
    spec = bench.spec()
    bench.warm.stock([spec], lambda each: (each.workspace, lambda: released.append("it")))
    bench.open(bench.warm, spec)
    assert released == []
    assert bench.warm.settle() == [spec]
    assert released == ["it"]
    assert bench.warm.settle() == []


class Slow:
    """An engine whose boxes open when they are told to."""

    name = "slow"

    def __init__(self) -> None:
        self.go = threading.Event()

    def check(self) -> None: ...

    def image_id(self, image: Image) -> str:
        return image.name

    def open(self, *_: object, **__: object) -> Box:
        self.go.wait()
        raise EngineError("engine", "it cannot be opened")

    def finish(self) -> None: ...


class Cancelled:
    def reason(self) -> str:
        return "cancelled"

    def immediately(self) -> bool:
        return False


def test_a_job_that_is_cancelled_waits_for_no_box(bench: Bench) -> None:
    slow = Slow()
    warm = WarmEngine(slow, between)
    spec = bench.spec()
    warm.stock([spec], lambda each: (each.workspace, lambda: None))
    with pytest.raises(EngineError) as caught:
        warm.open(spec, no_progress, stop=Cancelled())  # type: ignore[arg-type]
    assert caught.value.reason == "cancelled"
    slow.go.set()
    with pytest.raises(EngineError, match="cannot be opened"):
        warm.open(spec, no_progress, stop=NO_STOP)
    warm.finish()
