"""`pipe snapshots`, `pipe report --audit` and what steps keep and tell, as users type it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.store import Store, outbox
from tests.conftest import Finished, RunPipe
from tests.hooked import Hook, hook
from tests.leftovers import wait_until

PIPELINE = """\
on:
  workflow_dispatch:
    inputs:
      version: {{default: "1.0"}}
jobs:
  ship:
    runs-on: self-hosted
    environment: production
    steps:
      - run: mkdir site && echo x >site/index.html
      - deploy:
          application: shop
          target: static
          with: {{path: site, to: {there}/www}}
          version: ${{{{ inputs.version }}}}
          files:
            - template: shop.conf.j2
              to: {there}/etc/shop.conf
              vars: {{version: "${{{{ inputs.version }}}}"}}
          verify: [{{command: {{run: "true", on: local}}}}]
      - id: kept
        snapshot: {{application: shop, description: by a step, parts: [{{files: {{paths: [{there}/etc]}}}}]}}
      - run: echo "kept as ${{{{ steps.kept.outputs.snapshot }}}}"
"""
CONFIG = """\
environments: {production: {snapshots: {keep: 3}}}
notifications: [{webhook: {url: "${{ secrets.HOOK }}"}}]
"""


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


@pytest.fixture
def chat() -> Iterator[Hook]:
    with hook() as made:
        yield made


@pytest.fixture
def pipe(
    tmp_path: Path, there: Path, run_pipe: RunPipe, monkeypatch: pytest.MonkeyPatch, chat: Hook
) -> Any:
    """Types a command in a project that deploys to a folder of this machine."""
    project = tmp_path / "project"
    (project / "pipelines").mkdir(parents=True)
    (project / "pipelines" / "deploy.yaml").write_text(PIPELINE.format(there=there))
    (project / "pipe.yaml").write_text(CONFIG)
    (project / "shop.conf.j2").write_text("version {{ version }}")
    monkeypatch.setenv("PIPE_ALLOW_HOST", "1")

    def typed(*arguments: str, exit_code: int = 0) -> Finished:
        ended = run_pipe(*arguments, cwd=project)
        assert ended.exit_code == exit_code, ended.stdout + ended.stderr
        return ended

    return typed


def ship(pipe: Any, version: str, chat: Hook) -> Finished:
    ended: Finished = pipe(
        "run", "deploy", "--input", f"version={version}", "--secret", f"production:HOOK={chat.url}"
    )
    return ended


def listed(pipe: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(pipe("snapshots", "list", "--json").stdout)
    return found


def test_what_is_kept_comes_back(pipe: Any, there: Path, chat: Hook) -> None:
    said = ship(pipe, "1.0", chat)
    assert (there / "etc" / "shop.conf").read_text() == "version 1.0"
    [by_step, before] = listed(pipe)
    assert f"kept as {by_step['id']}" in said.stdout
    assert (by_step["kind"], by_step["release"], before["release"]) == ("manual", 1, None)
    assert "by a step" in pipe("snapshots", "list", "production").stdout

    ship(pipe, "2.0", chat)
    assert chat.events == ["started", "succeeded"] * 2
    assert len(listed(pipe)) == 3
    pipe("snapshots", "verify", by_step["id"])
    pipe("snapshots", "restore", by_step["id"], "files")
    assert (there / "etc" / "shop.conf").read_text() == "version 1.0"

    ended = json.loads(pipe("rollback", "production", "--snapshot", by_step["id"], "--json").stdout)
    assert (ended["state"], ended["release"]) == ("succeeded", 1)
    text = pipe("report", "--audit", "--verify").stdout
    for done in ("deploy-started", "snapshot-restored", "restore-ended", "rollback-ended"):
        assert done in text


def test_what_was_changed_is_told(pipe: Any, chat: Hook, pipe_home: Path) -> None:
    ship(pipe, "1.0", chat)
    newest = listed(pipe)[0]["id"]
    folder = pipe_home / "deliveries" / "shop" / "production" / "snapshots" / newest
    (folder / "1-files" / "files.tar").write_bytes(b"x")
    ended = pipe("snapshots", "verify", newest, "--json", exit_code=1)
    assert json.loads(ended.stdout)["problems"] == ["1-files/files.tar was changed"]
    assert "cannot be restored" in pipe("snapshots", "restore", newest, exit_code=1).stdout

    with Store.open(pipe_home) as store, store.promises.writing() as database:
        database.execute("UPDATE audit SET who = 'nobody' WHERE seq = 1")
    assert "line 1 was changed" in pipe("report", "--audit", "--verify", exit_code=1).stdout


def test_by_hand(pipe: Any, there: Path, chat: Hook, tmp_path: Path) -> None:
    for words, told in (
        (("create", "production"), "nothing is live in production"),
        (("verify", "none"), "there is no snapshot none"),
        (("restore", "none"), "there is no snapshot none"),
    ):
        assert told in pipe("snapshots", *words, exit_code=2).stderr
    ship(pipe, "1.0", chat)
    made = json.loads(
        pipe("snapshots", "create", "production", "--description", "why", "--json").stdout
    )
    assert (made["kind"], made["description"], made["state"]) == ("manual", "why", "kept")
    keep = tmp_path / "keep.yaml"
    keep.write_text("snapshot: [{fils: {}}, {files: {path: []}}]\nother: 1")
    assert (
        "unknown key `other`"
        in pipe("snapshots", "create", "production", str(keep), exit_code=2).stderr
    )
    keep.write_text("snapshot: [{fils: {}}, {files: {path: []}}]")
    said = pipe("snapshots", "create", "production", str(keep), exit_code=2).stderr
    assert "no plugin brings a snapshot `fils`" in said
    assert "`files` has no key `path`" in said


def test_what_could_not_be_told_the_next_process_tells(
    pipe: Any, chat: Hook, pipe_home: Path
) -> None:
    away = Hook(port=1)
    ship(pipe, "1.0", away)
    with Store.open(pipe_home) as store:
        [first, second] = outbox.waiting(store.promises)
    assert {first.kind, second.kind} == {"started", "succeeded"}
    report = json.loads(pipe("report", "--json").stdout)["notifications"]
    assert [(each["event"], each["state"]) for each in report] == [
        ("started", "waiting"), ("succeeded", "waiting"),
    ]  # fmt: skip
    pipe("worker", "--drain", "--secret", f"production:HOOK={chat.url}")
    wait_until(lambda: len(chat.got) >= 2, lambda: str(chat.got), 30.0)
    assert sorted(chat.events) == ["started", "succeeded"]


def test_what_was_given_up_is_reported(pipe: Any, chat: Hook, pipe_home: Path) -> None:
    ship(pipe, "1.0", chat)
    letter = outbox.Letter("old", 1, "webhook", {}, "failed", "text", {}, 0.0)
    with Store.open(pipe_home) as store:
        with store.promises.writing() as database:
            outbox.post(database, [letter])
        [posted] = outbox.waiting(store.promises)
        outbox.not_sent(store.promises, posted, "nobody answers", store.now())
    assert "webhook was not told of `failed`: nobody answers" in pipe("report").stdout


def test_verify_belongs_to_audit(pipe: Any) -> None:
    assert "--verify belongs to --audit" in pipe("report", "--verify", exit_code=2).stderr
    assert "nothing has happened yet" in pipe("report", "--audit").stdout
    assert json.loads(pipe("report", "--audit", "--json").stdout) == {"schema": 1, "lines": []}
    assert "nothing is kept of staging" in pipe("snapshots", "list", "staging").stdout
