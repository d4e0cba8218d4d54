"""Calls of actions that come with the runner, in a real box, as a job would make them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from runner.actions.fetch import ActionStore
from runner.actions.inputs import complete
from runner.actions.native import ActionBox, NativeAction, NativeCall
from runner.engines.box import BoxSpec, Image, NoStop, Stop, Workspace
from runner.engines.host import HostEngine
from runner.storage import Storage

GITHUB = {
    "repository": "octo/app",
    "ref": "refs/heads/main",
    "sha": "0" * 40,
    "event": {"repository": {"default_branch": "main"}},
}


@dataclass
class Call:
    """A call, and all that it told."""

    inputs: Mapping[str, str]
    box: ActionBox
    storage: Storage
    github: Mapping[str, Any] = field(default_factory=lambda: dict(GITHUB))
    env: Mapping[str, str] = field(default_factory=dict)
    project: str = "/project"
    run_number: int = 7
    job: str = "build"
    attempt: int = 1
    stop: Stop = field(default_factory=NoStop)
    source: Workspace = field(default_factory=Workspace)
    actions: ActionStore = field(default_factory=lambda: ActionStore(Path()))
    shared: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> str:
        return self.box.facts.workspace

    def log(self, text: str) -> None:
        self.logged.append(text)

    def mask(self, secret: str) -> None:
        self.masked.append(secret)

    def set_output(self, name: str, value: str) -> None:
        self.outputs[name] = value

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def error(self, message: str) -> None:
        self.errors.append(message)


@dataclass
class Bench:
    """A box, the folder that it works in, and a store."""

    box: ActionBox
    tree: Path
    storage: Storage

    def call(self, action: NativeAction, with_: Mapping[str, str], **changes: Any) -> Call:
        """Do the main part of an action."""
        call = self.prepared(action, with_, **changes)
        checked: NativeCall = call
        action.main(checked)
        return call

    def prepared(self, action: NativeAction, with_: Mapping[str, str], **changes: Any) -> Call:
        return replace(Call(complete(action, with_), self.box, self.storage), **changes)

    def write(self, *names: str) -> None:
        """Files in the workspace, each with its own name as its content."""
        for name in names:
            file = self.tree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)


@contextmanager
def open_bench(folder: Path) -> Iterator[Bench]:
    """On this machine; in a folder of a test."""
    tree = folder / "tree"
    tree.mkdir()
    engine = HostEngine(folder / "home")
    spec = BoxSpec(7, "build", 1, "/project", Image(""), Workspace(bind=tree))
    box = engine.open(spec, lambda *_: None)
    try:
        yield Bench(box, tree, Storage(folder / "home"))
    finally:
        box.close("success")
        engine.finish()


@dataclass(frozen=True)
class HostileBox:
    """A box whose `tar` sends what it likes."""

    box: Any
    sent: Sequence[bytes]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.box, name)

    def pack(self, cwd: str, paths: Sequence[str], *, follow: bool = False) -> Iterator[bytes]:
        return iter(self.sent)


@dataclass
class Told:
    """Wants an end after so many questions."""

    left: int

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        self.left -= 1
        return "cancelled" if self.left < 0 else ""

    def immediately(self) -> bool:
        return False
