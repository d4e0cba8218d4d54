"""What the target remembers of its releases, as files that are replaced in one step."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kept:
    """The image of a release: as the user named it, and its id on each host.

    `digest` is its name in its registry, "" when that never saw it; `pulled` are the hosts that had
    no such image before.
    """

    image: str
    ids: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    pulled: Sequence[str] = ()


class Records:
    """One file a release in the folder of the application and environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, release: int) -> Kept | None:
        """None when there is none, or it is unreadable: it can be made again."""
        try:
            return Kept(**json.loads(self._file(release).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, release: int, kept: Kept) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as file:
            json.dump(asdict(kept), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, self._file(release))  # noqa: PTH105 - the name is a text
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def forget(self, release: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._file(release).unlink()

    def releases(self) -> list[int]:
        """Those that are remembered, in order."""
        names = (re.fullmatch(r"release-(\d+)", file.stem) for file in self._folder.glob("*.json"))
        return sorted(int(name[1]) for name in names if name)

    def hosts(self) -> list[str]:
        """All hosts that a remembered release was brought to."""
        kept = (self.read(release) for release in self.releases())
        return sorted({host for each in kept if each for host in each.ids})

    def _file(self, release: int) -> Path:
        return self._folder / f"release-{release}.json"
