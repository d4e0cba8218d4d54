"""Actions of other repositories, fetched from repositories in a folder."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.actions.fetch import FRESH, ActionStore
from runner.actions.reference import (
    ImageAction,
    LocalAction,
    RemoteAction,
    parse_reference,
)
from runner.errors import EnvironmentMissingError, InvalidInputError
from tests.conftest import RunPipe

NODE = "pipe-test/node:24"
COMPOSITE = "runs: {using: composite, steps: [{shell: sh, run: 'echo %s'}]}\n"


def git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


class Server:
    """A folder of repositories that stands for GitHub."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def commit(self, repository: str, files: dict[str, str], tag: str = "") -> str:
        """Add a commit with these files; gives its id."""
        place = self.folder / repository
        place.mkdir(parents=True, exist_ok=True)
        if not (place / ".git").exists():
            git(place, "init", "-q")
        for name, text in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        git(place, "add", "-A")
        git(place, "commit", "-qm", "a change")
        if tag:
            git(place, "tag", "-f", tag)
        return git(place, "rev-parse", "HEAD")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "server")


@pytest.fixture
def store(tmp_path: Path, server: Server) -> ActionStore:
    return ActionStore(tmp_path / "home", server.url)


def action(uses: str) -> RemoteAction:
    reference = parse_reference(uses)
    assert isinstance(reference, RemoteAction)
    return reference


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ("./a/b", LocalAction("./a/b")),
        ("./", LocalAction("./")),
        ("$/a", LocalAction("./a")),
        ("docker://alpine:3", ImageAction("alpine:3")),
        ("o/n@v1", RemoteAction("o", "n", "", "v1")),
        ("o/n/a/b@feature/x", RemoteAction("o", "n", "a/b", "feature/x")),
    ],
)
def test_what_uses_names(uses: str, expected: object) -> None:
    assert parse_reference(uses) == expected


@pytest.mark.parametrize(
    "uses",
    [
        *("o/n", "o/n@", "/n@v1", "o@v1", "o/n/../x@v1", "docker://", "o/n@--upload-pack=x"),
        *("o/n@a..b", "o/n@a b", "o n/x@v1", "o/n@/v1", "o/n@v1.lock", "o/n@a@{1}", "o/n/@v1"),
    ],
)
def test_what_names_no_action_is_refused(uses: str) -> None:
    with pytest.raises(InvalidInputError, match="names no"):
        parse_reference(uses)


def test_a_tag_a_branch_and_a_commit_are_fetched(server: Server, store: ActionStore) -> None:
    first = server.commit("o/n", {"action.yml": COMPOSITE % "one"}, "v1")
    second = server.commit("o/n", {"action.yml": COMPOSITE % "two"})
    branch = git(server.folder / "o/n", "branch", "--show-current")
    assert store.fetch(action("o/n@v1")).commit == first
    assert store.fetch(action("o/n@" + branch)).commit == second
    old = store.fetch(action(f"o/n@{first}"))
    assert (old.commit, (old.folder / "action.yml").read_text()) == (first, COMPOSITE % "one")


def test_a_commit_that_no_branch_begins_with_is_found(server: Server, store: ActionStore) -> None:
    first = server.commit("o/n", {"a": "1"})
    server.commit("o/n", {"a": "2"})
    assert store.fetch(action(f"o/n@{first}")).commit == first


def test_what_was_fetched_needs_no_server(server: Server, store: ActionStore) -> None:
    first = server.commit("o/n", {"a": "1"}, "v1")
    store.fetch(action("o/n@v1"))
    (server.folder / "o/n").rename(server.folder / "gone")
    assert store.fetch(action("o/n@v1")).commit == first
    assert store.fetch(action(f"o/n@{first}")).commit == first
    offline = ActionStore(store.home, store.server, offline=True)
    assert offline.fetch(action("o/n@v1")).commit == first
    with pytest.raises(EnvironmentMissingError, match="`--offline` forbids"):
        offline.fetch(action("o/n@v2"))


def test_a_ref_that_may_have_moved_is_asked_for_again(server: Server, store: ActionStore) -> None:
    first = server.commit("o/n", {"a": "1"}, "v1")
    store.fetch(action("o/n@v1"))
    second = server.commit("o/n", {"a": "2"}, "v1")
    assert store.fetch(action("o/n@v1")).commit == first
    [known] = store.home.rglob("refs/v1")
    long_ago = time.time() - FRESH - 1
    os.utime(known, (long_ago, long_ago))
    assert store.fetch(action("o/n@v1")).commit == second
    os.utime(known, (long_ago, long_ago))
    (server.folder / "o/n").rename(server.folder / "gone")
    stale = store.fetch(action("o/n@v1"))
    assert stale.commit == second
    assert "as it was fetched earlier" in stale.note


def test_what_does_not_exist_is_told(server: Server, store: ActionStore) -> None:
    server.commit("o/n", {"a": "1"})
    with pytest.raises(InvalidInputError, match="`o/n` has no `v9`"):
        store.fetch(action("o/n@v9"))
    with pytest.raises(InvalidInputError, match="`o/n` has no `0000"):
        store.fetch(action("o/n@" + "0" * 40))
    with pytest.raises(EnvironmentMissingError, match="could not be fetched"):
        store.fetch(action("o/missing@v1"))
    leftovers = [file for file in store.home.rglob(".*") if file.name not in (".git",)]
    assert leftovers == []


def test_many_at_once_get_the_same(server: Server, store: ActionStore) -> None:
    commit = server.commit("o/n", {"a": "1"}, "v1")
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.fetch(action("o/n@v1")).commit))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [commit] * 4


def test_a_folder_stands_for_a_repository(tmp_path: Path) -> None:
    store = ActionStore(tmp_path / "home", "nowhere", {"o/n": tmp_path})
    fetched = store.fetch(action("O/N@anything"))
    assert (fetched.folder, fetched.commit) == (tmp_path, "")


# -- in a run


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    def make(steps: str) -> Path:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "pipe.yaml").write_text(f"images: {{here: '{NODE}'}}\n")
        (folder / "ci.yaml").write_text(
            f"on: push\njobs:\n  a:\n    runs-on: here\n    steps:\n{steps}"
        )
        return folder

    return make


OUTER = """\
outputs: {word: {value: "${{ steps.inner.outputs.word }}"}}
runs:
  using: composite
  steps:
    - id: inner
      uses: tools/node/deep@v1
      with: {word: "from ${{ github.action_repository }}"}
    - shell: sh
      run: ls $GITHUB_ACTION_PATH; touch $GITHUB_ACTION_PATH/x 2>/dev/null || echo nothing changes it
"""
DEEP = """\
inputs: {word: {}}
runs: {using: node20, pre: ../pre.js, main: main.js, post: ../post.js}
"""
FILES = {
    "deep/action.yml": DEEP,
    "pre.js": 'console.log("pre of", process.env.INPUT_WORD);'
    'require("fs").appendFileSync(process.env.GITHUB_STATE, "pre=kept\\n");',
    "deep/main.js": 'console.log("main", process.env.GITHUB_ACTION_REPOSITORY, process.env.STATE_pre);'
    'require("fs").appendFileSync(process.env.GITHUB_OUTPUT, `word=${process.env.INPUT_WORD}\\n`);',
    "post.js": 'console.log("post", process.env.STATE_pre);',
}
STEPS = """\
      - run: echo the first step
      - {id: outer, uses: tools/outer@main}
      - run: echo "${{ steps.outer.outputs.word }}"
"""


@pytest.mark.docker
def test_actions_use_actions_of_other_repositories(
    server: Server, project: Callable[[str], Path], run_pipe: RunPipe
) -> None:
    server.commit("tools/outer", {"action.yml": OUTER})
    server.commit("tools/node", FILES, "v1")
    folder, env = project(STEPS), {"PIPE_ACTIONS_SERVER": server.url}
    refused = run_pipe("run", "ci.yaml", "--offline", cwd=folder, env=env)
    assert (refused.exit_code, "`--offline` forbids" in refused.stdout) == (4, True)
    for options in ([], ["--offline"]):
        ended = run_pipe("run", "ci.yaml", *options, cwd=folder, env=env)
        assert ended.exit_code == 0, ended.stdout
        shown = [line.partition("| ")[2] for line in ended.stdout.splitlines()]
        said = [line for line in shown if line and line[0] not in "●✓▸"]
        assert [line for line in said if not line.startswith(("image", "job"))] == [
            "pre of from tools/outer",
            "the first step",
            "main tools/node kept",
            "action.yml",
            "nothing changes it",
            "from tools/outer",
            "post kept",
        ]


@pytest.mark.docker
def test_a_folder_is_used_as_it_is(
    tmp_path: Path, project: Callable[[str], Path], run_pipe: RunPipe
) -> None:
    folder = project("      - uses: actions/checkout@v4\n      - uses: acme/tool/sub@v3\n")
    for name in ("checkout", "tool/sub"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "action.yml").write_text(COMPOSITE % f"mine for {name}")
    sources = [f"actions/checkout={tmp_path}/checkout", f"Acme/Tool={tmp_path}/tool"]
    options = [word for source in sources for word in ("--action-source", source)]
    ended = run_pipe("run", "ci.yaml", *options, cwd=folder)
    assert ended.exit_code == 0, ended.stdout
    assert "mine for checkout" in ended.stdout
    assert "mine for tool/sub" in ended.stdout


@pytest.mark.docker
def test_a_definition_cannot_be_a_link_to_a_file_of_this_machine(
    server: Server, tmp_path: Path, project: Callable[[str], Path], run_pipe: RunPipe
) -> None:
    (tmp_path / "secret.yml").write_text("password: hunter2\n")
    server.commit("o/n", {"README": "x"})
    (server.folder / "o/n/action.yml").symlink_to(tmp_path / "secret.yml")
    server.commit("o/n", {}, "v1")
    folder = project("      - uses: o/n@v1\n")
    ended = run_pipe("run", "ci.yaml", cwd=folder, env={"PIPE_ACTIONS_SERVER": server.url})
    assert ended.exit_code == 1
    assert "`o/n@v1` is no action" in ended.stdout
    assert "hunter2" not in ended.stdout + ended.stderr


def test_a_source_that_is_not_there_is_refused(
    project: Callable[[str], Path], run_pipe: RunPipe
) -> None:
    folder = project("      - run: true\n")
    ended = run_pipe("run", "ci.yaml", "--action-source", "o/n=nowhere", cwd=folder)
    assert (ended.exit_code, "there is no folder nowhere" in ended.stderr) == (2, True)
    ended = run_pipe("run", "ci.yaml", "--action-source", "o=.", cwd=folder)
    assert (ended.exit_code, "`o` is no repository" in ended.stderr) == (2, True)


def test_validate_knows_the_inputs_of_actions_that_are_here(
    server: Server, store: ActionStore, tmp_path: Path, run_pipe: RunPipe, pipe_home: Path
) -> None:
    server.commit("o/n", {"action.yml": "inputs: {word: {}}\n" + COMPOSITE % "x"}, "v1")
    text = "on: push\njobs: {a: {runs-on: x, steps: [{uses: o/n@v1, with: {wrd: 1}}]}}\n"
    (tmp_path / "ci.yaml").write_text(text)
    env = {"PIPE_ACTIONS_SERVER": server.url}
    assert "unknown-action-input" not in run_pipe("validate", "ci.yaml", env=env).stdout
    ActionStore(pipe_home, server.url).fetch(action("o/n@v1"))
    shown = run_pipe("validate", "ci.yaml", env=env).stdout
    assert "unknown-action-input" in shown
    assert "did you mean `word`" in shown
