"""The safety that every test relies on is itself in force."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
NEEDS_DOCKER = "import pytest\n\n@pytest.mark.docker\ndef test_with_engine():\n    pass\n"
CONFIG = "[pytest]\nmarkers = docker: needs an engine\n"


def test_no_test_reaches_the_real_home(
    pipe_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sandbox = tmp_path_factory.getbasetemp()
    reached = [
        Path(os.environ["PIPE_HOME"]),
        Path.home(),
        platformdirs.user_config_path("pipe"),
        platformdirs.user_data_path("pipe"),
        platformdirs.user_cache_path("pipe"),
        platformdirs.user_state_path("pipe"),
    ]
    assert [path for path in reached if not path.is_relative_to(sandbox)] == []
    assert reached[0] == pipe_home


def test_git_reads_the_configuration_of_the_test_alone(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    listed = subprocess.run(
        ["git", "config", "--list", "--show-origin", "--name-only"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    sandbox = str(tmp_path_factory.getbasetemp())
    assert {line.split("\t")[1] for line in listed} >= {"user.name", "user.email"}
    assert [line for line in listed if not line.startswith(f"file:{sandbox}")] == []


def test_the_machine_around_the_tests_is_out_of_sight(tmp_path: Path) -> None:
    around = dict.fromkeys(["GIT_DIR", "GITHUB_ACTIONS", "RUNNER_TEMP", "PIPE_HOME_X", "CI"], "1")
    test = f"import os\n\ndef test_unseen():\n    assert not {set(around)!r} & set(os.environ)\n"
    assert run_pytest(tmp_path, test, around) == "1 passed"


def test_without_an_engine_a_docker_test_fails(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, NEEDS_DOCKER, {"DOCKER_HOST": nowhere(tmp_path)}) == "1 error"


def test_a_docker_test_is_skipped_only_on_request(tmp_path: Path) -> None:
    asked = {"DOCKER_HOST": nowhere(tmp_path), "PIPE_TEST_WITHOUT_DOCKER": "1"}
    assert run_pytest(tmp_path, NEEDS_DOCKER, asked) == "1 skipped"


def nowhere(folder: Path) -> str:
    return f"unix://{folder}/no-engine.sock"


def run_pytest(folder: Path, test: str, env: dict[str, str]) -> str:
    """Run one test file under our conftest; returns the counts that pytest closes with."""
    shutil.copy(CONFTEST, folder)
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    (folder / "pytest.ini").write_text(CONFIG, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.splitlines()[-1].split(" in ")[0]
