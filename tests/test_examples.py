"""Every example prints what its section of the README shows, and ends as it says."""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import RunPipe

ROOT = Path(__file__).parents[1]
REMOTE = "https://github.com/example/pipe.git"
BLOCK = r"^```{}\n((?:.*\n)*?)```$"
#: What no two runs have in common, and the widths of columns, which depend on it.
CHANGING = (
    (r"\b\d+\.\d s\b", "N s"),
    (r"\brun \d+\b", "run N"),
    (r"--from-failed \d+", "--from-failed N"),
    (r"`[0-9a-f]{12}`", "`HASH`"),
    (r"\s+", " "),
)


@dataclass(frozen=True)
class Shown:
    """What a section of the README says of one command."""

    arguments: tuple[str, ...]
    exit: int
    lines: tuple[str, ...]


def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


def sections() -> dict[str, str]:
    """The text under each heading of an example, by the example's name."""
    parts = re.split(r"^##+ (.*)\n", readme(), flags=re.MULTILINE)
    titles = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {name: text for name, text in titles.items() if f"(examples/{name}.yaml)" in text}


def block(kind: str, text: str) -> str:
    found = re.search(BLOCK.format(kind), text, re.MULTILINE)
    assert found, f"no {kind} block in: {text}"
    return found[1]


def shown(section: str) -> Shown:
    arguments = shlex.split(block("console", section).removeprefix("$ pipe "))
    code = re.search(r"exits with (\d+)", section)
    lines = block("text", section).splitlines()
    return Shown(tuple(arguments), int(code[1]) if code else 0, tuple(filter(None, lines)))


def source_of(line: str) -> str:
    """The job that a line begins with; jobs run side by side, so only a job's own lines have an order."""
    job, bar, _ = line.partition(" | ")
    return job if bar else ""


def ordered(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        for pattern, replacement in CHANGING:
            line = re.sub(pattern, replacement, line)
        found.setdefault(source_of(line), []).append(line.strip())
    return found


def missing(wanted: list[str], printed: list[str]) -> list[str]:
    """The lines that are not in what was printed, or come too early in it."""
    rest = iter(printed)
    return [line for line in wanted if line not in rest]


def commit(project: Path) -> None:
    for command in (
        ["init", "--quiet"],
        ["remote", "add", "origin", REMOTE],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "first"],
    ):
        subprocess.run(["git", *command], cwd=project, check=True)


def check(section: str, project: Path, run_pipe: RunPipe) -> None:
    expected = shown(section)
    finished = run_pipe(*expected.arguments, cwd=project)
    printed = ordered(finished.stdout.splitlines())
    for job, lines in ordered(list(expected.lines)).items():
        assert missing(lines, printed.get(job, [])) == [], finished.stdout + finished.stderr
    assert finished.exit_code == expected.exit
    assert finished.stderr == ""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit of the files that this repository tracks, as they are now."""
    target = tmp_path_factory.mktemp("repository") / "pipe"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    commit(target)
    return target


def test_every_example_has_a_section() -> None:
    assert sorted(sections()) == sorted(path.stem for path in (ROOT / "examples").glob("*.yaml"))


@pytest.mark.docker
@pytest.mark.parametrize("name", sections())
def test_example_prints_what_the_readme_shows(
    name: str, repository: Path, run_pipe: RunPipe
) -> None:
    check(sections()[name], repository, run_pipe)


@pytest.mark.docker
def test_the_first_example_prints_what_the_readme_shows(tmp_path: Path, run_pipe: RunPipe) -> None:
    first = readme().partition("\n## ")[0]
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "build.yaml").write_text(block("yaml", first))
    commit(tmp_path)
    check(first, tmp_path, run_pipe)
