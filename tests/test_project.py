"""Where state lives, configuration, finding pipelines, and what git says about the checkout."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.project import (
    DEFAULT_IMAGES,
    Environment,
    Project,
    ProjectConfig,
    Protection,
    Quota,
    Reviewers,
    RunFacts,
    UserConfig,
    find_pipeline,
    find_project,
    github_context,
    home_folder,
    label_images,
    list_pipelines,
    read_facts,
    read_project_config,
    read_user_config,
    sub_folder,
)
from runner.project.config import user_config_file
from runner.project.protection import from_json as protection_from_json
from runner.project.remote import Remote, parse_remote, without_credentials

#: Every key that GitHub documents for the `github` context.
DOCUMENTED = frozenset(
    """
    action action_path action_ref action_repository action_status actor actor_id api_url base_ref
    env event event_name event_path graphql_url head_ref job path ref ref_name ref_protected
    ref_type repository repository_id repository_owner repository_owner_id repositoryUrl
    retention_days run_id run_number run_attempt secret_source server_url sha token
    triggering_actor workflow workflow_ref workflow_sha workspace
    """.split()  # noqa: SIM905
)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    write(folder, {"a.txt": "a\n"})
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def context(folder: Path, event: str = "push", **payload: Any) -> dict[str, Any]:
    return github_context(find_project(folder), event, payload)


# --- home


def test_home_is_private(pipe_home: Path) -> None:
    assert home_folder() == pipe_home
    logs = sub_folder(pipe_home, "logs", "1")
    assert logs == pipe_home / "logs" / "1"
    modes = {stat.S_IMODE(folder.stat().st_mode) for folder in (pipe_home, logs)}
    assert modes == {0o700}
    assert home_folder() == pipe_home


def test_home_by_default_is_the_users_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPE_HOME")
    assert home_folder() == Path(os.environ["XDG_STATE_HOME"], "pipe")


def test_home_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPE_HOME", "state")
    assert home_folder() == tmp_path / "state"


def test_a_home_that_cannot_be_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PIPE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(EnvironmentMissingError, match="cannot keep state in") as raised:
        home_folder()
    assert "PIPE_HOME" in raised.value.hint


# --- configuration


def test_no_configuration_is_the_default(tmp_path: Path) -> None:
    assert read_project_config(tmp_path / "pipe.yaml") == ProjectConfig()
    assert read_user_config() == UserConfig(allow_host=False, images={}, jobs=None)


def test_an_empty_configuration_is_the_default(tmp_path: Path) -> None:
    write(tmp_path, {"pipe.yaml": "# nothing yet\n", "null.yaml": "~"})
    assert read_project_config(tmp_path / "null.yaml") == ProjectConfig()
    assert read_project_config(tmp_path / "pipe.yaml") == ProjectConfig()


def test_project_configuration(tmp_path: Path) -> None:
    text = "images:\n  big: example.com/big:1\nvars: {A: x, N: 1, F: 1.5, B: true, E: ''}\n"
    write(tmp_path, {"pipe.yaml": text})
    config = read_project_config(tmp_path / "pipe.yaml")
    assert config.images == {"big": "example.com/big:1"}
    assert config.vars == {"A": "x", "N": "1", "F": "1.5", "B": "true", "E": ""}


def test_environments_of_a_project(tmp_path: Path) -> None:
    text = "environments: {prod: {url: 'https://x', vars: {N: 1}}, test: }\n"
    write(tmp_path, {"pipe.yaml": text})
    assert read_project_config(tmp_path / "pipe.yaml").environments == {
        "prod": Environment("https://x", {"N": "1"}),
        "test": Environment(),
    }


def test_protection_of_an_environment(tmp_path: Path) -> None:
    text = (
        "environments:\n"
        "  prod: {reviewers: {users: [ann, bo], required: 2, self: false}, wait: 5m,\n"
        "         branches: [main, 'v*'], lock: shop, quota: 20/day, secrets: [DSN], keep: 3,\n"
        "         images: {ubuntu-latest: debian}}\n"
        "  test: {reviewers: ann, branches: main, quota: {per-day: 1, over: wait}}\n"
        "  any: {reviewers: {required: 2}}\n"
    )
    write(tmp_path, {"pipe.yaml": text})
    found = read_project_config(tmp_path / "pipe.yaml").environments
    rules = Protection(
        Reviewers(("ann", "bo"), 2, own_runs=False), 300.0, ("main", "v*"), "shop", Quota(20)
    )
    assert found["prod"] == Environment(
        images={"ubuntu-latest": "debian"}, secrets=("DSN",), keep=3, protection=rules
    )
    assert found["test"].protection == Protection(
        Reviewers(("ann",)), branches=("main",), quota=Quota(1, waits=True)
    )
    assert found["any"].protection == Protection(Reviewers(required=2))
    for each in found.values():
        kept = json.loads(json.dumps(each.protection.to_json()))
        assert protection_from_json(kept) == each.protection


def test_user_configuration() -> None:
    file = user_config_file()
    assert file == Path(os.environ["XDG_CONFIG_HOME"], "pipe", "config.yaml")
    write(file.parent, {file.name: "allow-host: true\njobs: 3\nimages: {ubuntu-latest: mine}\n"})
    assert read_user_config() == UserConfig(True, {"ubuntu-latest": "mine"}, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image: {}", [("unknown-key", 1, 1, "unknown key `image`", "did you mean `images`?")]),
        ("x: 1", [("unknown-key", 1, 1, "unknown key `x`", "known keys: images, vars")]),
        (
            "vars: {}\nnotifications:\n  prod: {}\nstorage: s3",
            [
                ("wrong-type", 3, 3, "`notifications` must be a list of notifiers", ""),
                ("not-supported", 4, 1, "`storage` is not supported", "remove it for now"),
            ],
        ),
        (
            "environments:\n  prod:\n    snapshots: {keep: 0}\n    wait-timer: 5m\n    ur1: x",
            [
                ("wrong-type", 3, 23, "`environments.prod.snapshots.keep` must be", ""),
                ("unknown-key", 4, 5, "unknown key `wait-timer`", "known keys: url, vars, images"),
                ("unknown-key", 5, 5, "unknown key `ur1`", "did you mean `url`?"),
            ],
        ),
        (
            "environments:\n  a:\n    reviewers: []\n    wait: 5\n    branches: ['']\n    quota: 20",
            [
                ("wrong-type", 3, 16, "`environments.a.reviewers` must be a list of people", ""),
                ("wrong-type", 4, 11, "`environments.a.wait` must be a duration", ""),
                ("wrong-type", 5, 16, "`environments.a.branches.0` must be a text", ""),
                ("wrong-type", 6, 12, "`environments.a.quota` must be a number a day", ""),
            ],
        ),
        (
            "environments:\n  a:\n    reviewers: {users: [ann], required: 2, sef: false}\n    keep: 0",
            [
                ("unknown-key", 3, 44, "unknown key `sef`", "did you mean `self`?"),
                ("wrong-type", 4, 11, "`environments.a.keep` must be a whole number", ""),
            ],
        ),
        (
            "environments:\n  a:\n    reviewers: {users: [ann, ann], required: 2}\n"
            "    quota: {over: later}\n    secrets: [A-B]",
            [
                ("wrong-type", 3, 46, "`environments.a.reviewers.required` must be at most 1", ""),
                ("wrong-type", 4, 19, "`environments.a.quota.over` must be `wait` or", ""),
                ("wrong-type", 4, 12, "`environments.a.quota` must be a map with `per-day`", ""),
                ("wrong-type", 5, 15, "`environments.a.secrets.0` must be the name of a secret", ""),
            ],
        ),
        ("environments: [a]", [("wrong-type", 1, 15, "`environments` must be a map of", "")]),
        ("environments:\n  a: 1", [("wrong-type", 2, 6, "`environments.a` must be a map", "")]),
        (
            "environments:\n  a: {url: '', vars: {A: [1]}}",
            [
                ("wrong-type", 2, 12, "`environments.a.url` must be a text", ""),
                ("wrong-type", 2, 26, "`environments.a.vars.A` must be a text", ""),
            ],
        ),
        ("notifications: [webhook]", [("wrong-type", 1, 16, "`notifications` must be", "")]),
        # A repository must not be able to consent for its user.
        ("allow-host: true", [("unknown-key", 1, 1, "unknown key `allow-host`", "known keys")]),
        ("- a", [("wrong-type", 1, 1, "must be a map", "")]),
        ("images: big", [("wrong-type", 1, 9, "`images` must be a map of texts", "")]),
        ("images:\n  a: 1\n  b: ''", [
            ("wrong-type", 2, 6, "`images.a` must be a text", ""),
            ("wrong-type", 3, 6, "`images.b` must be a text", ""),
        ]),
        ("vars:\n  A: [1]", [("wrong-type", 2, 6, "`vars.A` must be a text, a number", "")]),
        ("vars:\n  A:", [("wrong-type", 2, 3, "`vars.A` must be", "")]),
    ],
)  # fmt: skip
def test_every_problem_of_the_project_file(
    tmp_path: Path, text: str, expected: list[tuple[str, int, int, str, str]]
) -> None:
    write(tmp_path, {"pipe.yaml": text})
    with pytest.raises(InvalidInputError) as raised:
        read_project_config(tmp_path / "pipe.yaml")
    check_problems(raised.value, expected, "pipe.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("allow-host: 'yes'", [("wrong-type", 1, 13, "`allow-host` must be `true` or", "")]),
        ("jobs: 0", [("wrong-type", 1, 7, "`jobs` must be a whole number of at least 1", "")]),
        ("jobs: true", [("wrong-type", 1, 7, "`jobs` must be a whole number", "")]),
        ("allow_host: true", [("unknown-key", 1, 1, "unknown key", "did you mean `allow-host`?")]),
        ("environments: {}", [("unknown-key", 1, 1, "unknown key `environments`", "")]),
    ],
)
def test_every_problem_of_the_users_file(
    tmp_path: Path, text: str, expected: list[tuple[str, int, int, str, str]]
) -> None:
    write(tmp_path, {"config.yaml": text})
    with pytest.raises(InvalidInputError) as raised:
        read_user_config(tmp_path / "config.yaml")
    check_problems(raised.value, expected, str(tmp_path / "config.yaml"))


def check_problems(
    error: InvalidInputError, expected: list[tuple[str, int, int, str, str]], file: str
) -> None:
    assert len(error.problems) == len(expected)
    for problem, (code, line, column, message, hint) in zip(error.problems, expected, strict=True):
        assert problem.position is not None
        assert (problem.position.file, problem.code) == (file, code)
        assert (problem.position.line, problem.position.column) == (line, column)
        assert problem.message.startswith(message)
        assert problem.hint.startswith(hint)


def test_labels() -> None:
    images = label_images({"Big": "big:1", "ubuntu-latest": "project"}, {"ubuntu-latest": "user"})
    assert images["big"] == "big:1"
    assert images["ubuntu-latest"] == "user"
    assert images["ubuntu-22.04"] == DEFAULT_IMAGES["ubuntu-22.04"]
    assert set(DEFAULT_IMAGES) == {"ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04"}


# --- finding


@pytest.mark.parametrize("start", [".", "pipelines", "pipelines/ci.yaml", "deep/er"])
def test_the_project_around_a_folder_without_git(tmp_path: Path, start: str) -> None:
    write(tmp_path, {"top/pipelines/ci.yaml": "", "top/deep/er/x": ""})
    project = find_project(tmp_path / "top" / start)
    assert (project.root, project.folder, project.name) == (tmp_path / "top",) * 2 + ("top",)
    assert project.git is None
    assert (project.sha, project.ref, project.branch) == ("", "", "")


@pytest.mark.parametrize("marker", ["pipe.yaml", ".github/workflows/ci.yml", "pipelines/pipe.yaml"])
def test_what_marks_a_project(tmp_path: Path, marker: str) -> None:
    write(tmp_path, {f"top/{marker}": "vars: {}", "top/in/x": ""})
    assert find_project(tmp_path / "top" / "in").root == tmp_path / "top"


def test_a_folder_without_marks_is_its_own_project(tmp_path: Path) -> None:
    write(tmp_path, {"alone/x.yaml": ""})
    assert find_project(tmp_path / "alone" / "x.yaml").root == tmp_path / "alone"


def test_a_project_inside_a_repository(repo: Path) -> None:
    write(repo, {"services/a/pipe.yaml": "vars: {W: a}", "services/a/src/x": "", "pipe.yaml": ""})
    project = find_project(repo / "services" / "a" / "src")
    assert (project.root, project.folder) == (repo, repo / "services" / "a")
    assert project.config.vars == {"W": "a"}


def test_configuration_above_the_repository_is_not_ours(repo: Path) -> None:
    write(repo.parent, {"pipe.yaml": "vars: {A: outside}"})
    assert find_project(repo).config == ProjectConfig()


def test_two_configuration_files_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"pipe.yaml": "", "pipelines/pipe.yaml": ""})
    with pytest.raises(InvalidInputError, match="two configuration files"):
        find_project(tmp_path)


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    write(tmp_path, {"pipelines/deploy.yaml": "", "pipelines/pipe.yaml": "", "pipelines/x.txt": ""})
    write(tmp_path, {"pipelines/build.yml": "", ".github/workflows/ci.yml": "", "other.yaml": ""})
    return tmp_path


def test_pipelines_are_listed(pipelines: Path) -> None:
    listed = [str(file.relative_to(pipelines)) for file in list_pipelines(pipelines)]
    assert listed == ["pipelines/build.yml", "pipelines/deploy.yaml", ".github/workflows/ci.yml"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("deploy", "pipelines/deploy.yaml"),
        ("deploy.yaml", "pipelines/deploy.yaml"),
        ("build", "pipelines/build.yml"),
        ("build.yml", "pipelines/build.yml"),
        ("ci", ".github/workflows/ci.yml"),
        ("pipelines/deploy.yaml", "pipelines/deploy.yaml"),
        ("other.yaml", "other.yaml"),
    ],
)
def test_a_pipeline_is_found(
    pipelines: Path, monkeypatch: pytest.MonkeyPatch, name: str, found: str
) -> None:
    (pipelines / "elsewhere").mkdir()
    monkeypatch.chdir(pipelines / "elsewhere")
    assert find_pipeline(name, pipelines) == pipelines / found


def test_a_path_is_relative_to_where_the_user_stands(
    pipelines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipelines / "pipelines")
    assert find_pipeline("deploy.yaml", pipelines) == Path("deploy.yaml")
    assert find_pipeline("../other.yaml", pipelines) == Path("../other.yaml")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("deplyo", "did you mean `deploy`?"),
        ("zzz", "there are: build, deploy, ci"),
    ],
)
def test_a_pipeline_that_is_missing(pipelines: Path, name: str, hint: str) -> None:
    with pytest.raises(InvalidInputError, match=f"no pipeline `{name}`") as raised:
        find_pipeline(name, pipelines)
    assert raised.value.hint == hint


def test_no_pipelines_at_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as raised:
        find_pipeline("ci", tmp_path)
    assert raised.value.hint == "put pipeline files into pipelines/ or .github/workflows/"


# --- git


def test_facts_of_a_branch(repo: Path) -> None:
    sha = git(repo, "rev-parse", "HEAD")
    facts = read_facts(repo)
    assert facts is not None
    assert facts.commit is not None
    assert (facts.sha, facts.branch, facts.ref) == (sha, "main", "refs/heads/main")
    assert (facts.commit.message, facts.commit.parents) == ("first", ())
    assert (facts.actor, facts.email) == ("Test", "test@example.org")
    assert (facts.default_branch, facts.tags) == ("main", ())


def test_facts_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    facts = read_facts(tmp_path)
    assert facts is not None
    assert (facts.sha, facts.branch, facts.ref) == ("", "trunk", "refs/heads/trunk")
    assert facts.default_branch == "trunk"


def test_no_repository(tmp_path: Path) -> None:
    assert read_facts(tmp_path) is None


def test_a_repository_of_dotfiles_is_not_the_project(tmp_path: Path) -> None:
    git(Path.home(), "init", "-q")
    write(Path.home(), {"work/x/pipelines/ci.yaml": ""})
    project = find_project(Path.home() / "work" / "x")
    assert (project.root, project.git) == (Path.home() / "work" / "x", None)
    assert read_facts(Path.home()) is not None


def test_no_git_program(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo / "nothing"))
    assert read_facts(repo) is None
    assert find_project(repo).root == repo


@pytest.mark.parametrize(
    ("arrange", "ref"),
    [
        ((), ""),
        ((("tag", "-a", "v1", "-m", "x", "HEAD~"), ("checkout", "v1")), "refs/tags/v1"),
        ((("tag", "v1"), ("checkout", "main")), "refs/heads/main"),
        ((("checkout", "--detach", "main"),), "refs/heads/main"),
        ((("checkout", "-b", "feat/x,y"),), "refs/heads/feat/x,y"),
        ((("checkout", "--orphan", "new"),), "refs/heads/new"),
        (
            (("update-ref", "refs/remotes/origin/feat/z", "HEAD"), ("checkout", "--detach"),
             ("branch", "-f", "main", "HEAD~")),
            "refs/heads/feat/z",
        ),
    ],
)  # fmt: skip
def test_the_ref_that_head_stands_for(
    repo: Path, arrange: tuple[tuple[str, ...], ...], ref: str
) -> None:
    commit(repo, "second")
    commit(repo, "third")
    if not arrange:
        git(repo, "checkout", "-q", "--detach", "HEAD~")
    for command in arrange:
        git(repo, *command)
    facts = read_facts(repo)
    assert facts is not None
    assert facts.ref == ref


@pytest.mark.parametrize("packed", [False, True])
def test_the_default_branch(repo: Path, tmp_path: Path, packed: bool) -> None:
    git(repo, "checkout", "-q", "-b", "side")
    if packed:
        git(repo, "pack-refs", "--all")
    facts = read_facts(repo)
    assert facts is not None
    assert facts.default_branch == "main"
    git(tmp_path, "clone", "-q", str(repo), "clone")
    cloned = read_facts(tmp_path / "clone")
    assert cloned is not None
    assert cloned.default_branch == "side"


def test_facts_in_a_worktree_and_a_shallow_clone(repo: Path, tmp_path: Path) -> None:
    commit(repo, "second")
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", "shallow")
    side, shallow = read_facts(tmp_path / "side"), read_facts(tmp_path / "shallow")
    assert side is not None
    assert shallow is not None
    assert (side.branch, side.checkout.common_dir) == ("side", repo / ".git")
    assert (shallow.branch, shallow.sha) == ("main", git(repo, "rev-parse", "HEAD"))


def test_facts_of_a_repository_that_belongs_to_somebody_else(repo: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for path in (repo, repo / ".git"):
        os.chown(path, 12345, 12345)
    facts = read_facts(repo)
    assert facts is not None
    assert facts.branch == "main"


def test_reading_facts_runs_nothing_of_the_repository(repo: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "gpg.program", "core.pager", "core.sshCommand", "diff.external"):
        git(repo, "config", key, str(script))
    git(repo, "config", "log.showSignature", "true")
    assert read_facts(repo) is not None
    assert not ran.exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/o/n.git", Remote("https://github.com", "o/n")),
        ("https://user:token@github.com/o/n", Remote("https://github.com", "o/n")),
        ("git@github.com:o/n.git", Remote("https://github.com", "o/n")),
        ("github.com:o/n", Remote("https://github.com", "o/n")),
        ("ssh://git@host.example:2222/o/n.git", Remote("https://host.example", "o/n")),
        ("https://host.example:8443/o/n/", Remote("https://host.example:8443", "o/n")),
        ("https://gitlab.example/a/b/c.git", Remote("https://gitlab.example", "a/b/c")),
        ("git://host.example/o/n.git", Remote("https://host.example", "o/n")),
        ("file:///srv/git/o/n.git", None),
        ("/srv/git/o/n.git", None),
        ("../n", None),
        ("C:\\n", None),
        ("https://host.example/n.git", None),
        ("", None),
    ],
)
def test_remotes(url: str, expected: Remote | None) -> None:
    assert parse_remote(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:token@h/o/n", "https://h/o/n"),
        ("https://token@h:8443/o/n", "https://h:8443/o/n"),
        ("ssh://git:secret@h:22/o/n", "ssh://git@h:22/o/n"),
        ("git@h:o/n", "git@h:o/n"),
        ("https://h/o/n", "https://h/o/n"),
        ("/srv/git@home/n", "/srv/git@home/n"),
        ("https://to@ken@h/o/n", "https://h/o/n"),
    ],
)
def test_credentials_are_taken_out(url: str, expected: str) -> None:
    assert without_credentials(url) == expected


# --- the github context


def test_every_documented_key_is_there(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for folder in (repo, tmp_path / "bare"):
        assert set(context(folder)) == DOCUMENTED


def test_the_context_of_a_push(repo: Path) -> None:
    first = git(repo, "rev-parse", "HEAD")
    sha = commit(repo, "second\n\nbody")
    git(repo, "remote", "add", "origin", "git@github.com:octo/shop.git")
    found = context(repo)
    expected = {
        "sha": sha,
        "ref": "refs/heads/main",
        "ref_name": "main",
        "ref_type": "branch",
        "head_ref": "",
        "base_ref": "",
        "repository": "octo/shop",
        "repository_owner": "octo",
        "server_url": "https://github.com",
        "api_url": "https://api.github.com",
        "graphql_url": "https://api.github.com/graphql",
        "actor": "Test",
        "event_name": "push",
    }
    assert {key: found[key] for key in expected} == expected
    event = found["event"]
    assert (event["before"], event["after"]) == (first, sha)
    assert event["head_commit"]["message"] == "second\n\nbody"
    assert event["repository"]["default_branch"] == "main"


def test_another_server(repo: Path) -> None:
    git(repo, "remote", "add", "origin", "https://x:y@git.example/octo/shop")
    found = context(repo)
    assert found["api_url"] == "https://git.example/api/v3"
    assert "x:y" not in json.dumps(found)


def test_the_context_of_a_run(repo: Path) -> None:
    run = RunFacts(7, 2, "CI", ".github/workflows/ci.yml", "/w", "/e.json", "t")
    found = github_context(find_project(repo), "workflow_dispatch", {"inputs": {"a": "1"}}, run)
    expected = {
        "run_id": "7",
        "run_number": "7",
        "run_attempt": "2",
        "workflow": "CI",
        "workspace": "/w",
        "event_path": "/e.json",
        "token": "t",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["event"]["inputs"] == {"a": "1"}
    assert found["workflow_ref"].endswith("/.github/workflows/ci.yml@refs/heads/main")


def test_the_context_of_a_pull_request(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "feature")
    found = context(repo, "pull_request")
    assert (found["head_ref"], found["base_ref"]) == ("feature", "main")
    assert (found["ref"], found["ref_name"]) == ("refs/pull/1/merge", "1/merge")
    given = {"number": 9, "pull_request": {"base": {"ref": "release"}}}
    found = context(repo, "pull_request", **given)
    assert (found["head_ref"], found["base_ref"]) == ("feature", "release")
    assert found["ref"] == "refs/pull/9/merge"
    assert context(repo, "pull_request_target", **given)["ref"] == "refs/heads/main"


def test_a_given_payload_wins(repo: Path) -> None:
    found = context(repo, ref="refs/tags/v2", after="f" * 40, repository={"private": True})
    assert (found["ref_name"], found["ref_type"], found["sha"]) == ("v2", "tag", "f" * 40)
    assert found["event"]["repository"]["private"] is True
    assert found["event"]["repository"]["name"] == "shop"
    assert context(repo, "workflow_dispatch", ref="side")["ref"] == "refs/heads/side"


def test_the_context_without_git(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    found = context(tmp_path / "plain")
    assert (found["sha"], found["ref"], found["ref_name"], found["ref_type"]) == ("", "", "", "")
    assert found["repository"] == f"{found['repository_owner']}/plain"


def test_the_context_is_json(repo: Path) -> None:
    for event in ("push", "pull_request", "schedule", "workflow_dispatch"):
        found = context(repo, event)
        assert json.loads(json.dumps(found)) == found


# --- start-up


def test_finding_a_project_loads_nothing_heavy(repo: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from runner.project import *\n"
        "project = find_project(Path(sys.argv[1])); github_context(project, 'push', {})\n"
        "take_snapshot(project, home_folder(), home_folder()).release()\n"
        "print(*{'yaml', 'pathspec', 'platformdirs', 'difflib'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, str(repo)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "\n"


def test_a_project_is_a_plain_value(repo: Path) -> None:
    assert find_project(repo) == find_project(repo / "pipelines" / ".." / "a.txt")
    assert isinstance(find_project(repo), Project)
