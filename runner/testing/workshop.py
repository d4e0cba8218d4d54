"""Surroundings for calls of plugins: this machine, and a folder as the workspace of a job."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.delivery.call import Nowhere
from runner.delivery.machines import machine
from runner.plugin import DeliveryError, Machine


@dataclass(frozen=True, slots=True)
class Workshop(Nowhere):
    """What `delivery_call` and `check_call` take as `around`."""

    workspace: Path

    def log(self, text: str) -> None:
        """Nobody reads it."""

    def machine(self, name: str) -> Machine:
        """This machine is `local`; nothing connects to others."""
        if name != "local":
            raise DeliveryError(f"there is no machine `{name}` here")
        return machine(name, allow_local=True, control=self.workspace)

    def pack(self, path: str) -> Iterator[bytes]:
        source, packed = self.workspace / path, io.BytesIO()
        if not source.exists():
            raise DeliveryError(f"there is no `{path}` in the workspace")
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, "." if source.is_dir() else source.name)
        return iter([packed.getvalue()])
