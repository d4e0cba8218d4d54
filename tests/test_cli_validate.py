"""`pipe validate` and `pipe graph`, called as commands, and how problems are drawn."""

import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner, Result

from runner.actions.fetch import ActionStore
from runner.cli import graph, validate
from runner.cli.loading import load_pipeline
from runner.cli.local_actions import ProjectActions
from runner.cli.problems import render, show, to_json
from runner.errors import InvalidInputError, Position, Problem
from runner.source import read
from tests.conftest import RunPipe

ROOT = Path(__file__).parents[1]
GOOD = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: make
"""
BAD = GOOD.replace("run: make", "run: echo ${{ github.event.issue.title }} ${{ nope() }}")
WARNED = GOOD.replace("run: make", "run: echo ${{ github.event.issue.title }}")
BROKEN = GOOD.replace("runs-on", "defaults: {run: {shell: bsh}}\n    runs-onn").replace(
    "make", "echo ${{ nope() }}"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: str, text: str) -> None:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def call(command: click.Command, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# -- validate --


@pytest.mark.parametrize(
    ("text", "exit_code", "verdict"),
    [
        (GOOD, 0, "p.yaml: valid, 1 job"),
        (WARNED, 0, "p.yaml: valid, 1 warning, 1 job"),
        (BAD, 2, "p.yaml: 1 error, 1 warning, 1 job"),
        ("jobs: [", 2, "p.yaml: 1 error"),
    ],
    ids=["good", "warned", "bad", "no YAML"],
)
def test_verdict_and_exit_code(text: str, exit_code: int, verdict: str) -> None:
    write("p.yaml", text)
    result = call(validate.command, "p.yaml")
    assert result.exit_code == exit_code
    assert result.stdout.splitlines()[-1] == verdict


def test_what_is_no_pipeline_is_checked_as_far_as_it_goes() -> None:
    write("p.yaml", BROKEN)
    shown = call(validate.command, "p.yaml").stdout
    assert "error[unknown-key]" in shown
    assert "error[expression]: unknown function `nope`" in shown
    assert "error[invalid-shell]" in shown
    assert shown.splitlines()[-1] == "p.yaml: 3 errors"


def test_a_run_is_refused_with_all_that_validate_says() -> None:
    write("p.yaml", BROKEN)
    with pytest.raises(InvalidInputError) as refusal:
        load_pipeline("p.yaml", Path())
    codes = [problem.code for problem in refusal.value.problems]
    assert codes == ["invalid-shell", "unknown-key", "expression"]


def test_source_and_caret_are_shown_also_when_yaml_cannot_be_read() -> None:
    write("p.yaml", "jobs:\n  build: @\n")
    shown = call(validate.command, "p.yaml").stdout.splitlines()
    assert shown[0].startswith("p.yaml:2:10: error[")
    assert shown[1] == "    2 |   build: @"
    assert shown[2].startswith("      |          ^")


def test_without_files_everything_in_the_project_is_checked() -> None:
    write("pipelines/b.yml", GOOD)
    write("pipelines/a.yaml", BAD)
    write("pipelines/pipe.yaml", "# configuration")
    write(".github/workflows/ci.yml", GOOD)
    result = call(validate.command)
    assert result.exit_code == 2
    assert [line.split(":")[0] for line in result.stdout.splitlines()[-3:]] == [
        "pipelines/a.yaml",
        "pipelines/b.yml",
        ".github/workflows/ci.yml",
    ]


def test_folder_bare_name_and_path_are_found_once() -> None:
    write("pipelines/deploy.yaml", GOOD)
    result = call(validate.command, "pipelines", "deploy", "pipelines/deploy.yaml")
    assert result.stdout == "pipelines/deploy.yaml: valid, 1 job\n"


@pytest.mark.parametrize("arguments", [[], ["."], ["deploi"]])
def test_nothing_to_check_is_an_error(arguments: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="there is no pipeline"):
        call(validate.command, *arguments)


@pytest.mark.parametrize("option", ["--json", "--format=json"])
def test_json(option: str) -> None:
    write("good.yaml", GOOD)
    write("bad.yaml", BAD)
    result = call(validate.command, option, "good.yaml", "bad.yaml")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["valid"] is False
    good, bad = report["files"]
    assert good == {"file": "good.yaml", "valid": True, "jobs": 1, "problems": []}
    assert [(p["severity"], p["code"], p["line"], p["column"]) for p in bad["problems"]] == [
        ("warning", "script-injection", 6, 23),
        ("error", "expression", 6, 55),
    ]


PLUGIN = """\
from runner.plugin import PluginStep, hookimpl


@hookimpl
def steps():
    return [PluginStep("greet", {"required": ["name"]}, lambda call: None)]
"""


def test_steps_of_plugins_are_known_and_what_is_passed_to_them_is_checked() -> None:
    write("plugins/greet.py", PLUGIN)
    write("pipelines/p.yaml", GOOD.replace("run: make", "uses: greet\n      - uses: gret"))
    shown = call(validate.command).stdout
    assert "p.yaml:6:9: error[missing-key]" in shown
    assert "p.yaml:7:15: error[unknown-step]: no plugin brings a step named `gret`" in shown
    assert "did you mean `greet`?" in shown


def test_a_broken_plugin_is_told_apart_from_the_pipelines() -> None:
    write("plugins/greet.py", "import nowhere_to_be_found\n")
    write("pipelines/p.yaml", GOOD)
    result = call(validate.command, "--json")
    assert json.loads(result.stdout)["valid"] is True
    assert "nowhere_to_be_found" in result.stderr


def test_strict_says_more_and_lets_no_warning_pass() -> None:
    write("p.yaml", WARNED.replace("jobs:", "permissions: {}\njobs:"))
    write("q.yaml", GOOD)
    assert call(validate.command, "p.yaml", "q.yaml").exit_code == 0
    strict = call(validate.command, "--strict", "p.yaml", "q.yaml")
    assert strict.exit_code == 2
    assert strict.stdout.splitlines()[-2:] == [
        "p.yaml: 1 warning, 1 job",
        "q.yaml: 1 warning, 1 job",
    ]
    assert "warning[missing-permissions]" in strict.stdout
    assert (
        json.loads(call(validate.command, "--strict", "--json", "q.yaml").stdout)["valid"] is False
    )
    write("q.yaml", GOOD.replace("jobs:", "permissions: {}\njobs:"))
    assert call(validate.command, "--strict", "q.yaml").stdout == "q.yaml: valid, 1 job\n"


def test_sarif() -> None:
    write("a folder/p.yaml", BAD)
    write("broken.yaml", "jobs: [")
    result = call(validate.command, "--format=sarif", "a folder/p.yaml", "broken.yaml")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["version"] == "2.1.0"
    [run] = report["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "pipe"
    assert all(
        rule["shortDescription"]["text"] and rule["help"]["text"] for rule in driver["rules"]
    )
    for found in run["results"]:
        assert driver["rules"][found["ruleIndex"]]["id"] == found["ruleId"]
        assert found["message"]["text"]
        assert found["level"] in ("error", "warning")
    first = run["results"][0]
    assert first["ruleId"] == "script-injection"
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a%20folder/p.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 6, "startColumn": 23, "endColumn": 47},
            }
        }
    ]
    assert {found["ruleId"] for found in run["results"]} >= {"yaml-syntax", "expression"}


def test_a_file_without_problems_is_in_sarif_a_run_without_results() -> None:
    write("p.yaml", GOOD)
    [run] = json.loads(call(validate.command, "--format=sarif", "p.yaml").stdout)["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_annotations_of_github() -> None:
    write("a,b.yaml", BAD)
    result = call(validate.command, "--format=github", "a,b.yaml")
    assert result.exit_code == 2
    first, second, verdict = result.stdout.splitlines()
    assert first == (
        "::warning file=a%2Cb.yaml,line=6,col=23,endColumn=47,title=script-injection::"
        "`github.event.issue.title` may hold anything, and here it becomes part of the script"
        "%0Apass it through `env:` and use the variable, in quotes"
    )
    assert second.startswith(
        "::error file=a%2Cb.yaml,line=6,col=55,endColumn=59,title=expression::"
    )
    assert verdict == "a,b.yaml: 1 error, 1 warning, 1 job"


def test_what_stands_in_a_file_is_no_command_for_githubs_runner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("p.yaml", GOOD.replace("make", "echo '##[set-output name=a]b' ${{ nope() }}"))
    assert "##[set-output" in call(validate.command, "p.yaml").stdout
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    shown = call(validate.command, "p.yaml").stdout
    assert "##[" not in shown
    assert "##[" in shown.replace("\u200b", "")
    assert "##[" not in call(validate.command, "--json", "p.yaml").stdout


ACTION = """\
inputs:
  name: {required: true}
  level: {required: true, default: 1}
  arch:
runs: {using: composite, steps: []}
"""


def test_steps_are_held_against_the_actions_of_the_project() -> None:
    write(".github/actions/greet/action.yaml", ACTION)
    steps = "uses: ./.github/actions/greet\n        with: {aarch: x}\n      - uses: ./nowhere"
    write("pipelines/p.yaml", GOOD.replace("run: make", steps))
    shown = call(validate.command).stdout
    assert "p.yaml:6:15: warning[missing-action-input]" in shown
    assert "needs the input `name`" in shown
    assert "did you mean `arch`?" in shown
    assert shown.splitlines()[-1] == "pipelines/p.yaml: valid, 2 warnings, 1 job"


@pytest.mark.parametrize("text", ["inputs: [", "[]", "runs: {}\ninputs: [a]", "name: x"])
def test_what_is_no_action_is_left_to_the_run(text: str) -> None:
    write("action.yml", text)
    write("pipelines/p.yaml", GOOD.replace("run: make", "uses: ./\n        with: {a: x}"))
    assert call(validate.command).stdout == "pipelines/p.yaml: valid, 1 job\n"


def test_an_action_outside_of_the_project_is_not_read(folder: Path) -> None:
    write("action.yml", ACTION)
    (folder / "project" / "linked").mkdir(parents=True)
    (folder / "project" / "linked" / "action.yml").symlink_to(folder / "action.yml")
    store = ActionStore(folder / "home", offline=True)
    actions = ProjectActions(folder / "project", store)
    assert actions("./..") is actions("./linked") is None
    assert ProjectActions(folder, store)("./") is not None


# -- as a hook of pre-commit --


def test_the_hook_checks_what_it_is_for(run_pipe: RunPipe) -> None:
    [hook] = read(ROOT / ".pre-commit-hooks.yaml").data
    assert (hook["id"], hook["language"]) == ("pipe-validate", "python")
    taken = [
        name
        for name in (
            "pipelines/ci.yaml",
            ".github/workflows/ci.yml",
            "pipelines/pipe.yaml",
            "docs/ci.yaml",
            "pipelines/notes.md",
        )
        if re.search(hook["files"], name) and not re.search(hook["exclude"], name)
    ]
    assert taken == ["pipelines/ci.yaml", ".github/workflows/ci.yml"]
    write(taken[0], BAD)
    write(taken[1], GOOD)
    program, *arguments = shlex.split(hook["entry"])
    assert program == "pipe"
    assert run_pipe(*arguments, taken[1]).exit_code == 0
    assert run_pipe(*arguments, *taken).exit_code == 2


# -- graph --

CHAIN = """\
name: Ship it
on: [push, workflow_dispatch]
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: make}]
  lint:
    runs-on: ubuntu-latest
    steps: [{run: make}]
  test:
    needs: BUILD
    strategy:
      matrix:
        os: [debian, alpine]
        python: [3, 4]
    runs-on: ubuntu-latest
    steps: [{run: make}]
  end:
    needs: [lint, test]
    if: ${{ github.ref == 'refs/heads/main' && "quoted" != '<x>' }}
    strategy:
      matrix: ${{ fromJSON(vars.MATRIX) }}
    runs-on: ubuntu-latest
    steps: [{run: make}]
""".replace('"quoted"', "'#1'")


def test_graph_as_text() -> None:
    write("p.yaml", CHAIN)
    assert (
        call(graph.command, "p.yaml").stdout
        == """\
Ship it (on push, workflow_dispatch)

  1  build
     lint
  2  test ×4  after build
  3  end ×?   after lint, test  if github.ref == 'refs/heads/main' && '#1' != '<x>'
"""
    )


def test_only_the_run_knows_how_many_jobs_a_strategy_from_an_expression_makes() -> None:
    write("p.yaml", GOOD.replace("runs-on", "strategy: ${{ fromJSON(vars.S) }}\n    runs-on"))
    assert call(graph.command, "p.yaml").stdout.splitlines()[-1] == "  1  build ×?"


def test_graph_as_mermaid() -> None:
    write("p.yaml", CHAIN)
    assert (
        call(graph.command, "p.yaml", "--format", "mermaid").stdout
        == """\
flowchart LR
    j1["build"]
    j2["lint"]
    j3["test ×4"]
    j4["end ×?<br/>if github.ref == 'refs/heads/main' && '#35;1' != '#lt;x#gt;'"]
    j1 --> j3
    j2 --> j4
    j3 --> j4
"""
    )


SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> ET.Element:
    write("p.yaml", text)
    first, second = (call(graph.command, "p.yaml", "--format", "svg").stdout for _ in range(2))
    assert first == second
    return ET.fromstring(first)


def rectangles(picture: ET.Element) -> dict[str, tuple[int, ...]]:
    """Left, top, right, bottom of each box, by its name."""
    found: dict[str, tuple[int, ...]] = {}
    for group in picture.findall(f"{SVG}g/{SVG}g"):
        box, name = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert box is not None
        assert name is not None
        x, y, width, height = (int(box.get(key, "")) for key in ("x", "y", "width", "height"))
        found[name.text or ""] = (x, y, x + width, y + height)
    return found


def test_graph_as_svg() -> None:
    picture = drawn(CHAIN.replace("Ship it", "Ship <it> & more"))
    title = picture.find(f"{SVG}title")
    assert title is not None
    assert title.text == "Ship <it> & more (on push, workflow_dispatch)"
    assert "prefers-color-scheme: dark" in (picture.findtext(f"{SVG}style") or "")
    boxes = rectangles(picture)
    assert list(boxes) == ["build", "lint", "test ×4", "end ×?"]
    assert boxes["build"][2] < boxes["test ×4"][0] < boxes["test ×4"][2] < boxes["end ×?"][0]
    assert len(picture.findall(f"{SVG}g/{SVG}path[@class='way']")) == 3
    assert "if github.ref == 'refs/heads/main' && '#1' != '<x>'" in "".join(picture.itertext())


def test_boxes_of_a_picture_lie_apart_and_inside() -> None:
    jobs = {f"j{n}": [f"j{m}" for m in range(n) if (n * m) % 3 == 1] for n in range(14)}
    lines = [
        f"  {job}: {{runs-on: x, needs: {needs}, steps: [{{run: x}}]}}"
        for job, needs in jobs.items()
    ]
    picture = drawn("on: push\njobs:\n" + "\n".join(lines).replace("'", ""))
    boxes = rectangles(picture)
    assert len(boxes) == len(jobs)
    width, height = int(picture.get("width", "")), int(picture.get("height", ""))
    for one, a in boxes.items():
        assert a[0] >= 0
        assert a[1] >= 0
        assert (a[2], a[3]) < (width, height)
        for other, b in boxes.items():
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert one == other or apart
    assert len(picture.findall(f"{SVG}g/{SVG}path[@class='way']")) == sum(map(len, jobs.values()))


def test_a_picture_holds_no_more_of_a_file_than_text() -> None:
    name = '"</title><script>alert(1)</script>\\x07"'
    picture = drawn(f"name: {name}\n{GOOD}")
    assert picture.findall(f".//{SVG}script") == []


def test_permissions_and_calls_are_shown() -> None:
    called = "    uses: ./.github/workflows/docs.yml\n"
    granted = "    permissions: {pages: write, contents: read}\n"
    write("p.yaml", f"permissions: read-all\n{GOOD}  docs:\n{called}{granted}")
    shown = call(graph.command, "p.yaml").stdout
    assert shown.splitlines()[1] == "permissions read-all"
    assert "calls ./.github/workflows/docs.yml  permissions pages: write, contents: read" in shown
    assert "calls ./.github" in call(graph.command, "p.yaml", "--format", "mermaid").stdout


def test_an_unknown_scope_has_a_hint() -> None:
    write("p.yaml", f"permissions: {{contentz: read}}\n{GOOD}")
    assert "did you mean `contents`?" in call(validate.command, "p.yaml").stdout


@pytest.mark.parametrize(
    ("change", "code"),
    [(("BUILD", "biuld"), "unknown-job"), (("[debian, alpine]", "[]"), "empty")],
)
def test_what_has_no_order_is_refused(change: tuple[str, str], code: str) -> None:
    write("p.yaml", CHAIN.replace(*change))
    with pytest.raises(InvalidInputError) as refusal:
        call(graph.command, "p.yaml")
    assert [problem.code for problem in refusal.value.problems] == [code]


def test_a_long_condition_is_cut() -> None:
    write("p.yaml", GOOD.replace("runs-on", f"if: github.ref == '{'x' * 80}'\n    runs-on"))
    last = call(graph.command, "p.yaml").stdout.splitlines()[-1]
    assert last == f"  1  build  if github.ref == '{'x' * 44}…"


# -- problems --


@pytest.mark.parametrize(
    ("line", "column", "length", "shown"),
    [
        ("needs: [biuld]", 9, 5, ["needs: [biuld]", "        ^^^^^"]),
        ("\tname: x", 2, 4, ["\tname: x", "\t^^^^"]),
        ("名前: x", 1, 2, ["名前: x", "^^^^"]),
        ("名前: x", 5, 1, ["名前: x", "      ^"]),
        ("e\u0301a: x", 3, 1, ["e\u0301a: x", " ^"]),
        ("run: \x1b[31mred", 6, 1, ["run: \ufffd[31mred", "     ^"]),
        ("a\u202eb: x", 3, 1, ["a\ufffdb: x", "  ^"]),
        ("\u2764\ufe0f: x", 3, 1, ["\u2764\ufe0f: x", " ^"]),
        ("short", 3, 99, ["short", "  ^^^"]),
        ("x" * 300, 200, 3, ["…" + "x" * 160 + "…", " " * 61 + "^^^"]),
    ],
    ids=[
        "plain",
        "tab",
        "wide",
        "after wide",
        "accent",
        "escape",
        "reordered",
        "variation",
        "beyond",
        "long",
    ],
)
def test_caret_stands_under_its_place(
    line: str, column: int, length: int, shown: list[str]
) -> None:
    problem = Problem("code", "message", Position("p.yaml", 1, column, length), "hint")
    head, source, caret = render([problem], {"p.yaml": line}, color=False).split("\n")
    assert head == f"p.yaml:1:{column}: error[code]: message"
    assert source == f"    1 | {shown[0]}".rstrip()
    assert caret == f"      | {shown[1]} hint"


def test_a_problem_without_source_has_its_hint_below() -> None:
    nowhere = Problem("code", "message", hint="do this")
    unread = Problem("code", "message", Position("p.yaml", 9, 1))
    assert render([nowhere, unread], {"p.yaml": "one line"}, color=False) == (
        "error[code]: message\n      hint: do this\np.yaml:9:1: error[code]: message"
    )


def test_color_marks_severity_and_carets() -> None:
    problem = Problem("code", "message", Position("p.yaml", 1, 1), severity="warning")
    shown = render([problem], {"p.yaml": "x"}, color=True)
    assert shown.count("\x1b[33m\x1b[1m") == 2
    assert click.unstyle(shown) == render([problem], {"p.yaml": "x"}, color=False)


def test_problems_are_shown_with_the_file_they_are_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("p.yaml", "name: x\n")
    (folder / "deeper").mkdir()
    monkeypatch.chdir(folder / "deeper")
    show([Problem("a", "one", Position("p.yaml", 1, 7)), Problem("b", "two", Position("no", 1, 1))])
    assert capsys.readouterr().err.splitlines() == [
        "p.yaml:1:7: error[a]: one",
        "    1 | name: x",
        "      |       ^",
        "no:1:1: error[b]: two",
    ]


def test_problems_as_json() -> None:
    placed = Problem("code", "message", Position("p.yaml", 3, 4, 5), "hint", "warning")
    assert to_json([placed, Problem("other", "text")]) == [
        {
            "severity": "warning",
            "code": "code",
            "message": "message",
            "hint": "hint",
            "file": "p.yaml",
            "line": 3,
            "column": 4,
            "length": 5,
        },
        {
            "severity": "error",
            "code": "other",
            "message": "text",
            "hint": "",
            "file": None,
            "line": None,
            "column": None,
            "length": None,
        },
    ]


def test_environments_that_nobody_knows() -> None:
    write("ship.yaml", GOOD.replace("    runs-on", "    environment: prodction\n    runs-on"))
    write("pipe.yaml", "environments: {production: }\n")
    shown = call(validate.command, "ship.yaml").output
    assert "ship.yaml:4:18: warning[unknown-environment]" in shown
    assert "did you mean `production`?" in shown
    write("pipe.yaml", "vars: {A: 1}\n")
    assert "warning[" not in call(validate.command, "ship.yaml").output
