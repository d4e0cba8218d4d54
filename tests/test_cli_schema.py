"""`pipe schema`: pipelines and the settings of plugins in one schema."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft7Validator

from runner.cli.schema import command

PIPELINE = """
jobs:
  ship:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - uses: image
        with: {context: shop}
      - deploy:
          target: docker
          with: {image: shop, port: 8000}
          switch: {use: haproxy, with: {listen: 8080}}
          verify:
            ready: [{http: {path: /, within: 5s}}]
      - verify: [{tcp: {port: 1}}]
"""
Change = Callable[[list[Any]], None]


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = json.loads(CliRunner().invoke(command).output)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def test_what_is_right_passes(validator: Draft7Validator) -> None:
    assert list(validator.iter_errors(yaml.safe_load(PIPELINE))) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda steps: steps[0]["with"].update(contxt="shop"),
        lambda steps: steps[1]["deploy"]["with"].update(prot=1),
        lambda steps: steps[1]["deploy"]["switch"]["with"].update(lisen=1),
        lambda steps: steps[1]["deploy"]["verify"]["ready"][0]["http"].update(pth="/"),
        lambda steps: steps[1]["deploy"].update(verify=[{"http": {"pth": "/"}}]),
        lambda steps: steps[2]["verify"][0]["tcp"].update(prot=1),
    ],
)
def test_wrong_settings_are_found(validator: Draft7Validator, change: Change) -> None:
    pipeline = yaml.safe_load(PIPELINE)
    change(pipeline["jobs"]["ship"]["steps"])
    assert list(validator.iter_errors(pipeline)) != []


def test_plugins_of_the_project_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(
        "from runner.plugin import PluginStep, hookimpl\n\n"
        "@hookimpl\n"
        "def steps():\n"
        '    return [PluginStep("mine", {"type": "object", "required": ["here"]}, print)]\n'
    )
    monkeypatch.chdir(tmp_path)
    schema = json.loads(CliRunner().invoke(command).output)
    choices = schema["definitions"]["step"]["allOf"]
    assert {"properties": {"with": {"type": "object", "required": ["here"]}}} in [
        each["then"] for each in choices
    ]
