"""Every folder in `workflows` is a small project with the CI of a well-known kind: it is valid, can be
planned, and runs to the results that GitHub documents.

`case.yaml` says `warnings` (codes that `pipe validate` reports, all of them), `images` (folders with a
Dockerfile, by the tag that they are built as) and `runs` in one home, one after the other: `file`,
`args`, `event` (the payload), `exit`, `jobs` (every job's name and result), `prints` (texts, or
`job | text`; in this order for each job), `never`, and `artifacts`. `history.sh` makes further
commits. Actions of other repositories are the folders `actions/OWNER/NAME`.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.source import load
from tests.conftest import Finished, RunPipe

HERE = Path(__file__).parent
PROJECTS = sorted(path.parent for path in (HERE / "workflows").glob("*/case.yaml"))
ACTIONS = HERE / "actions"
FILES = sorted((HERE / "workflows").glob("*/.github/workflows/*.yml"))
#: Keys that GitHub does not have, by the number of steps down to where Pipe has them.
ADDITIONS = {
    "the file": {"retry", "priority", "queue", "timeouts"},
    "a job": {"retry", "sources", "deploy"},
    "a step": {"retry", "image", "deploy", "verify", "snapshot", "rollback"},
}


@dataclass(frozen=True)
class Run:
    """One run of a project, and what has to come of it."""

    file: str
    jobs: dict[str, str]
    args: tuple[str, ...] = ()
    event: dict[str, Any] = field(default_factory=dict)
    exit: int = 0
    prints: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    artifacts: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Case:
    """What `case.yaml` says."""

    runs: tuple[Run, ...]
    warnings: tuple[str, ...] = ()
    images: dict[str, str] = field(default_factory=dict)


def read_case(folder: Path) -> Case:
    data: Any = load((folder / "case.yaml").read_text(), "case.yaml").data
    runs = tuple(Run(**run) for run in data.pop("runs"))
    return Case(runs, **data)


def make_project(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    (target / "case.yaml").unlink()
    history = (target / "history.sh").read_text() if (target / "history.sh").exists() else ""
    (target / "history.sh").unlink(missing_ok=True)
    script = f"git init -q\ngit add -A\ngit commit -qm 'Begin'\n{history}"
    subprocess.run(["sh", "-ec", script], cwd=target, check=True, capture_output=True)


def build_images(case: Case, project: Path) -> None:
    for tag, folder in case.images.items():
        command = ["docker", "build", "--quiet", "--tag", tag, str(project / folder)]
        subprocess.run(command, check=True, capture_output=True)


def action_sources() -> list[str]:
    folders = sorted(path for path in ACTIONS.glob("*/*") if path.is_dir())
    return [f"--action-source={path.relative_to(ACTIONS)}={path}" for path in folders]


def arguments(run: Run, place: Path) -> list[str | Path]:
    place.mkdir(exist_ok=True)
    (place / "event.json").write_text(json.dumps(run.event))
    event = ["--event-file", str(place / "event.json")] if run.event else []
    return ["run", run.file, "--offline", *action_sources(), *run.args, *event]


def said_by(job: str, lines: list[str]) -> str:
    """What a job printed, whose name may be cut short there; the lines of no job, without one."""
    own = (line.partition(" | ") for line in lines)
    return "\n".join(text if bar else name for name, bar, text in own if is_name(name, bar, job))


def is_name(shown: str, bar: str, job: str) -> bool:
    shown = shown.strip()
    cut = shown.endswith("…") and job.startswith(shown[:-1])
    return (shown == job or cut) if bar else not job


def check_prints(run: Run, shown: str) -> None:
    rest: dict[str, str] = {}
    for wanted in run.prints:
        job, bar, text = wanted.partition(" | ")
        job, text = (job, text) if bar else ("", wanted)
        said = rest.get(job, said_by(job, shown.splitlines()))
        assert text in said, f"{wanted!r} is missing, or too early, in:\n{shown}"
        rest[job] = said.partition(text)[2]
    for text in run.never:
        assert text not in shown, shown


def check_result(run: Run, finished: Finished, result: Path) -> None:
    shown = finished.stdout + finished.stderr
    assert finished.exit_code == run.exit, shown
    found: Any = json.loads(result.read_text())
    assert {job["name"]: job["result"] for job in found["jobs"]} == run.jobs, shown
    check_prints(run, shown)


@pytest.mark.docker
@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_project_runs(folder: Path, tmp_path: Path, run_pipe: RunPipe) -> None:
    case, project = read_case(folder), tmp_path / folder.name
    make_project(folder, project)
    build_images(case, project)
    for number, run in enumerate(case.runs, 1):
        command = arguments(run, tmp_path / "given")
        result = tmp_path / f"result-{number}.json"
        finished = run_pipe(*command, "--result", result, cwd=project)
        check_result(run, finished, result)
        if run.artifacts is not None:
            listed = run_pipe("artifacts", str(number), "--json", cwd=project)
            names = [artifact["name"] for artifact in json.loads(listed.stdout)]
            assert sorted(names) == sorted(run.artifacts)
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True)
    assert status.stdout == b"", "a run changed the checkout"


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_project_is_valid_and_can_be_planned(
    folder: Path, tmp_path: Path, run_pipe: RunPipe
) -> None:
    case, project = read_case(folder), tmp_path / folder.name
    make_project(folder, project)
    checked = run_pipe("validate", "--json", cwd=project)
    assert checked.exit_code == 0, checked.stdout
    found: Any = json.loads(checked.stdout)
    codes = [problem["code"] for file in found["files"] for problem in file["problems"]]
    assert sorted(codes) == sorted(case.warnings), checked.stdout
    for run in {run.file: run for run in case.runs}.values():
        planned = run_pipe(*arguments(run, tmp_path / "given"), "--dry-run", cwd=project)
        assert planned.exit_code == 0, planned.stdout + planned.stderr


def test_github_would_take_the_files_as_they_are() -> None:
    assert FILES
    for file in FILES:
        data: Any = load(file.read_text(), file.name).data
        jobs = list(data["jobs"].values())
        steps = [step for job in jobs for step in job.get("steps", ())]
        assert not ADDITIONS["the file"] & set(data), file
        assert not any(ADDITIONS["a job"] & set(job) for job in jobs), file
        assert not any(ADDITIONS["a step"] & set(step) for step in steps), file
