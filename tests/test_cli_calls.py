"""Commands on pipelines that call others: what is read, checked, shown, and run again."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli import group
from runner.cli.called import Reader
from runner.cli.loading import load_pipeline
from runner.errors import InvalidInputError
from runner.parse.targets import Remote
from tests.conftest import RunPipe
from tests.test_cli_run import ended

MAIN = """\
on: push
jobs:
  first:
    runs-on: small
    steps:
      - run: echo first
  call:
    needs: first
    uses: ./pipelines/x.yaml
    with: {level: full}
    secrets: inherit
  named:
    uses: ./pipelines/x.yaml
    with: {level: quick}
    secrets: {TOKEN: "${{ secrets.OTHER }}"}
"""
CALLED = """\
on:
  workflow_call:
    inputs:
      level: {type: string, required: true}
    secrets:
      TOKEN:
jobs:
  build:
    runs-on: small
    steps:
      - name: Build
        env: {LEVEL: "${{ inputs.level }}", TOKEN: "${{ secrets.TOKEN }}"}
        run: echo "$LEVEL"
  test:
    needs: build
    runs-on: small
    steps:
      - name: Test
        run: '[ "$PASS" = yes ]'
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("pipelines/main.yaml", MAIN)
    write("pipelines/x.yaml", CALLED)
    write("pipe.yaml", "images:\n  small: pipe-test/busybox:1\n")
    return tmp_path


def write(file: str, text: str) -> None:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def pipe(*arguments: str) -> Result:
    result = CliRunner().invoke(group, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_dry_run_shows_the_jobs_of_calls_as_far_as_they_are_known() -> None:
    assert pipe("run", "main", "--dry-run").stdout == (
        "first\n"
        "    echo first\n"
        "call  needs first  calls pipelines/x.yaml"
        "  (what it runs is known when its needs are done)\n"
        "named  calls pipelines/x.yaml\n"
        "named / build\n"
        "    Build\n"
        "named / test  needs build  (matrix and name are known when its needs are done)\n"
        "    Test\n"
    )


def test_one_call_can_be_run_alone() -> None:
    shown = pipe("run", "main", "--dry-run", "-j", "NAMED").stdout
    assert [line for line in shown.splitlines() if line[0] != " "] == [
        "named  calls pipelines/x.yaml",
        "named / build",
        "named / test  needs build  (matrix and name are known when its needs are done)",
    ]


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ([], "`OTHER`, `TOKEN`"),
        (["-j", "named"], "`OTHER`"),
        (["-j", "call"], "`TOKEN`"),
        (["-s", "TOKEN=1", "-s", "OTHER=2"], ""),
    ],
)
def test_secrets_are_missed_where_the_user_would_give_them(
    arguments: list[str], missing: str
) -> None:
    warned = pipe("run", "main", "--dry-run", *arguments).stderr
    assert (f"and so empty: {missing}\n" in warned) if missing else not warned


def test_what_cannot_run_in_a_called_pipeline_is_refused_there() -> None:
    write("pipelines/x.yaml", CALLED + "    snapshot: mine\n")
    with pytest.raises(InvalidInputError) as caught:
        pipe("run", "main", "--dry-run")
    assert [str(each.position) for each in caught.value.problems] == ["pipelines/x.yaml:20:5"]


def test_what_a_call_runs_is_known_when_it_has_its_group() -> None:
    write("pipelines/main.yaml", MAIN + "    concurrency: one\n")
    assert "(what it runs is known when it starts)" in pipe("run", "main", "--dry-run").stdout


def test_a_called_file_that_changes_is_checked_again() -> None:
    assert load_pipeline("main", Path()).warnings == ()
    assert load_pipeline("main", Path()).pipeline.called["pipelines/x.yaml"].interface
    write("pipelines/x.yaml", CALLED.replace("level", "depth"))
    with pytest.raises(InvalidInputError) as caught:
        load_pipeline("main", Path())
    assert {problem.code for problem in caught.value.problems} == {
        "missing-input",
        "undeclared-input",
    }


def test_validate_judges_what_is_called_too() -> None:
    shown = pipe("validate", "pipelines/main.yaml").stdout.splitlines()
    assert shown == ["pipelines/main.yaml: valid, 3 jobs", "pipelines/x.yaml: valid, 2 jobs"]


def test_validate_tells_what_is_wrong_with_a_call_once() -> None:
    write("pipelines/main.yaml", MAIN.replace("./pipelines/x.yaml", "./pipelines/y.yaml"))
    write("pipelines/z.yaml", CALLED.replace("level", "other").replace("TOKEN", "KEY"))
    write("pipelines/y.yaml", "on: workflow_call\njobs: {a: {uses: ./pipelines/z.yaml}}\n")
    result = pipe("validate", "--json")
    files = {each["file"]: each for each in json.loads(result.stdout)["files"]}
    assert {file: [p["code"] for p in each["problems"]] for file, each in files.items()} == {
        "pipelines/main.yaml": ["undeclared-input", "undeclared-input", "undeclared-secret"],
        "pipelines/x.yaml": [],
        "pipelines/y.yaml": ["missing-input"],
        "pipelines/z.yaml": [],
    }


def test_validate_names_called_files_from_where_it_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    write("pipelines/x.yaml", "jobs: [")
    monkeypatch.chdir("pipelines")
    result = pipe("validate", "main.yaml")
    assert result.exit_code == 2
    assert result.stdout.splitlines()[-2:] == ["main.yaml: valid, 3 jobs", "x.yaml: 1 error"]


# -- reading --


class Elsewhere:
    """Other repositories: one file each time it is asked, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, wanted: Remote) -> tuple[str, str]:
        self.asked.append(str(wanted))
        return "on: workflow_call", "c0ffee"


def test_all_files_of_another_repository_are_of_one_commit() -> None:
    sources = Elsewhere()
    read = Reader(Path(), sources)
    documents = [
        read(name)
        for name in ("owner/name/x.yml@v1", "owner/name/a/y.yml@v1", "owner/name/x.yml@v2")
    ]
    assert sources.asked == [
        "owner/name/x.yml@v1",
        "owner/name/a/y.yml@c0ffee",
        "owner/name/x.yml@v2",
    ]
    assert [document.file for document in documents if document] == [
        "owner/name/x.yml@v1",
        "owner/name/a/y.yml@v1",
        "owner/name/x.yml@v2",
    ]


def test_of_another_repository_nothing_is_known_where_nothing_is_fetched() -> None:
    write("pipelines/far.yaml", "on: push\njobs: {a: {uses: owner/name/x.yml@v1, with: {b: c}}}\n")
    assert pipe("validate", "far").stdout == "pipelines/far.yaml: valid, 1 job\n"


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("a: b")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "x.yaml").symlink_to("../secret.yaml")
    with pytest.raises(InvalidInputError, match="leads out of the project"):
        Reader(tmp_path / "project", None)("x.yaml")


# -- running again --


@pytest.mark.docker
def test_a_failed_call_is_continued_where_it_failed(run_pipe: RunPipe) -> None:
    secrets = ("-s", "TOKEN=a1", "-s", "OTHER=b2")
    first = run_pipe("run", "main", "-j", "call", "--env", "PASS=no", *secrets)
    assert first.exit_code == 1
    write("unrelated.txt", "changed")
    again = run_pipe(
        *("run", "main", "-j", "call", "--from-failed", "1", "--env", "PASS=yes", "--json"),
        *secrets,
    )
    assert again.exit_code == 0
    assert ended(again) == {
        "first": ("success", "reused from run 1"),
        "call / build": ("success", "reused from run 1"),
        "call / test": ("success", ""),
    }
