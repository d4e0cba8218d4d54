"""What a box sees of this host: mounted where its engine sees the same files, else uploaded."""

import io
import secrets
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engines.box import EngineError
from runner.engines.control import HostControl, make_open
from runner.engines.docker import workspace
from runner.engines.docker.archive import CONTROL
from runner.engines.docker.locality import Locality
from runner.engines.docker.plan import Plan
from runner.engines.docker.reach import Reach
from runner.engines.docker.trees import INSIDE, path_of
from runner.engines.tar import owned_by_root

if TYPE_CHECKING:
    from docker import APIClient


def mount(plan: Plan, reach: Reach) -> None:
    """Make the folders of the box on this host, and put them into the request of the plan."""
    mounts = plan.config["HostConfig"]["Mounts"]
    if plan.locality is Locality.REMOTE and plan.spec.workspace.bind:
        raise EngineError(
            "not-here",
            "`--bind` needs an engine on this machine: this one does not see the checkout",
            hint="leave `--bind` out; the job then works in a copy",
        )
    if plan.locality is Locality.REMOTE:
        mounts += [workspace.volume(workspace.INSIDE), workspace.volume(CONTROL)]
        return
    mounts.append(_control(plan, with_hello=reach.locality is None))
    mounts.append(_temp(plan))
    mounts += workspace.objects(plan.spec.workspace.objects)
    mounts += [
        workspace.bind(folder, path_of(name), read_only=True)
        for name, folder in plan.spec.mounts.items()
    ]
    mounts.append(_tree(plan, reach))


def _control(plan: Plan, *, with_hello: bool) -> workspace.Mount:
    plan.control = HostControl(plan.folder.control, CONTROL)
    make_open(plan.control.path / "temp")
    plan.nonce = secrets.token_hex(8)
    for name, data in {**plan.spec.files, "nonce": f"{plan.nonce}\n".encode()}.items():
        plan.control.put(name, data)
    if with_hello:
        plan.hello = plan.control.fifo("hello")
    return workspace.bind(plan.control.path, CONTROL)


def _temp(plan: Plan) -> workspace.Mount:
    """Large files belong on a disk, wherever the small ones are."""
    temp = plan.folder.path / "temp"
    make_open(temp)
    return workspace.bind(temp, f"{CONTROL}/temp")


def _tree(plan: Plan, reach: Reach) -> workspace.Mount:
    wanted, base = plan.spec.workspace, plan.folder.path
    if wanted.bind:
        return workspace.bind(wanted.bind, workspace.INSIDE)
    layers = _layers(plan)
    if reach.overlay:
        return workspace.overlay(layers, base / "upper", base / "work")
    return workspace.copy(layers, base / "tree")


def _layers(plan: Plan) -> Sequence[Path]:
    user = replace(plan.image, user=plan.config["User"])
    wanted = plan.spec.workspace
    if user.runs_as_root or wanted.open_layers is None:
        return wanted.layers
    return wanted.open_layers()


def upload(api: "APIClient", container: str, plan: Plan) -> None:
    """Put into a container that was not started yet what it cannot see of this host."""
    spec = plan.spec
    with tempfile.TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name in ("pipe", "pipe/temp", "workspace", "objects"):
                tar.addfile(_open_folder(name))
            for name, data in spec.files.items():
                entry = tarfile.TarInfo(f"pipe/{name}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            for layer in reversed(_layers(plan)):
                tar.add(layer, arcname="workspace", filter=_in_box)
            for number, folder in enumerate(spec.workspace.objects):
                tar.add(folder, arcname=f"objects/{number}", filter=_in_box)
            for name, folder in spec.mounts.items():
                tar.add(folder, arcname=name, filter=owned_by_root)
        archive.seek(0)
        api.put_archive(container, INSIDE, archive)


def _open_folder(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o777
    return folder


def _in_box(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    if entry.name == "workspace":
        entry.mode = 0o777
    return owned_by_root(entry)
