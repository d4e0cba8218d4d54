"""Every example prints what its section of the README shows, and ends as it says."""

import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
import yaml
from docker.models.containers import Container

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
    (r"\b\d+ ms\b", "N ms"),
    (r"\b(172|192|10)\.[0-9.]+", "ADDRESS"),
    (r"\bdeployment \d+", "deployment N"),
    (r"\b\d+ of \d+ requests", "N of N requests"),
    (r"\d+\.\d\d%\)", "N%)"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN"),
    (r"\s+", " "),
)


@dataclass(frozen=True)
class Shown:
    """What a section of the README says of one command."""

    arguments: tuple[str, ...]
    exit: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """Where an example deploys to in a test, in the place of what its inputs are by default."""

    given: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, written: tuple[str, ...]) -> list[str]:
        """A command of the README, for this stage."""
        if written[0] != "run":
            names = {self.shown[name]: text for name, text in self.given.items()}
            return [names.get(word, word) for word in written]
        return [*written, *(f"--input={name}={text}" for name, text in self.given.items())]

    def as_shown(self, printed: str) -> str:
        """What was printed, as if it had been deployed to where readers do."""
        for name, text in self.given.items():
            printed = printed.replace(f" --input {name}={text}", "").replace(text, self.shown[name])
        return printed


def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


def sections() -> dict[str, str]:
    """The text under each heading of an example, by the example's name."""
    parts = re.split(r"^##+ (.*)\n", readme(), flags=re.MULTILINE)
    titles = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {name: text for name, text in titles.items() if f"(examples/{name}.yaml)" in text}


def blocks(kind: str, text: str) -> list[str]:
    return re.findall(BLOCK.format(kind), text, re.MULTILINE)


def block(kind: str, text: str) -> str:
    found = blocks(kind, text)
    assert found, f"no {kind} block in: {text}"
    return found[0]


def shown(section: str) -> Iterator[Shown]:
    """Its commands; whatever stands before one says how it exits."""
    end = re.compile(r"^```text\n(?:.*\n)*?```$", re.MULTILINE)
    start = 0
    for found in end.finditer(section):
        part, start = section[start : found.end()], found.end()
        arguments = shlex.split(block("console", part).removeprefix("$ pipe "))
        code = re.search(r"exits with (\d+)", part)
        lines = block("text", part).splitlines()
        yield Shown(tuple(arguments), int(code[1]) if code else 0, tuple(filter(None, lines)))


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


def check(expected: Shown, project: Path, run_pipe: RunPipe, stage: Stage) -> None:
    finished = run_pipe(*stage.arguments(expected.arguments), cwd=project)
    printed = ordered(stage.as_shown(finished.stdout).splitlines())
    for job, lines in ordered(list(expected.lines)).items():
        assert missing(lines, printed.get(job, [])) == [], finished.stdout + finished.stderr
    assert finished.exit_code == expected.exit
    assert finished.stderr == ""


def inputs(name: str) -> dict[str, str]:
    """The inputs of an example, with their defaults."""
    text = (ROOT / "examples" / f"{name}.yaml").read_text("utf-8")
    on = yaml.safe_load(text).get(True)
    found = on.get("workflow_dispatch", {}) if isinstance(on, dict) else {}
    return {each: data["default"] for each, data in (found or {}).get("inputs", {}).items()}


def free_port() -> int:
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def stage(name: str, tmp_path: Path) -> Iterator[Stage]:
    """An environment and ports of this test alone; all that was deployed there goes."""
    defaults = inputs(name)
    environment = f"test-{tmp_path.name[-20:]}-{free_port()}".replace("_", "-").lower()
    made = {"environment": environment, "folder": str(tmp_path / "site")}
    made |= {each: str(free_port()) for each in defaults if each.endswith("port")}
    given = {each: made[each] for each in defaults if each in made}
    yield Stage(given, {each: defaults[each] for each in given})
    if "environment" in given:
        remove_all(environment)


def remove_all(environment: str) -> None:
    """Containers, networks and images of the releases of all applications there."""
    with closing(docker.from_env()) as engine:
        of_ours = [
            each
            for kind in (engine.containers.list(all=True), engine.networks.list())
            for each in kind
            if (each.attrs.get("Config") or each.attrs)["Labels"]
            .get("pipe.delivery", "")
            .endswith(f"/{environment}")
        ]
        for each in of_ours:
            each.remove(force=True, v=True) if isinstance(each, Container) else each.remove()
        for image in engine.images.list(filters={"reference": f"pipe/*-{environment}"}):
            for name in image.tags:
                if f"-{environment}:" in name:
                    engine.images.remove(name)


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
    name: str, repository: Path, run_pipe: RunPipe, stage: Stage
) -> None:
    for expected in shown(sections()[name]):
        check(expected, repository, run_pipe, stage)


@pytest.mark.docker
def test_the_first_example_prints_what_the_readme_shows(tmp_path: Path, run_pipe: RunPipe) -> None:
    first = readme().partition("\n## ")[0]
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "build.yaml").write_text(block("yaml", first))
    commit(tmp_path)
    for expected in shown(first):
        check(expected, tmp_path, run_pipe, Stage())
