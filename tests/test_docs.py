"""The documentation against the program: pipelines in it are valid, and nothing goes unmentioned."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from runner import __version__
from runner.cli import COMMANDS, group
from runner.errors import InvalidInputError, Problem
from runner.lint import Brought, lint
from runner.parse import parse, schema
from runner.plugins import load_plugins
from runner.project.config import read_project_config, read_user_config
from runner.source import load

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
PIPELINES = sorted([*(ROOT / "examples").glob("*.yaml"), *(ROOT / "pipelines").glob("*.yaml")])
CONFIGURATIONS: Mapping[str, Callable[[Path], object]] = {
    "title=pipe.yaml": read_project_config,
    "title=config.yaml": read_user_config,
}
JOB = {"runs-on": "ubuntu-latest", "steps": [{"run": "make"}]}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the rest of its info string, its text."""

    language: str
    title: str
    text: str


def blocks(text: str) -> list[Block]:
    found = re.findall(r"^```(\w*) ?(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    return [Block(*parts) for parts in found]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*\n(?:.*\n)*?```$", "", page.read_text("utf-8"), flags=re.MULTILINE)


def yaml_blocks(*, configuration: bool) -> list[Any]:
    return [
        pytest.param(block, id=f"{page.name}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page.read_text("utf-8")), start=1)
        if block.language == "yaml" and (block.title in CONFIGURATIONS) == configuration
    ]


def problems(text: str, steps: Brought) -> list[Problem]:
    try:
        document = load(text, "pipeline.yaml")
        return lint(parse(document), document, steps)
    except InvalidInputError as error:
        return list(error.problems)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    """What the built-in plugins bring, and the plugins that the documentation writes."""
    folder = tmp_path_factory.mktemp("plugins")
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    for number, block in enumerate(blocks(page)):
        if block.language == "python" and "@hookimpl" in block.text:
            (folder / f"plugin{number}.py").write_text(block.text)
    plugins = load_plugins(folder)
    assert not plugins.problems
    return Brought(**plugins.schemas)


@pytest.mark.parametrize("block", yaml_blocks(configuration=False))
def test_pipelines_in_the_pages_are_valid(block: Block, steps: Brought) -> None:
    assert re.fullmatch(r"(title=pipelines/[\w-]+\.yaml)?", block.title)
    assert [each for each in problems(block.text, steps) if each.severity == "error"] == []


@pytest.mark.parametrize("block", yaml_blocks(configuration=True))
def test_configurations_in_the_pages_are_valid(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "configuration.yaml"
    file.write_text(block.text)
    CONFIGURATIONS[block.title](file)


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.name)
def test_our_own_pipelines_have_no_problems(file: Path, steps: Brought) -> None:
    assert problems(file.read_text("utf-8"), steps) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not leads_somewhere(page, link)]
    assert broken == []


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if "://" not in link]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def all_commands() -> dict[str, click.Command]:
    """By what is typed, with those in groups: `queue limit`."""
    found = {name: command(name) for name in COMMANDS}
    for name, each in list(found.items()):
        if isinstance(each, click.Group):
            found |= {f"{name} {inner}": below for inner, below in each.commands.items()}
    return found


def all_options() -> list[tuple[str, str]]:
    return [
        (name, option)
        for name, each in all_commands().items()
        for parameter in each.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    ]


@pytest.mark.parametrize("name", all_commands())
def test_commands_are_documented(name: str) -> None:
    assert f"`pipe {name}" in (ROOT / "docs" / "running.md").read_text("utf-8")


@pytest.mark.parametrize(("name", "option"), all_options())
def test_options_are_documented(name: str, option: str) -> None:
    page = prose(ROOT / "docs" / "running.md")
    assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", page)


@pytest.mark.parametrize("name", all_commands())
def test_help_has_the_usage_and_every_option(name: str) -> None:
    shown = CliRunner().invoke(group, [*name.split(), "--help"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"Usage: group {name}")
    assert [
        option for of, option in all_options() if of == name and option not in shown.output
    ] == []


def keys(where: str) -> dict[str, Any]:
    """The schema of each key at the top, in a job or in a step."""
    top = schema()
    found: dict[str, Any] = (top if where == "top" else top["definitions"][where])["properties"]
    return found


def mentioned(*names: str) -> set[str]:
    """All words in the inline code of these pages."""
    spans = [re.findall(r"`([^`\n]+)`", prose(ROOT / "docs" / name)) for name in names]
    return {word for found in spans for span in found for word in re.findall(r"[\w-]+", span)}


@pytest.mark.parametrize("where", ["top", "job", "step"])
def test_every_key_of_the_language_is_documented(where: str) -> None:
    assert sorted(keys(where).keys() - mentioned("pipelines.md", "compatibility.md")) == []


def test_the_changelog_has_this_version_on_top() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert versions[0] == __version__
