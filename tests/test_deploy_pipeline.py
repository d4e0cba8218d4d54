"""The pipeline that the README deploys with: it goes live, and a bad version of it goes back."""

import json
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conftest import RunPipe

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.docker


@pytest.fixture
def application() -> Iterator[str]:
    """A name of its own: the reader of the README may have deployed the pipeline here, too."""
    name = f"words-{secrets.token_hex(4)}"
    yield name
    label = f"label=pipe.delivery={name}/production"
    for kind in ("container", "network"):
        listed = ["docker", kind, "ls", "--quiet", "--filter", label]
        found = subprocess.run(
            [*listed, *(["--all"] if kind == "container" else [])],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        force = ["--force"] if kind == "container" else []
        for each in found:
            subprocess.run(["docker", kind, "rm", *force, each], capture_output=True, check=False)


@pytest.fixture
def project(tmp_path: Path, application: str) -> Path:
    for folder in ("pipelines", "examples/service"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pipe.yaml", tmp_path)
    file = tmp_path / "pipelines" / "deploy.yaml"
    file.write_text(file.read_text().replace("application: words", f"application: {application}"))
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def promised(number: int) -> list[str]:
    """The lines of the job `deploy` in the README, without what is different each time."""
    text = (ROOT / "README.md").read_text("utf-8").partition("### deploy\n")[2]
    block = re.findall(r"^```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[number]
    return [settled(line) for line in block.splitlines() if line.startswith("deploy |")]


def settled(line: str) -> str:
    line = re.sub(r"\d+\.\d+\.\d+\.\d+:\d+", "ADDRESS", line)
    return re.sub(r"\d+ ms", "N ms", line)


def test_what_the_readme_promises(project: Path, application: str, run_pipe: RunPipe) -> None:
    port = free_port()
    where = ("--input", f"port={port}")
    first = run_pipe("run", "deploy", "--input", "version=1.0", *where, cwd=project)
    assert first.exit_code == 0, first.stdout
    assert missing(promised(0), first.stdout) == []
    assert version_at(port) == "1.0"

    bad = ("--input", "version=1.1", "--input", "fault=errors")
    second = run_pipe("run", "deploy", *bad, *where, cwd=project)
    assert second.exit_code == 1
    assert missing(promised(1), second.stdout) == []
    assert version_at(port) == "1.0"

    report = json.loads(run_pipe("report", "--json", cwd=project).stdout)
    assert (report["state"], report["reason"]) == ("rolled-back", "health-failed")
    assert report["seconds_to_detect"] >= 0
    assert report["seconds_to_restore"] >= 0
    listed = json.loads(run_pipe("releases", "production", "--json", cwd=project).stdout)
    assert [(each["version"], each["state"], each["live"]) for each in listed] == [
        ("1.1", "bad", False),
        ("1.0", "good", True),
    ]
    left = run_pipe("recover", cwd=project)
    assert left.stdout == "no deployment was left unfinished\n"


def missing(wanted: list[str], stdout: str) -> list[str]:
    """The lines that are not in what was printed, or come too early in it."""
    rest = iter(settled(line) for line in stdout.splitlines())
    return [line for line in wanted if line not in rest]


def version_at(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        found: str = json.load(answer)["version"]
        return found
