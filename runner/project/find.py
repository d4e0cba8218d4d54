"""Which project a folder belongs to, and which pipeline file a name means."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.errors import InvalidInputError, did_you_mean
from runner.project.config import FILE_NAME, ProjectConfig, read_project_config
from runner.project.git import GitFacts, login, read_facts

_FOLDERS = ("pipelines", ".github/workflows")
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Project:
    """One project: `root` is what a job sees as its workspace, `folder` is where `pipe.yaml` and
    `pipelines/` stand (the same, unless a repository holds several projects).
    """

    root: Path
    folder: Path
    name: str
    config: ProjectConfig
    git: GitFacts | None

    @property
    def repository(self) -> str:
        """`owner/name`; without a remote, the local user and the folder's name."""
        return self.git.repository if self.git else f"{login()}/{self.name}"

    @property
    def server_url(self) -> str:
        """Where the repository is hosted, `https://host`."""
        return self.git.server_url if self.git else "https://github.com"

    @property
    def actor(self) -> str:
        """Who runs this: git's user, or the one logged in."""
        return self.git.actor if self.git else login()

    @property
    def default_branch(self) -> str:
        """The branch that pull requests go to."""
        return self.git.default_branch if self.git else "main"

    @property
    def branch(self) -> str:
        """The branch that is checked out, or ""."""
        return self.git.branch if self.git else ""

    @property
    def ref(self) -> str:
        """The full ref that HEAD stands for, or ""."""
        return self.git.ref if self.git else ""

    @property
    def sha(self) -> str:
        """The commit that HEAD points at, or ""."""
        return self.git.sha if self.git else ""


def find_project(start: Path) -> Project:
    """The project around `start` (a folder, or a file in it), with its configuration.

    The root is the top of the git checkout; without git, the nearest folder that holds `pipe.yaml`,
    `pipelines/` or `.github/workflows/`, else `start`. Raises InvalidInputError for a bad `pipe.yaml`.
    """
    root, home, git = _place(start)
    config = read_project_config(config_file(home))
    return Project(root, home, _name(root, git), config, git)


def find_root(start: Path) -> Path:
    """The root of the project around `start`, whatever its configuration says."""
    return _place(start)[0]


def _place(start: Path) -> tuple[Path, Path, GitFacts | None]:
    here = start.resolve()
    folder = here if here.is_dir() else here.parent
    git = read_facts(folder)
    candidates = tuple(_upward(folder, git.checkout.root if git else None))
    home = next(filter(_is_project, candidates), None)
    root = git.checkout.root if git else home or folder
    return root, home or root, git


def find_pipeline(name: str, folder: Path) -> Path:
    """The pipeline file that `name` means: a path, or a bare name in the project at `folder`.

    A bare name may leave out `.yaml`, and counts in the folders above too, as far as the project
    reaches. Raises InvalidInputError when there is none.
    """
    for candidate in (Path(name), folder / name):
        if candidate.is_file():
            return candidate
    known = list_pipelines(nearest_project(folder))
    for file in known:
        if name in (file.name, file.stem):
            return file
    hint = did_you_mean(name, (file.stem for file in known)) or _where(known)
    raise InvalidInputError(f"there is no pipeline `{name}`", hint=hint)


def nearest_project(folder: Path) -> Path:
    """`folder`, or the nearest one above it that holds pipelines, within the same git checkout."""
    for candidate in (folder, *folder.resolve().parents):
        if _is_project(candidate):
            return candidate
        if (candidate / ".git").exists():
            break
    return folder


def list_pipelines(folder: Path) -> tuple[Path, ...]:
    """Every pipeline file of the project at `folder`, `pipelines/` first, sorted by name."""
    return tuple(
        file
        for place in _FOLDERS
        for file in sorted((folder / place).glob("*"))
        if file.suffix in _SUFFIXES and file.name != FILE_NAME and file.is_file()
    )


def _upward(folder: Path, top: Path | None) -> Iterator[Path]:
    for candidate in (folder, *folder.parents):
        yield candidate
        if candidate == top:
            return


def _is_project(folder: Path) -> bool:
    # `pipe.yaml` may also stand among the pipelines; the project is still the folder above.
    if (folder / FILE_NAME).is_file() and folder.name != _FOLDERS[0]:
        return True
    return any((folder / place).is_dir() for place in _FOLDERS)


def config_file(folder: Path) -> Path:
    """Where the configuration of the project stands, or would. Raises InvalidInputError for two."""
    here, among = folder / FILE_NAME, folder / _FOLDERS[0] / FILE_NAME
    if here.is_file() and among.is_file():
        raise InvalidInputError(
            f"there are two configuration files: {FILE_NAME} and {_FOLDERS[0]}/{FILE_NAME}",
            hint="keep one of them",
        )
    return among if among.is_file() else here


def _name(root: Path, git: GitFacts | None) -> str:
    return git.repository.rpartition("/")[2] if git else root.name or "root"


def _where(known: tuple[Path, ...]) -> str:
    if not known:
        return "put pipeline files into pipelines/ or .github/workflows/"
    return "there are: " + ", ".join(file.stem for file in known)
