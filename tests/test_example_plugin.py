"""The example of a plugin as others would write one: installed, listed, validated, run, and held to
the suite that ships."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunPipe

SOURCE = Path(__file__).parents[1] / "examples" / "plugin"
FAST = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed distribution; `pip` gets a copy, and writes nothing here."""
    folder = tmp_path_factory.mktemp("plugin")
    copied, made = folder / "source", folder / "site"
    shutil.copytree(SOURCE, copied, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    program = [sys.executable, "-m", "pip", "install", *FAST, "--target", str(made), str(copied)]
    subprocess.run(program, check=True, capture_output=True)
    return made


@pytest.fixture(autouse=True)
def path(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with the example's pipeline, unchanged."""
    folder = tmp_path / "project"
    (folder / "pipelines").mkdir(parents=True)
    shutil.copy(SOURCE / "deploy.yaml", folder / "pipelines" / "deploy.yaml")
    (folder / "pipe.yaml").write_text("images:\n  ubuntu-latest: pipe-test/debian:12\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_it_is_listed(project: Path, run_pipe: RunPipe) -> None:
    listed = run_pipe("plugins", cwd=project)
    [line] = [line for line in listed.stdout.splitlines() if line.startswith("config-file")]
    assert re.split(r"  +", line.strip())[1:4] == [
        "pipe-config-file",
        "1.0.0",
        "targets config-file; checks json-file",
    ]
    assert listed.exit_code == 0


def test_its_settings_are_validated(project: Path, run_pipe: RunPipe) -> None:
    assert run_pipe("validate", "deploy", cwd=project).exit_code == 0
    file = project / "pipelines" / "deploy.yaml"
    file.write_text(file.read_text().replace("to: ${{", "too: ${{").replace("has:", "hash:"))
    told = run_pipe("validate", "deploy", cwd=project)
    assert told.exit_code == 2
    assert "pipelines/deploy.yaml:31:13: error[unknown-key]" in told.stdout, told.stdout
    assert "too" in told.stdout
    assert "hash" in told.stdout


@pytest.mark.docker
def test_its_pipeline_deploys_and_goes_back(
    project: Path, tmp_path: Path, run_pipe: RunPipe
) -> None:
    to = tmp_path / "etc" / "shop.json"
    run = ("run", "--host", "deploy", f"--input=to={to}")
    good = run_pipe(*run, cwd=project)
    assert good.exit_code == 0, good.stdout + good.stderr
    assert to.read_text() == '{"currency": "EUR"}\n'
    assert "`uptime`" not in good.stdout  # its live check says more
    bad = run_pipe(*run, "--input=currency=USD", cwd=project)
    assert bad.exit_code == 1
    assert f"{to} has another `currency`" in bad.stdout
    assert "EUR is live again" in bad.stdout
    assert to.read_text() == '{"currency": "EUR"}\n'
    assert os.readlink(to) == f"{to}.releases/1"  # noqa: PTH115 - what it says, unresolved


def test_it_keeps_what_its_own_test_claims(site: Path) -> None:
    """Run as its authors would: with nothing of this repository's own set-up."""
    program = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [*program, str(site.parent / "source")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
