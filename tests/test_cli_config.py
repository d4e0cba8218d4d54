"""`pipe config show`: what counts, and where it was written."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import group
from runner.errors import InvalidInputError

PROJECT = """\
images:
  big: example/big
  ubuntu-latest: example/latest
vars: {REGION: us, SIZE: 1}
environments:
  production:
    url: https://shop.example
    reviewers: [ann]
    secrets: [DSN, TOKEN]
    vars:
      region: eu
    images: {Big: example/bigger}
  staging:
"""
OWN = "images:\n  ubuntu-latest: example/mine\njobs: 3\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pipe.yaml").write_text(PROJECT)
    own = Path(os.environ["XDG_CONFIG_HOME"], "pipe", "config.yaml")
    own.parent.mkdir(parents=True)
    own.write_text(OWN)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PIPE_LOG_LEVEL", "debug")
    monkeypatch.setenv("PIPE_DATABASE_URL", "postgresql://me:hidden@host/pipe")
    return folder


def pipe(*arguments: str) -> str:
    ended = CliRunner().invoke(group, ["config", "show", *arguments])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.stdout


def settings(*arguments: str) -> dict[str, tuple[Any, str]]:
    """Value and origin by name; `~` is the user's own file."""
    own = str(Path(os.environ["XDG_CONFIG_HOME"], "pipe", "config.yaml"))
    shown = json.loads(pipe(*arguments, "--json"))["settings"]
    return {each["name"]: (each["value"], each["origin"].replace(own, "~")) for each in shown}


def test_every_value_says_where_it_was_written() -> None:
    found = settings()
    assert found["images.big"] == ("example/big", "pipe.yaml:2")
    assert found["images.ubuntu-latest"] == ("example/mine", "~:2")
    assert found["images.ubuntu-22.04"][1] == "built in"
    assert found["jobs"] == (3, "~:3")
    assert found["vars.REGION"] == ("us", "pipe.yaml:4")
    assert found["environments.production.reviewers"] == (["ann"], "pipe.yaml:8")
    assert found["environments.production.vars.region"] == ("eu", "pipe.yaml:11")


def test_an_environment_lies_over_the_rest() -> None:
    found = settings("--environment", "Production")
    assert found["vars.region"] == ("eu", "pipe.yaml:11")
    assert found["vars.SIZE"] == (1, "pipe.yaml:4")
    assert found["images.Big"] == ("example/bigger", "pipe.yaml:12")
    assert found["url"] == ("https://shop.example", "pipe.yaml:7")
    assert not {"vars.REGION", "images.big"} & found.keys()
    assert not [name for name in found if name.startswith("environments")]


def test_secrets_and_variables_are_named_and_not_told() -> None:
    shown = pipe("--environment", "production", "--secret", "production:DSN=s3cret")
    assert "secret DSN" in shown
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {"secret DSN given", "secret TOKEN not given"} <= lines
    assert "PIPE_LOG_LEVEL debug environment variable" in lines
    assert "PIPE_DATABASE_URL set environment variable" in lines
    assert "hidden" not in shown
    assert "s3cret" not in shown


def test_what_is_wrong_is_refused(project: Path) -> None:
    unknown = CliRunner().invoke(group, ["config", "show", "--environment", "prod"])
    assert isinstance(unknown.exception, InvalidInputError)
    assert "knows no environment `prod`" in unknown.exception.message
    (project / "pipe.yaml").write_text("environments: {production: {wiat: 5m}}")
    wrong = CliRunner().invoke(group, ["config", "show"])
    assert isinstance(wrong.exception, InvalidInputError)
    assert wrong.exception.hint == "did you mean `wait`?"


def test_without_configuration(project: Path) -> None:
    (project / "pipe.yaml").write_text("# nothing\n")
    assert "pipe.yaml" not in pipe()
