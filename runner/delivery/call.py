"""What a call of a plugin gets from us, put together from where the call comes from."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runner.plugin.delivery import CheckResult, DeliveryError, Instance, Machine, Traffic

#: The label of everything that a deployment makes, with `APPLICATION/ENVIRONMENT`.
LABEL = "pipe.delivery"


class Surroundings(Protocol):
    """Where a deployment goes on: in a job, or in a recovery, which has no workspace."""

    def log(self, text: str) -> None: ...

    def mask(self, value: str) -> None: ...

    def cancelled(self) -> bool: ...

    def machine(self, name: str) -> Machine:
        """Raises DeliveryError when there is none of that name, or it is not allowed."""
        ...

    def pack(self, path: str) -> Iterator[bytes]:
        """Raises DeliveryError when there is no such file, or no workspace."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a target, a switch, a snapshot. `deadline` is of `time.monotonic()`."""

    application: str
    environment: str
    deployment: int
    key: str
    token: int
    folder: Path
    around: Surroundings
    deadline: float

    @property
    def labels(self) -> Mapping[str, str]:
        labels = {LABEL: f"{self.application}/{self.environment}"}
        return labels | ({"pipe.deployment": str(self.deployment)} if self.deployment else {})

    def remaining(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def cancelled(self) -> bool:
        return self.around.cancelled()

    def log(self, text: str) -> None:
        self.around.log(text)

    def mask(self, value: str) -> None:
        self.around.mask(value)

    def machine(self, name: str) -> Machine:
        return self.around.machine(name)

    def pack(self, path: str) -> Iterator[bytes]:
        return self.around.pack(path)


@dataclass(frozen=True, slots=True)
class AskedCall(Call):
    """One call of a check."""

    with_: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""
    version: str = ""
    instances: Sequence[Instance] = ()
    before: CheckResult | None = None
    count: Callable[[], Mapping[str, Traffic] | None] = lambda: None
    look: Callable[[], Sequence[Instance]] | None = None

    def observe(self) -> Sequence[Instance]:
        return self.look() if self.look else self.instances

    def traffic(self) -> Mapping[str, Traffic] | None:
        return self.count()

    def wait(self, seconds: float) -> bool:
        """Sleep; False as soon as the check has to end instead."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.cancelled() or not self.remaining():
                return False
            time.sleep(min(0.05, left))
        return not self.cancelled()


class Nowhere:
    """Surroundings of a call that comes from no job: there is no workspace and no machine."""

    def __init__(self, write: Callable[[str], None] = lambda _: None) -> None:
        self._write = write

    def log(self, text: str) -> None:
        self._write(text)

    def mask(self, value: str) -> None:
        """Nothing is shown that could hold it."""

    def cancelled(self) -> bool:
        return False

    def machine(self, name: str) -> Machine:
        raise DeliveryError(f"there is no machine `{name}` here")

    def pack(self, path: str) -> Iterator[bytes]:
        raise DeliveryError(f"there is no job here whose workspace has `{path}`")
