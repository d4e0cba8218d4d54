"""The commands about deployments, on the target that the page for plugin authors writes."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RunPipe

PAGE = (Path(__file__).parents[1] / "docs/plugins.md").read_text(encoding="utf-8")
PIPELINE = """
on:
  workflow_dispatch:
    inputs:
      version: {{default: one}}
jobs:
  ship:
    runs-on: self-hosted
    environment: production
    steps:
      - id: ship
        deploy:
          application: motd
          target: folder
          with: {{to: "{folder}", text: "${{{{ inputs.version }}}}"}}
          version: ${{{{ inputs.version }}}}
          verify: [{{command: {{run: "grep -v bad {folder}/live", on: local, within: 1s}}}}]
          keep: 3
      - run: echo "release ${{{{ steps.ship.outputs.release }}}} of ${{{{ steps.ship.outputs.result }}}}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("pipelines", "plugins", "served"):
        (tmp_path / name).mkdir()
    [source] = [
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
        if "class Folder" in block
    ]
    (tmp_path / "plugins" / "folder.py").write_text(source)
    text = PIPELINE.format(folder=tmp_path / "served")
    (tmp_path / "pipelines" / "ship.yaml").write_text(text)
    return tmp_path


def served(project: Path) -> str:
    return (project / "served" / "live").read_text()


def test_from_a_first_release_to_the_way_back(project: Path, run_pipe: RunPipe) -> None:
    for version, code in (("one", 0), ("two", 0), ("bad", 1)):
        ran = run_pipe("run", "ship", "--host", "--input", f"version={version}", cwd=project)
        assert ran.exit_code == code, ran.stdout
    assert served(project) == "two"
    assert "rolling back to two" in ran.stdout

    listed = run_pipe("releases", cwd=project).stdout.splitlines()
    columns = [line.split()[:6] for line in listed]
    assert columns[1:] == [
        ["motd", "production", "#3", "bad", "bad", columns[1][5]],
        ["*", "motd", "production", "#2", "two", "good"],
        ["motd", "production", "#1", "one", "good", columns[3][5]],
    ]
    told = run_pipe("report", cwd=project).stdout
    assert "deployment 3: deploy of bad of motd to production, rolled-back" in told
    assert "deployment 4: rollback of two of motd to production, succeeded" in told
    attempts = json.loads(run_pipe("releases", "--deployments", "--json", cwd=project).stdout)
    assert [(each["kind"], each["state"]) for each in attempts[:2]] == [
        ("rollback", "succeeded"),
        ("deploy", "rolled-back"),
    ]

    back = run_pipe("rollback", "production", "--host", cwd=project)
    assert (back.exit_code, back.stdout.splitlines()[-1]) == (0, "one is live")
    assert served(project) == "one"


def test_what_cannot_be_gone_back_to_is_told(project: Path, run_pipe: RunPipe) -> None:
    nothing = run_pipe("rollback", "production", cwd=project)
    assert nothing.exit_code == 2
    assert "nothing is live in production" in nothing.stderr
    assert run_pipe("releases", cwd=project).stdout == "nothing was deployed\n"
    assert run_pipe("report", cwd=project).exit_code == 2


@pytest.fixture
def address() -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


CHECKS = """
verify:
  - http: {path: /ready, expect: 200, body: ok, within: 5s}
  - tcp: {port: %s}
"""


def test_checks_of_what_runs(tmp_path: Path, address: str, run_pipe: RunPipe) -> None:
    port = address.rpartition(":")[2]
    (tmp_path / "checks.yaml").write_text(CHECKS % port)
    arguments = ("verify", "checks.yaml", "--base-url", address)
    table = run_pipe(*arguments, cwd=tmp_path)
    assert table.exit_code == 0
    rows = [line.split()[:2] for line in table.stdout.splitlines()]
    assert rows == [["CHECK", "VERDICT"], ["http", "pass"], ["tcp", "pass"]]
    found = json.loads(run_pipe(*arguments, "--json", cwd=tmp_path).stdout)
    assert [each["verdict"] for each in found["checks"]] == ["pass", "pass"]


def test_a_check_that_fails_is_the_exit_code(
    tmp_path: Path, address: str, run_pipe: RunPipe
) -> None:
    (tmp_path / "checks.yaml").write_text(
        "verify: [http: {path: /, expect: 404, within: 1s, interval: 100ms}]"
    )
    failed = run_pipe("verify", "checks.yaml", "--base-url", address, cwd=tmp_path)
    assert failed.exit_code == 1
    assert "it answers 200, not 404" in failed.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "verify: [pong: {}]",
            "checks.yaml:1:10: error[unknown-check]: no plugin brings a check `pong`",
        ),
        (
            "verify: [tcp: {prot: 1}]",
            "checks.yaml:1:16: error[unknown-key]: `tcp` has no key `prot`",
        ),
        ("checks: []", "checks.yaml:1:1: error[wrong-type]"),
        ("verify: []\nmore: 1", "checks.yaml:2:1: error[unknown-key]: unknown key `more`"),
    ],
)
def test_a_file_of_checks_is_checked(
    tmp_path: Path, run_pipe: RunPipe, text: str, said: str
) -> None:
    (tmp_path / "checks.yaml").write_text(text)
    refused = run_pipe("verify", "checks.yaml", cwd=tmp_path)
    assert refused.exit_code == 2
    assert said in refused.stderr
