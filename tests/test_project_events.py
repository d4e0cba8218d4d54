"""What a checkout makes of each event: its payload, its ref and commit, and what it changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from runner.project import changed_files, find_project, github_context
from tests.test_project import commit, git, write


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """`main` with a tag, and `feature`, which is checked out, one commit ahead."""
    folder = tmp_path / "shop"
    write(folder, {"a.txt": "a\n", "src/x.py": "x\n"})
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "git@github.com:octo/shop.git")
    commit(folder, "first")
    write(folder, {"a.txt": "b\n"})
    commit(folder, "second")
    git(folder, "checkout", "-q", "-b", "feature")
    write(folder, {"src/ü y.py": "y\n"})
    commit(folder, "third\n\nbody")
    git(folder, "tag", "v1")
    return folder


def github(folder: Path, event: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    return github_context(find_project(folder), event, given or {})


REFS: list[tuple[str, dict[str, Any], str]] = [
    ("push", {}, "refs/heads/feature"),
    ("push", {"ref": "refs/tags/v9"}, "refs/tags/v9"),
    ("push", {"deleted": True, "ref": "refs/heads/gone"}, "refs/heads/main"),
    ("pull_request", {}, "refs/pull/1/merge"),
    ("pull_request", {"number": 7}, "refs/pull/7/merge"),
    (
        "pull_request",
        {"action": "closed", "pull_request": {"merged": True}},
        "refs/heads/main",
    ),
    ("pull_request", {"action": "closed"}, "refs/pull/1/merge"),
    ("pull_request_review", {"pull_request": {"number": 4}}, "refs/pull/4/merge"),
    ("pull_request_target", {"pull_request": {"base": {"ref": "dev"}}}, "refs/heads/main"),
    ("workflow_dispatch", {}, "refs/heads/feature"),
    ("workflow_dispatch", {"ref": "v1"}, "refs/tags/v1"),
    ("workflow_dispatch", {"ref": "side"}, "refs/heads/side"),
    ("workflow_call", {}, "refs/heads/feature"),
    ("schedule", {}, "refs/heads/main"),
    ("repository_dispatch", {}, "refs/heads/main"),
    ("workflow_run", {}, "refs/heads/main"),
    ("issues", {}, "refs/heads/main"),
    ("release", {}, "refs/tags/v1"),
    ("release", {"release": {"tag_name": "v2"}}, "refs/tags/v2"),
    ("create", {}, "refs/heads/feature"),
    ("create", {"ref": "v2", "ref_type": "tag"}, "refs/tags/v2"),
    ("delete", {}, "refs/heads/main"),
    ("deployment", {}, "refs/heads/feature"),
    ("deployment_status", {"deployment": {"ref": "v1"}}, "refs/tags/v1"),
    ("merge_group", {"merge_group": {"head_ref": "refs/heads/q"}}, "refs/heads/q"),
]


@pytest.mark.parametrize(("event", "given", "ref"), REFS)
def test_the_ref_of_an_event(repo: Path, event: str, given: dict[str, Any], ref: str) -> None:
    found = github(repo, event, given)
    assert (found["ref"], found["event_name"]) == (ref, event)
    assert found["sha"] == git(repo, "rev-parse", "HEAD")
    assert json.loads(json.dumps(found)) == found


def test_commits_that_events_bring(repo: Path) -> None:
    sha = "f" * 40
    given = {"after": sha, "merge_group": {"head_sha": sha}, "deployment": {"sha": sha}}
    for event in ("push", "merge_group", "deployment"):
        assert github(repo, event, given)["sha"] == sha
    assert github(repo, "push", {**given, "deleted": True})["sha"] != sha


def test_the_payload_of_a_push(repo: Path) -> None:
    event = github(repo, "push")["event"]
    assert event["before"] == git(repo, "rev-parse", "main")
    assert event["head_commit"]["message"] == "third\n\nbody"
    assert (event["created"], event["deleted"], event["forced"]) == (False, False, False)
    assert event["repository"]["clone_url"] == "https://github.com/octo/shop.git"
    tag = github(repo, "push", {"ref": "refs/tags/v1"})["event"]
    assert (tag["created"], tag["before"]) == (True, "0" * 40)


def test_the_payload_of_a_pull_request(repo: Path) -> None:
    head, base = git(repo, "rev-parse", "HEAD"), git(repo, "rev-parse", "main")
    event = github(repo, "pull_request")["event"]
    pull = event["pull_request"]
    assert event["action"] == "synchronize"
    assert (pull["head"]["ref"], pull["head"]["sha"]) == ("feature", head)
    assert (pull["base"]["ref"], pull["base"]["sha"]) == ("main", base)
    assert (pull["title"], pull["draft"], pull["labels"]) == ("third", False, [])
    assert pull["head"]["repo"]["full_name"] == "octo/shop"


def test_the_base_of_a_pull_request_is_where_origin_has_it(repo: Path) -> None:
    first = git(repo, "rev-parse", "main~1")
    git(repo, "update-ref", "refs/remotes/origin/main", first)
    assert github(repo, "pull_request")["event"]["pull_request"]["base"]["sha"] == first
    other = {"pull_request": {"base": {"ref": "nowhere"}}}
    assert github(repo, "pull_request", other)["event"]["pull_request"]["base"]["sha"] == ""


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("release", {"action": "published"}),
        ("workflow_run", {"action": "completed"}),
        ("merge_group", {"action": "checks_requested"}),
        ("repository_dispatch", {"branch": "main", "client_payload": {}}),
        ("create", {"ref": "feature", "ref_type": "branch"}),
        ("workflow_dispatch", {"inputs": {}}),
    ],
)
def test_payloads(repo: Path, event: str, expected: dict[str, Any]) -> None:
    found = github(repo, event)["event"]
    assert {key: found[key] for key in expected} == expected
    assert found["sender"]["login"] == "Test"


def test_the_context_follows_a_given_repository_and_sender(repo: Path) -> None:
    given = {
        "repository": {"full_name": "other/app", "id": 12, "owner": {"login": "Other", "id": 3}},
        "sender": {"login": "ada", "id": 4},
    }
    found = github(repo, "push", given)
    expected = {
        "repository": "other/app",
        "repository_id": "12",
        "repository_owner": "Other",
        "repository_owner_id": "3",
        "actor": "ada",
        "actor_id": "4",
        "triggering_actor": "ada",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["workflow_ref"].startswith("other/app/")
    odd = github(repo, "push", {"repository": "text", "sender": ["x"]})
    assert (odd["repository"], odd["actor"]) == ("octo/shop", "Test")


# -- what changed


def changed(
    folder: Path, event: str, given: dict[str, Any] | None = None
) -> tuple[str, ...] | None:
    project = find_project(folder)
    return changed_files(project, event, github_context(project, event, given or {})["event"])


def test_a_push_changed_what_its_commits_did(repo: Path) -> None:
    first = git(repo, "rev-parse", "main~1")
    assert changed(repo, "push") == ("src/ü y.py",)
    assert changed(repo, "push", {"before": first}) == ("a.txt", "src/ü y.py")
    assert changed(repo, "push", {"before": "0" * 40}) == ("src/ü y.py",)
    everything = {"before": "0" * 40, "after": first}
    assert changed(repo, "push", everything) == ("a.txt", "src/x.py")


def test_a_pull_request_changed_what_its_base_lacks(repo: Path) -> None:
    git(repo, "checkout", "-q", "main")
    write(repo, {"on-main.txt": ""})
    commit(repo, "fourth")
    git(repo, "checkout", "-q", "feature")
    assert changed(repo, "pull_request") == ("src/ü y.py",)


def test_a_file_that_moved_counts_where_it_was_and_is(repo: Path) -> None:
    git(repo, "mv", "src/x.py", "x.py")
    commit(repo, "move")
    assert changed(repo, "push") == ("src/x.py", "x.py")


@pytest.mark.parametrize("before", ["f" * 40, "--output=stolen", 3, None])
def test_commits_that_git_does_not_know(repo: Path, before: Any) -> None:
    given = {"pull_request": {"base": {"sha": before}}}
    assert changed(repo, "pull_request", given) is None
    assert before != "f" * 40 or changed(repo, "push", {"before": before}) is None
    assert not (repo / "stolen").exists()


def test_nobody_knows_what_changed_without_git(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert changed(tmp_path / "plain", "push") is None
