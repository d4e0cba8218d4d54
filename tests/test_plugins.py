"""Loading plugins: where they come from, and that a bad one harms nobody but itself."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli.plugins import command
from runner.errors import EXIT_INVALID, Problem
from runner.events import RunFinished, RunStarted
from runner.plugins import Plugins, load_plugins
from runner.plugins.installed import Installed, find_installed

HELLO = """\
from runner.plugin import PluginStep, hookimpl

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}

@hookimpl
def steps():
    return [PluginStep("hello", SCHEMA, print)]
"""

SINK = """\
from pathlib import Path
from runner.plugin import hookimpl

@hookimpl
def on_event(event):
    with Path(__file__).with_suffix(".txt").open("a") as file:
        file.write(type(event).__name__ + "\\n")
"""

EVENT = RunStarted(run=1, time=0.0, name="CI", file="ci.yaml", jobs=1)
END = RunFinished(run=1, time=1.0, result="success")

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's `plugins/`."""
    (tmp_path / "plugins").mkdir()
    return tmp_path / "plugins"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed distributions that is empty, and the only one with any."""
    (tmp_path / "site").mkdir()
    own = str(Path(__file__).parents[1])
    kept = [entry for entry in sys.path if entry == own or not list(Path(entry).glob("*-info"))]
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *kept])
    return tmp_path / "site"


def install(site: Path, name: str, source: str, version: str = "1.0", value: str = "") -> Path:
    """Put a distribution into `site` that has one module and an entry point for it."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[pipe]\n{name} = {value or name}\n")
    (site / f"{name}.py").write_text(source)
    return site / f"{name}.py"


def only(problems: list[Problem]) -> Problem:
    [problem] = problems
    return problem


# -- where plugins come from


def test_a_file_of_the_project_is_a_plugin(folder: Path, site: Path) -> None:
    (folder / "hello.py").write_text(HELLO)
    plugins = load_plugins(folder)
    assert plugins.problems == []
    assert plugins.steps["hello"].run is print
    assert plugins.schemas["steps"]["hello"]["properties"] == {"name": {"type": "string"}}
    [info] = plugins.described
    assert (info.name, info.source) == ("hello", str(folder / "hello.py"))
    assert (info.brings, info.hooks) == ({"steps": ("hello",)}, ("steps",))


def test_other_files_are_left_alone(folder: Path, site: Path) -> None:
    for name in ("_shared.py", "__init__.py", "notes.txt", "more/deep.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemExit('loaded')")
    (folder / "folder.py").mkdir()
    assert load_plugins(folder).described == []


@pytest.mark.parametrize("folder", [None, Path("/nowhere/plugins")])
def test_a_project_needs_no_plugins(folder: Path | None, site: Path) -> None:
    assert load_plugins(folder).described == []


def test_a_file_never_takes_the_name_of_something_installed(folder: Path, site: Path) -> None:
    (folder / "json.py").write_text(HELLO)
    assert load_plugins(folder).problems == []
    assert sys.modules["json"] is json
    assert "pipe_local_json" in sys.modules


def test_loading_leaves_nothing_in_the_project(folder: Path, site: Path) -> None:
    (folder / "hello.py").write_text(HELLO)
    load_plugins(folder)
    assert [path.name for path in folder.iterdir()] == ["hello.py"]


def test_a_distribution_brings_a_plugin(site: Path) -> None:
    install(site, "pipe_stranger_a", HELLO, version="2.5")
    [info] = load_plugins(None).described
    assert (info.name, info.source, info.version) == ("pipe_stranger_a", "pipe_stranger_a", "2.5")
    assert info.brings == {"steps": ("hello",)}


def test_an_entry_point_can_name_an_object(site: Path) -> None:
    source = "from runner.plugin import hookimpl\nclass Sink:\n    @hookimpl\n    def on_event(self): ...\n"
    install(site, "pipe_stranger_b", source + "sink = Sink()", value="pipe_stranger_b:sink")
    [info] = load_plugins(None).described
    assert (info.hooks, info.problems) == (("on_event",), ())


def test_a_plugin_in_its_own_checkout_is_loaded_once(site: Path) -> None:
    file = install(site, "pipe_stranger_c", HELLO)
    plugins = load_plugins(file.parent)
    assert [info.source for info in plugins.described] == ["pipe_stranger_c"]
    assert plugins.problems == []


# -- the note of what is installed


def test_what_is_installed_is_looked_up_once(site: Path, tmp_path: Path) -> None:
    install(site, "pipe_stranger_d", HELLO)
    expected = [Installed("pipe_stranger_d", "pipe_stranger_d", "pipe_stranger_d", "1.0")]
    assert find_installed(tmp_path / "cache") == expected
    note = tmp_path / "cache/plugins.json"
    note.write_text(note.read_text().replace('"1.0"', '"noted"'))
    assert [plugin.version for plugin in find_installed(tmp_path / "cache")] == ["noted"]


def test_another_distribution_is_seen(site: Path, tmp_path: Path) -> None:
    install(site, "pipe_stranger_e", HELLO)
    find_installed(tmp_path)
    os.utime(site, ns=(1, 1))
    install(site, "pipe_stranger_f", HELLO)
    names = [plugin.name for plugin in find_installed(tmp_path)]
    assert names == ["pipe_stranger_e", "pipe_stranger_f"]


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"key": 1, "plugins": 2}', "\xff"])
def test_a_damaged_note_is_written_anew(site: Path, tmp_path: Path, note: str) -> None:
    install(site, "pipe_stranger_g", HELLO)
    (tmp_path / "plugins.json").write_text(note, encoding="latin-1")
    assert [plugin.name for plugin in find_installed(tmp_path)] == ["pipe_stranger_g"]
    assert "pipe_stranger_g" in (tmp_path / "plugins.json").read_text()


def test_a_note_that_cannot_be_kept_is_no_error(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert find_installed(tmp_path / "file" / "cache") == []


# -- what can be wrong with a plugin

IMPORT = "from runner.plugin import PluginStep, hookimpl\n\n@hookimpl\n"


@pytest.mark.parametrize(
    ("source", "message", "line", "hint"),
    [
        ("x = 1\n1 / 0\n", "cannot be loaded: ZeroDivisionError: division by zero", 2, ""),
        ("def f():\n    import absent_module\nf()", "ModuleNotFoundError: No module named", 2, ""),
        ("x = 1\nx = = 2\n", "cannot be loaded: SyntaxError: invalid syntax", 2, ""),
        ("import sys\nsys.exit(7)", "cannot be loaded: SystemExit: 7", 2, ""),
        ("import json\njson.loads('{')", "cannot be loaded: JSONDecodeError", 2, ""),
        ("from runner.plugin import Stepp", "cannot import name 'Stepp'", 1, ""),
        (
            IMPORT + "def step():\n    return []",
            "has a hook `step`, which does not exist",
            3,
            "did you mean `steps`?",
        ),
        (
            IMPORT + "def deploy(release): ...",
            "has a hook `deploy`, which does not exist",
            3,
            "the hooks are: steps, targets, switches, checks, snapshots, notifiers, renderers,"
            " on_event",
        ),
        (
            IMPORT + "def on_event(evnt): ...",
            "has a hook `on_event` that does not fit",
            3,
            "it is called as `on_event(event)`",
        ),
        ("def steps():\n    return []", "has no hooks", 1, "write `@hookimpl` above `def steps`"),
        ("", "has no hooks", None, "write `@hookimpl` above `def steps`"),
        (IMPORT + "def steps():\n    return 1 / 0", "cannot say what steps it has: Zero", 5, ""),
        (IMPORT + "def steps():\n    return 7", "gives a list of PluginStep, not 7", 3, ""),
        (IMPORT + "def steps():\n    ...", "gives a list of PluginStep, not None", 3, ""),
        (IMPORT + "def steps():\n    return ['x']", "and 'x' is none", 3, ""),
        (
            IMPORT + "def steps():\n    return [PluginStep('a/b', {}, print)]",
            "`a/b` cannot be the name of a step",
            3,
            "",
        ),
        (
            IMPORT + "def steps():\n    return [PluginStep('a', [], print)]",
            "the schema of the step `a` is not a map",
            3,
            "",
        ),
        (
            IMPORT + "def steps():\n    return [PluginStep('a', {}, print)] * 2",
            "there are two steps `a`",
            3,
            "",
        ),
    ],
)
def test_a_broken_plugin_says_where(
    folder: Path, site: Path, source: str, message: str, line: int | None, hint: str
) -> None:
    (folder / "broken.py").write_text(source)
    (folder / "hello.py").write_text(HELLO)
    plugins = load_plugins(folder)
    problem = only(plugins.problems)
    assert message in problem.message
    assert f"plugin `broken` ({folder}/broken.py)" in problem.message
    assert problem.hint == hint
    place = problem.position
    assert (place and (place.file, place.line)) == (line and (str(folder / "broken.py"), line))
    assert list(plugins.steps) == ["hello"]


def test_a_broken_distribution_names_itself_and_its_line(site: Path) -> None:
    file = install(site, "pipe_stranger_h", "import json\n\njson.loads('')")
    problem = only(load_plugins(None).problems)
    assert "plugin `pipe_stranger_h` (pipe_stranger_h) cannot be loaded" in problem.message
    assert problem.position is not None
    assert (problem.position.file, problem.position.line) == (str(file), 3)


@pytest.mark.parametrize("value", ["pipe_absent_module", "json:absent", "json:dumps.absent"])
def test_an_entry_point_that_leads_nowhere_is_told(site: Path, value: str) -> None:
    install(site, "pipe_stranger_i", "", value=value)
    problem = only(load_plugins(None).problems)
    assert "plugin `pipe_stranger_i` (pipe_stranger_i) cannot be loaded" in problem.message


def test_two_plugins_with_one_step_are_both_named(folder: Path, site: Path) -> None:
    install(site, "pipe_stranger_j", HELLO)
    (folder / "other.py").write_text(HELLO)
    plugins = load_plugins(folder)
    problem = only(plugins.problems)
    first = "plugin `pipe_stranger_j` (pipe_stranger_j)"
    second = f"plugin `other` ({folder}/other.py)"
    assert problem.message == f"two plugins bring steps `hello`: {first} and {second}"
    assert [info.brings["steps"] for info in plugins.described] == [("hello",), ()]


# -- the sink


def test_events_reach_every_plugin(folder: Path, site: Path) -> None:
    for name in ("a", "b"):
        (folder / f"{name}.py").write_text(SINK)
    plugins = load_plugins(folder)
    plugins.emit(EVENT)
    plugins.emit(END)
    for name in ("a", "b"):
        assert (folder / f"{name}.txt").read_text() == "RunStarted\nRunFinished\n"


def test_a_sink_that_fails_is_reported_once_and_left_out(folder: Path, site: Path) -> None:
    (folder / "bad.py").write_text(SINK + "    raise ValueError('no')\n")
    (folder / "good.py").write_text(SINK)
    reported: list[Problem] = []
    plugins = load_plugins(folder, report=reported.append)
    for event in (EVENT, END, END):
        plugins.emit(event)
    assert (folder / "bad.txt").read_text() == "RunStarted\n"
    assert (folder / "good.txt").read_text() == "RunStarted\nRunFinished\nRunFinished\n"
    problem = only(reported)
    assert plugins.problems == [problem]
    assert problem.message.endswith(
        "bad.py) failed on the event RunStarted and hears of no more: ValueError: no"
    )
    assert problem.position is not None
    assert (problem.position.line, problem.severity) == (8, "warning")


def test_a_sink_is_never_called_twice_at_once(folder: Path, site: Path) -> None:
    source = """\
import threading
from runner.plugin import hookimpl

busy = threading.Lock()

@hookimpl
def on_event(event):
    if not busy.acquire(blocking=False):
        raise RuntimeError("overlapping calls")
    threading.Event().wait(0.001)
    busy.release()
"""
    (folder / "sink.py").write_text(source)
    plugins = load_plugins(folder)
    threads = [threading.Thread(target=emit_often, args=(plugins,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plugins.problems == []


def emit_often(plugins: Plugins) -> None:
    for _ in range(20):
        plugins.emit(EVENT)


# -- what it costs

MEASURE = """\
import sys, time
from pathlib import Path
import runner.plugin
assert "pluggy" not in sys.modules
before = time.process_time()
from runner.plugins import load_plugins
plugins = load_plugins(None, Path(sys.argv[1]))
print((time.process_time() - before) * 1000)
assert {"image", "template"} <= set(plugins.steps), plugins.described
heavy = {"docker", "requests", "jinja2", "importlib.metadata", "yaml", "click"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_loading_the_built_in_plugins_is_cheap(tmp_path: Path) -> None:
    for _ in range(2):
        argv = [sys.executable, "-c", MEASURE, str(tmp_path)]
        ended = subprocess.run(argv, capture_output=True, text=True, check=True)
        milliseconds, loaded = ended.stdout.split("\n")[:2]
    assert loaded == ""
    assert float(milliseconds) < 150


# -- the command


def test_the_command_lists_plugins(
    folder: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "pipelines").mkdir()
    install(site, "pipe_stranger_k", SINK, version="3.1")
    (folder / "hello.py").write_text(HELLO)
    ended = CliRunner().invoke(command)
    lines = [line.split() for line in ended.output.splitlines()]
    assert lines == [
        ["NAME", "SOURCE", "VERSION", "BRINGS", "HEARS"],
        ["pipe_stranger_k", "pipe_stranger_k", "3.1", "-", "on_event"],
        ["hello", str(folder / "hello.py"), "-", "steps", "hello", "-"],
    ]
    assert ended.exit_code == 0


def test_the_command_shows_problems(
    folder: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "pipelines").mkdir()
    (folder / "broken.py").write_text("1 / 0")
    text, data = CliRunner().invoke(command), CliRunner().invoke(command, ["--json"])
    assert f"{folder}/broken.py:1:1: error[plugin]: plugin `broken`" in text.output
    assert (text.exit_code, data.exit_code) == (EXIT_INVALID, EXIT_INVALID)
    [entry] = json.loads(data.output)["plugins"]
    assert (entry["name"], entry["steps"], entry["hooks"]) == ("broken", [], [])
    assert entry["problems"][0]["line"] == 1


def test_without_plugins_the_command_says_so(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(command).output == "no plugins\n"
