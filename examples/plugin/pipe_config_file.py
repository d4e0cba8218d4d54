"""Deploys a configuration file to a machine, and checks what is in it."""

import io
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.plugin import hookimpl

if TYPE_CHECKING:
    from runner.plugin import (
        CheckCall,
        CheckResult,
        DeliveryCall,
        Finding,
        Instance,
        Machine,
        Observed,
        PluginCheck,
        PluginTarget,
        Release,
        Target,
    )

ON = {
    "type": "string",
    "pattern": "^(local|ssh://.+)$",
    "default": "local",
    "description": "The machine: `local`, or `ssh://[user@]host[:port]`.",
    "examples": ["ssh://deploy@web1"],
}
TARGET = {
    "type": "object",
    "required": ["path", "to"],
    "additionalProperties": False,
    "properties": {
        "path": {
            "type": "string",
            "minLength": 1,
            "description": "The file in the job's workspace.",
            "examples": ["shop.json"],
        },
        "to": {
            "type": "string",
            "pattern": "^/.",
            "description": "Where programs read it: a link to the file of a release. The releases "
            "are in a folder beside it.",
            "examples": ["/etc/shop/shop.json"],
        },
        "on": ON,
    },
}
CHECK = {
    "type": "object",
    "required": ["file", "has"],
    "additionalProperties": False,
    "properties": {
        "file": {
            "type": "string",
            "minLength": 1,
            "description": "A JSON file that holds a map.",
            "examples": ["/etc/shop/shop.json"],
        },
        "has": {
            "type": "object",
            "additionalProperties": True,
            "description": "Names, and the values that they have to have there.",
            "examples": [{"currency": "EUR"}],
        },
        "on": ON,
    },
}


@hookimpl
def targets() -> "list[PluginTarget]":
    from runner.plugin import PluginTarget

    return [PluginTarget("config-file", TARGET, open_target)]


@hookimpl
def checks() -> "list[PluginCheck]":
    from runner.plugin import PluginCheck

    return [PluginCheck("json-file", CHECK, look_into)]


def open_target(settings: Mapping[str, Any]) -> "Target":
    return ConfigFile(settings["path"], settings["to"], settings.get("on", "local"))


@dataclass(frozen=True)
class ConfigFile:
    """`TO` is a link to `TO.releases/N`."""

    path: str
    to: str
    on: str

    def preflight(self, call: "DeliveryCall", release: "Release") -> "Sequence[Finding]":
        from runner.plugin import Finding

        is_ours = sh(call.machine(self.on), 'test -L "$0" || ! test -e "$0"', self.to)[0]
        return [] if is_ours else [Finding(f"{self.to} on {self.on} is no link: move it away")]

    def observe(self, call: "DeliveryCall") -> "Observed":
        from runner.plugin import Instance, Observed

        _, link = sh(call.machine(self.on), 'readlink "$0" || true', self.to)
        folder, _, number = link.rpartition("/")
        if folder != f"{self.to}.releases":
            return Observed()
        live = Instance("file", host=self.on, release=int(number), is_running=True)
        return Observed((live,), {live.name: live.release})

    def places(self, call: "DeliveryCall", release: "Release", slot: str) -> "Sequence[Instance]":
        from runner.plugin import Instance

        return [Instance("file", host=self.on)]

    def prepare(self, call: "DeliveryCall", release: "Release") -> None:
        packed = io.BytesIO(b"".join(call.pack(self.path)))
        with tarfile.open(fileobj=packed) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            data = file.read() if file else b""
        call.machine(self.on).write_file(self.file(release.id), data)

    def start(
        self, call: "DeliveryCall", release: "Release", places: "Sequence[Instance]"
    ) -> "Sequence[Instance]":
        # A link that is made anew takes the place of the old one, so that one is always there.
        script = 'ln -sfn "$1" "$0.next" && mv -fT "$0.next" "$0"'
        self.change(call, script, self.to, self.file(release.id))
        return self.observe(call).instances

    def stop(self, call: "DeliveryCall", instances: "Sequence[Instance]", grace: float) -> None:
        """A file does not run."""

    def remove(self, call: "DeliveryCall", instances: "Sequence[Instance]") -> None:
        if instances:
            self.change(call, 'rm -f "$0"', self.to)

    def available(self, call: "DeliveryCall", release: "Release") -> bool:
        return sh(call.machine(self.on), 'test -f "$0"', self.file(release.id))[0]

    def prune(self, call: "DeliveryCall", keep: Collection[int]) -> Sequence[str]:
        _, names = sh(call.machine(self.on), 'ls "$0" 2>/dev/null || true', f"{self.to}.releases")
        kept = {*keep, *self.observe(call).active.values()}
        gone = [int(name) for name in names.split() if name.isdigit() and int(name) not in kept]
        for number in gone:
            self.change(call, 'rm -f "$0"', self.file(number))
        return [f"release {number} of {self.to}" for number in gone]

    def file(self, release: int) -> str:
        return f"{self.to}.releases/{release}"

    def change(self, call: "DeliveryCall", script: str, *arguments: str) -> None:
        """Whoever has lost the right to deploy meanwhile changes nothing."""
        from runner.plugin import DeliveryError, fenced

        with fenced(call, call.folder / "config-file"):
            if not sh(call.machine(self.on), script, *arguments)[0]:
                raise DeliveryError(f"{self.to} on {self.on} cannot be changed")


def look_into(call: "CheckCall") -> "CheckResult":
    from runner.plugin import failed, passed

    file, wanted = call.with_["file"], call.with_["has"]
    data = call.machine(call.with_.get("on", "local")).read_file(file)
    if data is None:
        return failed(f"{file} is not there")
    try:
        found = json.loads(data)
        wrong = sorted(name for name, value in wanted.items() if found.get(name) != value)
    except (ValueError, AttributeError):
        return failed(f"{file} is no map in JSON")
    return failed(f"{file} has another `{wrong[0]}`") if wrong else passed(f"{file} is as wanted")


def sh(machine: "Machine", script: str, *arguments: str) -> tuple[bool, str]:
    """Whether a script succeeds, whose `$0`, `$1` are the arguments, and what it prints."""
    ended = machine.run(["sh", "-c", script, *arguments])
    return ended.exit_code == 0, ended.text
