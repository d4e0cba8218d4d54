"""Pages that tell how to work with several commands: what they say to type, typed in that order."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.store import Store
from tests.servers import Server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
IMAGE = "pipe-test/debian:12"
#: For what a shell does with the blocks of a page: stop at the first command that fails.
START = "set -euo pipefail\n"


def files(page: str) -> dict[str, str]:
    """The files that a page shows with their names."""
    return dict(re.findall(r"^```yaml title=(\S+)\n((?:.*\n)*?)```$", page, re.MULTILINE))


def commands(page: str) -> list[str]:
    return re.findall(r"^```sh\n((?:.*\n)*?)```$", page, re.MULTILINE)


def project(tmp_path: Path, page: str, more: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """A checkout with the page's files, and an environment in which labels have an image here."""
    folder = tmp_path / "project"
    for name, text in files(page).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    config = tmp_path / "config" / "pipe" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"images:\n  ubuntu-latest: {IMAGE}\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPE_")}
    environment = {
        **kept,
        "PATH": f"{BIN}:{kept['PATH']}",
        "PIPE_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        **more,
    }
    author = ("-c", "user.name=Reader", "-c", "user.email=reader@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "page")):
        subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True)
    return folder, environment


def typed(page: str, tmp_path: Path, **variables: str) -> str:
    """What all commands of the page print."""
    folder, environment = project(tmp_path, page, variables)
    ended = subprocess.run(
        ["bash", "-c", START + "".join(commands(page))],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.docker
def test_queueing(tmp_path: Path) -> None:
    said = typed((ROOT / "docs" / "queueing.md").read_text("utf-8"), tmp_path)
    assert "packaged 1.0.1" in said
    assert re.search(r"second.*failed|failed.*second", said)
    assert "queue:deployments" in said


@pytest.mark.docker
def test_environments(tmp_path: Path) -> None:
    said = typed((ROOT / "docs" / "environments.md").read_text("utf-8"), tmp_path)
    assert "waits for approval of production by ann or bo: pipe approve 1" in said
    assert "production approved by ann" in said
    assert "production is locked by" in said


@pytest.mark.docker
@pytest.mark.skipif(os.getuid() != 0, reason="only root may make machines in miniature")
def test_scaling(tmp_path: Path, server: Server) -> None:
    page = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    database = server.new_database().rpartition("/")[2]
    shared = tmp_path / "shared"
    shared.mkdir()
    url = f"postgresql://pipe@/{database}?host={server.folder}&port={server.port}"
    said = typed(page, tmp_path, PIPE_DATABASE_URL=url, PIPE_STORAGE=str(shared))
    assert [line for line in said.splitlines() if line.startswith("part ")] == [
        f"part {number}" for number in range(1, 5)
    ]
    store = Store.open(tmp_path / "home", url)
    with store, store.notes.reading() as reading:
        found = reading.execute("SELECT worker FROM attempt ORDER BY worker", {}).fetchall()
    assert {row["worker"].partition(":")[0] for row in found} == {"one", "two"}


@pytest.mark.docker
def test_snapshots(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "snapshots.md").read_text("utf-8")
    said = typed(page.replace("/srv/shop", str(tmp_path / "srv")), tmp_path)
    assert "restored 1-files of snapshot" in said
    assert re.search(r"all \d+ lines are as they were written", said)
