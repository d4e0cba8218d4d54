"""What deployments keep and restore: on the disk, in the store, and on every way back."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pipe_snapshots
import pipe_template
import pytest

from runner.delivery import restoring
from runner.delivery.call import Nowhere
from runner.delivery.contained import FailedError
from runner.delivery.definition import uses
from runner.delivery.deliver import deliver
from runner.delivery.machines import machine
from runner.delivery.order import Desk, Ending
from runner.delivery.rollback import order_back
from runner.delivery.shelf import Shelf
from runner.plugin import Finding, Machine, PluginSnapshot
from runner.store import Store, audit, kept
from runner.store.deliveries import Subject, deployments, journal
from runner.store.kept import SnapshotRecord
from tests.deployed import ANY, World, desk, order

SHOP = Subject("shop", "test")
BAD = {"live": [{"version": {"bad": ["2.0"], "within": "100ms", "interval": "10ms"}}]}


@dataclass
class Here(Nowhere):
    """Surroundings that allow this machine, with a workspace."""

    workspace: Path
    lines: list[str] = field(default_factory=list)

    def log(self, text: str) -> None:
        self.lines.append(text)

    def machine(self, name: str) -> Machine:
        return machine(name, allow_local=True, control=self.workspace)

    def pack(self, path: str) -> Iterator[bytes]:
        import tarfile
        from io import BytesIO

        from runner.plugin import DeliveryError

        stream = BytesIO()
        if not (self.workspace / path).exists():
            raise DeliveryError(f"no `{path}`")
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(self.workspace / path, arcname=Path(path).name)
        yield stream.getvalue()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world.json")


@pytest.fixture
def store(pipe_home: Path) -> Iterator[Store]:
    with Store.open(pipe_home) as store:
        yield store


@pytest.fixture
def around(tmp_path: Path) -> Here:
    folder = tmp_path / "work"
    folder.mkdir()
    return Here(folder)


@pytest.fixture
def here(store: Store, world: World) -> Desk:
    brought = {each.name: each for each in pipe_snapshots.snapshots()}
    renderers = {each.name: each for each in pipe_template.renderers()}
    return desk(store, world, snapshots=brought, renderers=renderers)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A configuration file of the shop."""
    file = tmp_path / "etc" / "shop.conf"
    file.parent.mkdir()
    file.write_text("workers 1")
    file.chmod(0o640)
    return file


def keeps(conf: Path) -> dict[str, Any]:
    return {"snapshot": [{"files": {"paths": [str(conf.parent)]}}]}


def shelf(store: Store) -> Shelf:
    return Shelf(store.home / "deliveries" / "shop" / "test" / "snapshots")


def records(store: Store) -> list[tuple[str, int | None, int]]:
    return [(each.kind, each.release, each.deployment) for each in kept.snapshots(store.promises)]


def problems(here: Desk, record: SnapshotRecord, around: Here) -> list[str]:
    try:
        return restoring.verify(here, record, around, {})
    except FailedError as error:
        return [error.message]


def back(here: Desk, around: Here, **changes: Any) -> Ending:
    made = order_back(here, "shop", "test", key="1/back", owner="ann", secrets={}, **changes)
    return deliver(here, made, around)


def test_a_deployment_keeps_before_and_after(
    here: Desk, store: Store, around: Here, conf: Path
) -> None:
    parts = keeps(conf)["snapshot"]
    deliver(here, order("1.0", snapshot={"before": parts, "after": True}), around)
    assert records(store) == [("before", None, 1), ("after", 1, 1)]
    record = kept.snapshots(store.promises)[0]
    manifest = shelf(store).read(record.id)
    assert manifest is not None
    [part] = manifest.parts
    assert (part.name, part.snapshot, part.about["paths"]) == (
        "1-files", "files", [str(conf.parent)],
    )  # fmt: skip
    assert part.files["files.tar"].size == record.size - part.files["files.json"].size
    assert restoring.verify(here, record, around, {}) == []


def test_a_bad_release_goes_back_with_its_configuration(
    here: Desk, store: Store, world: World, around: Here, conf: Path
) -> None:
    deliver(here, order("1.0"), around)
    (around.workspace / "shop.conf.j2").write_text("workers {{ workers }}")
    files = [{"template": "shop.conf.j2", "to": str(conf), "mode": "0600", "vars": {"workers": 2}}]
    seen = conf.parent.parent / "seen"
    files[0]["reload"] = f"cat {conf} >>{seen}"
    ended = deliver(here, order("2.0", files=files, verify=BAD), around)
    assert (ended.state, world.versions()) == ("rolled-back", {"1.0"})
    assert (conf.read_text(), conf.stat().st_mode & 0o777) == ("workers 1", 0o640)
    assert seen.read_text() == "workers 2workers 1"
    assert records(store) == [("before", 1, 2)]


def test_what_was_not_there_is_gone_when_nothing_began_to_show(
    here: Desk, store: Store, around: Here, tmp_path: Path
) -> None:
    (around.workspace / "a.j2").write_text("a")
    target = tmp_path / "new" / "a"
    files = [{"template": "a.j2", "to": str(target)}]
    broken: dict[str, Any] = {"with": {"break": ["start"]}}
    ended = deliver(here, order("1.0", files=files, **broken), around)
    assert ended.state == "failed"
    assert not target.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\n{{ workers }}\n{{ nobody }}", "b.j2:3: 'nobody' is undefined"),
        ("{% if %}", "b.j2:1: Expected an expression"),
        ("{% include 'gone.j2' %}", "b.j2:1: there is no file `gone.j2`"),
        ("{{ ''.__class__.__mro__ }}", "b.j2:1: access to attribute '__class__'"),
    ],
)
def test_nothing_is_written_when_one_template_is_wrong(
    here: Desk, around: Here, conf: Path, text: str, told: str
) -> None:
    (around.workspace / "a.j2").write_text("a")
    (around.workspace / "b.j2").write_text(text)
    files = [
        {"template": "a.j2", "to": str(conf)},
        {"template": "b.j2", "to": str(conf), "vars": {"workers": 1}},
    ]
    ended = deliver(here, order("1.0", files=files), around)
    assert ended.state == "failed"
    assert told in ended.message
    assert conf.read_text() == "workers 1"


def test_a_person_goes_back_with_the_configuration_of_that_time(
    here: Desk, store: Store, around: Here, conf: Path
) -> None:
    deliver(here, order("1.0", **keeps(conf)), around)
    deliver(here, order("2.0", **keeps(conf)), around)
    conf.write_text("workers 3")
    assert back(here, around).state == "succeeded"
    assert conf.read_text() == "workers 1"
    moves = [each.data["move"] for each in journal(store.promises, 3) if each.kind == "intent"]
    assert moves[0] == "restore"


def test_a_person_goes_back_to_a_snapshot(
    here: Desk, store: Store, world: World, around: Here, conf: Path
) -> None:
    deliver(here, order("1.0"), around)
    made = restoring.create(here, SHOP, uses(keeps(conf)["snapshot"]), around, {}, who="ann")
    deliver(here, order("2.0"), around)
    conf.write_text("workers 3")
    assert back(here, around, snapshot=made.id).state == "succeeded"
    assert (conf.read_text(), world.versions()) == ("workers 1", {"1.0"})


@dataclass
class Rows:
    """A snapshot of data: a file."""

    file: Path

    def create(self, call: Any, folder: Path) -> Mapping[str, Any]:
        (folder / "rows").write_bytes(self.file.read_bytes())
        return {}

    def verify(self, call: Any, folder: Path) -> Sequence[Finding]:
        return []

    def restore(self, call: Any, folder: Path) -> None:
        self.file.write_bytes((folder / "rows").read_bytes())


def with_rows(here: Desk, file: Path) -> Desk:
    rows = PluginSnapshot("rows", ANY, lambda _: Rows(file), holds_data=True)
    snapshots = {**here.plugins.snapshots, "rows": rows}
    return replace(here, plugins=replace(here.plugins, snapshots=snapshots))  # type: ignore[type-var]


def test_data_comes_back_only_when_somebody_says_so(
    here: Desk, store: Store, around: Here, tmp_path: Path
) -> None:
    file = tmp_path / "rows"
    file.write_text("before")
    here = with_rows(here, file)
    deliver(here, order("1.0"), around)
    ended = deliver(here, order("2.0", snapshot=[{"rows": {}}], verify=BAD), around)
    file.write_text("after")
    assert ended.state == "rolled-back"
    [record] = kept.snapshots(store.promises)
    assert restoring.restore(here, record, around, {}).state == "succeeded"
    assert file.read_text() == "after"
    refused = restoring.restore(here, record, around, {}, parts=["rows"])
    assert (refused.state, refused.message) == (
        "failed", "1-rows holds data of users: restore it with `--data`",
    )  # fmt: skip
    assert restoring.restore(here, record, around, {}, data=True, who="ann").state == "succeeded"
    assert file.read_text() == "before"
    told = [line for line in audit.lines(store.promises) if line.action == "snapshot-restored"]
    assert json.loads(told[-1].subject) == {
        "application": "shop", "environment": "test", "snapshot": record.id,
        "parts": ["1-rows"], "data": True,
    }  # fmt: skip
    assert [each.kind for each in deployments(store.promises)][-1] == "restore"


def test_what_cannot_be_kept_keeps_a_deployment_from_changing_anything(
    here: Desk, store: Store, world: World, around: Here, tmp_path: Path
) -> None:
    ended = deliver(
        with_rows(here, tmp_path / "gone"), order("1.0", snapshot=[{"rows": {}}]), around
    )
    assert (ended.state, world.versions()) == ("failed", set())
    assert "the snapshot `rows`" in ended.message
    assert kept.snapshots(store.promises)[0].state == "making"
    restoring.create(here, SHOP, uses([{"files": {"paths": ["/etc/hostname"]}}]), around, {})
    assert [each.kind for each in kept.snapshots(store.promises)] == ["manual"]
    assert sorted(each.name for each in shelf(store).folder.iterdir())[0] == ".lock"


def test_what_fails_afterwards_is_told_and_undoes_nothing(
    here: Desk, world: World, around: Here, tmp_path: Path
) -> None:
    here = with_rows(here, tmp_path / "gone")
    ended = deliver(here, order("1.0", snapshot={"after": [{"rows": {}}]}), around)
    assert (ended.state, world.versions()) == ("succeeded", {"1.0"})
    assert any(line.startswith("##[warning]nothing was kept") for line in around.lines)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "1-files/files.tar").write_bytes(b"x"), "1-files/files.tar was changed"),
        (lambda folder: (folder / "1-files/files.tar").unlink(), "1-files/files.tar is gone"),
        (lambda folder: (folder / "1-files/files.tar").chmod(0o666), "1-files/files.tar was changed"),
        (lambda folder: (folder / "1-files/more").touch(), "1-files/more was not there when"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not on this machine"),
    ],
)  # fmt: skip
def test_what_somebody_has_changed_is_not_restored(
    here: Desk, store: Store, around: Here, conf: Path, change: Any, told: str
) -> None:
    made = restoring.create(here, SHOP, uses(keeps(conf)["snapshot"]), around, {})
    conf.write_text("workers 3")
    change(shelf(store).folder / made.id)
    assert any(told in problem for problem in problems(here, made, around))
    ended = restoring.restore(here, made, around, {})
    assert (ended.state, conf.read_text()) == ("failed", "workers 3")
    assert told in ended.message


def test_the_newest_are_kept_and_what_a_way_back_needs(
    here: Desk, store: Store, around: Here, conf: Path
) -> None:
    deliver(here, order("1.0", **keeps(conf)), around)
    deliver(here, order("2.0", **keeps(conf)), around)
    needed = kept.snapshots(store.promises)[1]
    assert (needed.kind, needed.release) == ("before", 1)
    parts = uses(keeps(conf)["snapshot"])
    made = [restoring.create(here, SHOP, parts, around, {}, keep=2) for _ in range(4)]
    ids = [needed.id, made[2].id, made[3].id]
    assert [each.id for each in kept.snapshots(store.promises)] == ids
    there = [each.name for each in shelf(store).folder.iterdir() if each.name != ".lock"]
    assert sorted(there) == ids


def test_secrets_are_kept_by_their_names(
    here: Desk, store: Store, around: Here, tmp_path: Path
) -> None:
    folder = tmp_path / "s3cret"
    folder.mkdir()
    secrets = {"PLACE": "s3cret"}
    made = restoring.create(
        here, SHOP, uses([{"files": {"paths": [str(folder)]}}]), around, secrets
    )
    text = (shelf(store).folder / made.id / "manifest.json").read_text()
    assert "s3cret" not in text
    assert "${{ secrets.PLACE }}" in text
    ended = restoring.restore(here, made, around, {})
    assert "the secret PLACE is needed" in ended.message
    assert restoring.restore(here, made, around, secrets).state == "succeeded"


_KILLED = """
import os, sys
from pathlib import Path
from tests.test_snapshots_kept import *
from runner.delivery import keeping, manifest, shelf

home, world, work, conf, point = sys.argv[1:]
calls = [(manifest, "measure"), (manifest, "write"), (shelf.Shelf, "finish"), (keeping.kept, "is_kept")]
module, name = calls[int(point)]
if name == "measure":
    module = keeping
setattr(module, name, lambda *_: os.kill(os.getpid(), 9))
with Store.open(Path(home)) as store:
    brought = {each.name: each for each in pipe_snapshots.snapshots()}
    here = desk(store, World(Path(world)), snapshots=brought)
    deliver(here, order("2.0", **keeps(Path(conf))), Here(Path(work)))
"""


@pytest.mark.parametrize("point", range(4))
def test_a_process_that_dies_leaves_no_half_snapshot(
    here: Desk, store: Store, world: World, around: Here, conf: Path, point: int
) -> None:
    deliver(here, order("1.0"), around)
    names = [store.home, world.file, around.workspace, conf, point]
    died = subprocess.run([sys.executable, "-c", _KILLED, *map(str, names)], check=False)
    assert died.returncode == -9
    deliver(here, order("3.0", **keeps(conf)), around)
    states = [(each.kind, each.state) for each in deployments(store.promises)]
    assert states == [("deploy", "succeeded"), ("deploy", "failed"), ("deploy", "succeeded")]
    found = kept.snapshots(store.promises)
    assert {each.state for each in found} == {"kept"}
    assert len(found) == (2 if point == 3 else 1)
    for each in found:
        assert restoring.verify(here, each, around, {}) == []
    there = {each.name for each in shelf(store).folder.iterdir()}
    assert there == {".lock", *(each.id for each in found)}
