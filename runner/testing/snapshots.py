"""What every snapshot has to pass: a real one, of something that can be changed and looked at.

```python
snapshots.conforms(Ground(plugin, settings, call, folder, change, look))
```
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.plugin import DeliveryCall, PluginSnapshot, Snapshot


@dataclass(frozen=True, slots=True)
class Ground:
    """What a snapshot is tried on.

    `call` makes a call as `delivery_call` does. `folder` is one that is made, for what is kept.
    `change` changes what is kept, and `look` returns how that is now, as something that compares.
    """

    plugin: PluginSnapshot
    settings: Mapping[str, Any]
    call: Callable[..., DeliveryCall]
    folder: Path
    change: Callable[[], object]
    look: Callable[[], object]

    def open(self) -> Snapshot:
        """The snapshot as another process would open it: it remembers nothing by itself."""
        return self.plugin.open(self.settings)

    def create(self, name: str) -> Path:
        """Keep it in a new folder."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        about = self.open().create(self.call(), folder)
        assert isinstance(about, Mapping), f"create returns {about!r}, and no map"
        return folder


def conforms(ground: Ground) -> None:
    """Hold the snapshot against all claims; raises AssertionError with what it does not keep."""
    for claim in (
        it_changes_nothing_while_it_keeps,
        it_brings_back_what_was,
        it_repeats_itself,
        it_keeps_each_by_itself,
    ):
        claim(ground)


def it_changes_nothing_while_it_keeps(ground: Ground) -> None:
    """Neither keeping nor verifying changes what is kept, or the folder once that is complete."""
    before = ground.look()
    folder = ground.create("changes-nothing")
    kept = _contents(folder)
    assert kept, "create leaves nothing in its folder"
    findings = [each.message for each in ground.open().verify(ground.call(), folder)]
    assert not findings, f"verify finds, at once after create: {'; '.join(findings)}"
    assert ground.look() == before, f"create has changed {before!r} to {ground.look()!r}"
    assert _contents(folder) == kept, "verify changes what was kept"


def it_brings_back_what_was(ground: Ground) -> None:
    """After a change, restoring makes it as it was."""
    before = ground.look()
    folder = ground.create("brings-back")
    ground.change()
    assert ground.look() != before, "`change` changes nothing: this tells nothing of the snapshot"
    ground.open().restore(ground.call(), folder)
    _same(ground.look(), before, "restore makes")


def it_repeats_itself(ground: Ground) -> None:
    """A restore that is repeated with its key ends as it did the first time."""
    before = ground.look()
    folder = ground.create("repeats")
    ground.change()
    for _ in range(2):
        ground.open().restore(ground.call(key="repeated"), folder)
        _same(ground.look(), before, "restore, repeated, makes")


def it_keeps_each_by_itself(ground: Ground) -> None:
    """A later snapshot does not change an earlier one, and both can be restored, in any order."""
    first = ground.look()
    one = ground.create("first")
    ground.change()
    second = ground.look()
    other = ground.create("second")
    for folder, expected in ((one, first), (other, second), (one, first)):
        ground.open().restore(ground.call(), folder)
        _same(ground.look(), expected, f"restoring {folder.name} makes")


def _same(found: object, expected: object, who: str) -> None:
    assert found == expected, f"{who} {found!r} of what was {expected!r}"


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
