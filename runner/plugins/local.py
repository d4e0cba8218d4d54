"""The plugins of a project: the files right in its `plugins/` folder, loaded by their path."""

import sys
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

#: Keeps a project's modules apart from everything that is installed.
PREFIX = "pipe_local_"


@dataclass(frozen=True, slots=True)
class Local:
    """A file of the project that is a plugin."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name without `.py`."""
        return self.path.stem

    def load(self) -> object:
        """Run the file as a module of its own. Raises whatever the file's own code raises."""
        name = PREFIX + self.name
        loader = _CleanLoader(name, str(self.path))
        spec = spec_from_file_location(name, self.path, loader=loader)
        assert spec is not None
        module = sys.modules[name] = module_from_spec(spec)
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def find_local(folder: Path | None) -> list[Local]:
    """The plugins in `folder`, by name; a file whose name begins with `_` is none."""
    files = sorted(folder.glob("*.py")) if folder else []
    return [Local(file) for file in files if not file.name.startswith("_") and file.is_file()]


class _CleanLoader(SourceFileLoader):
    """Leaves no compiled files in the project: they would count as a change of its source."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:  # noqa: ARG002
        return
