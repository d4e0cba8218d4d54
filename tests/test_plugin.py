"""The plugin API: every hook does what its page says, and the page says all of it."""

import inspect
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from runner import events, plugin
from runner.delivery.call import Nowhere
from runner.delivery.machines import machine
from runner.lint import Brought, lint
from runner.parse import parse
from runner.plugin import (
    HOOKS,
    CheckCall,
    Completed,
    DeliveryCall,
    Hooks,
    Machine,
    PluginNotifier,
    PluginRenderer,
    PluginSnapshot,
    PluginStep,
    PluginSwitch,
    StepCall,
    failed,
    hook_manager,
    hookimpl,
)
from runner.plugins import load_plugins
from runner.source import load
from runner.testing import check_call, delivery_call
from runner.testing.targets import target_holds

PAGE = (Path(__file__).parents[1] / "docs/plugins.md").read_text(encoding="utf-8")
EVENT = events.RunStarted(run=1, time=0.0, name="CI", file="ci.yaml", jobs=1)


def blocks(language: str) -> list[str]:
    """The code blocks of the page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


# -- hooks


def test_hook_steps(tmp_path: Path) -> None:
    (tmp_path / "announce.py").write_text(blocks("python")[0])
    plugins = load_plugins(tmp_path)
    step = plugins.steps["announce"]
    assert plugins.problems == []
    assert step.schema["required"] == ["text"]
    assert inspect.signature(step.run).parameters["call"].annotation is StepCall


def test_hook_on_event(tmp_path: Path) -> None:
    source = blocks("python")[1].replace("/var/tmp", str(tmp_path))
    (tmp_path / "history.py").write_text(source)
    plugins = load_plugins(tmp_path)
    plugins.emit(EVENT)
    assert plugins.problems == []
    assert (tmp_path / "history.txt").read_text() == f"{events.to_json(EVENT)}\n"


def test_hook_checks(tmp_path: Path) -> None:
    (tmp_path / "backlog.py").write_text(blocks("python")[2])
    (tmp_path / "queue.txt").write_text("a job\n" * 10)
    plugins = load_plugins(tmp_path)
    assert plugins.problems == []
    around = Beside(tmp_path)
    call = check_call(tmp_path, around, with_={"file": str(tmp_path / "queue.txt")})
    assert plugins.checks["backlog"].run(call) == failed("10 wait")


def test_hook_targets(tmp_path: Path) -> None:
    (tmp_path / "folder.py").write_text(blocks("python")[3])
    (tmp_path / "served").mkdir()
    plugins = load_plugins(tmp_path)
    assert plugins.problems == []
    one, two = ({"to": str(tmp_path / "served"), "text": text} for text in ("one", "two"))
    target_holds(plugins.targets["folder"], one, two, lambda key: delivery_call(tmp_path, key=key))


@pytest.mark.parametrize(
    ("hook", "kind"),
    [
        ("switches", PluginSwitch),
        ("snapshots", PluginSnapshot),
        ("notifiers", PluginNotifier),
        ("renderers", PluginRenderer),
    ],
)
def test_other_hooks(tmp_path: Path, hook: str, kind: type) -> None:
    source = f"""
from runner.plugin import {kind.__name__}, hookimpl

@hookimpl
def {hook}():
    return [{kind.__name__}("mine", {{"type": "object"}}, print)]
"""
    (tmp_path / "mine.py").write_text(source)
    plugins = load_plugins(tmp_path)
    assert plugins.problems == []
    assert isinstance(getattr(plugins, hook)["mine"], kind)


class Beside(Nowhere):
    """Surroundings whose job is a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def machine(self, name: str) -> Machine:
        return machine("local", allow_local=True, control=self._folder)


def test_every_hook_has_a_test() -> None:
    assert set(HOOKS) == {name for name in vars(Hooks) if not name.startswith("_")}
    for name in HOOKS:
        others = ("switches", "snapshots", "notifiers", "renderers")  # in `test_other_hooks`
        assert name in others or f"test_hook_{name}" in globals()


def test_hooks_may_take_less_than_they_are_given() -> None:
    heard: list[str] = []

    class Sink:
        @hookimpl
        def on_event(self) -> None:
            heard.append("event")

    manager = hook_manager()
    manager.register(Sink())
    manager.hook.on_event(event=EVENT)
    assert heard == ["event"]


# -- the page


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_on_the_page_with_its_signature(hook: str) -> None:
    [section] = re.findall(rf"^### `{hook}`\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    source = inspect.getsource(getattr(Hooks, hook))
    signature = re.search(r"def .*?:$", source, re.MULTILINE)
    assert signature is not None
    assert section.strip() == f"{signature.group()} ..."


@pytest.mark.parametrize("noun", [StepCall, PluginStep, Completed, DeliveryCall, CheckCall])
def test_every_member_is_on_the_page(noun: type) -> None:
    for name in (field.name for field in fields(noun)) if is_dataclass(noun) else vars(noun):
        assert name.startswith("_") or re.search(rf"`{name}[(:`]", PAGE), name


def test_every_event_is_on_the_page_and_can_be_imported() -> None:
    inherited = {"run", "time", "job", "attempt", "step"}
    for name, kind in events.EVENT_TYPES.items():
        [row] = re.findall(rf"^\| `{name}` \| (.*) \|$", PAGE, re.MULTILINE)
        own = {field.name for field in fields(kind)} - inherited
        assert own <= set(re.findall(r"`(\w+)`", row)), name
        assert getattr(plugin, name) is kind
        assert name in plugin.__all__


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_pipeline_on_the_page_is_valid(tmp_path: Path, text: str) -> None:
    (tmp_path / "announce.py").write_text(blocks("python")[0])
    (tmp_path / "backlog.py").write_text(blocks("python")[2])
    document = load(text, "docs.yaml")
    assert lint(parse(document), document, Brought(**load_plugins(tmp_path).schemas)) == []


# -- what it costs


def test_importing_the_api_loads_no_library() -> None:
    loads = (
        "import sys; import runner.plugin; assert 'pluggy' not in sys.modules; "
        "from runner.plugin import hookimpl; assert 'pluggy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", loads], check=True)


def test_a_name_that_does_not_exist_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match=r"'runner\.plugin' has no attribute 'hookspec'"):
        getattr(plugin, "hookspec")  # noqa: B009 - the type checker knows that it is not there
