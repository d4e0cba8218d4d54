"""`actions/checkout` of other commits and other repositories, which lie in folders."""

import base64
import codecs
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runner.actions.checkout.access import Credentials
from runner.actions.git import NETWORK, Git, GitError, environment
from runner.actions.repositories import Repositories, Request
from runner.errors import EnvironmentMissingError, InvalidInputError
from tests.conftest import Finished, RunPipe
from tests.test_actions_fetch import Server, git

DEBIAN = "pipe-test/debian:12"
CONFIG = f"""\
images: {{debian: '{DEBIAN}', busybox: 'pipe-test/busybox:1', nonroot: 'pipe-test/nonroot:1'}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "server")


@dataclass(frozen=True)
class Here:
    """A project in git, whose pipeline has one job with some steps."""

    folder: Path
    server: Server
    run_pipe: RunPipe

    def commit(self, files: Mapping[str, str]) -> str:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", "a change")
        return git(self.folder, "rev-parse", "HEAD")

    def run(
        self, steps: str, *options: str, on: str = "debian", env: Mapping[str, str] | None = None
    ) -> Finished:
        """The steps; what they did must have left the project as it was."""
        (self.folder / "ci.yaml").write_text(
            f"on: push\njobs:\n  a:\n    runs-on: {on}\n    steps:\n{steps}"
        )
        before = git(self.folder, "status", "--porcelain"), git(self.folder, "show-ref")
        ended = self.run_pipe(
            *("run", "ci.yaml", *options),
            cwd=self.folder,
            env={"PIPE_ACTIONS_SERVER": self.server.url, **(env or {})},
        )
        after = git(self.folder, "status", "--porcelain"), git(self.folder, "show-ref")
        assert before == after
        return ended


@pytest.fixture
def here(tmp_path: Path, server: Server, run_pipe: RunPipe) -> Here:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / ".git/info/exclude").write_text("ci.yaml\n")
    made = Here(folder, server, run_pipe)
    made.commit({"pipe.yaml": CONFIG, "mine": "mine\n"})
    return made


def passed(ended: Finished) -> str:
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return ended.stdout


def checkout(**inputs: str) -> str:
    settings = "".join(f"          {name.replace('_', '-')}: {inputs[name]}\n" for name in inputs)
    return "      - id: it\n        uses: actions/checkout@v4\n" + (
        f"        with:\n{settings}" if inputs else ""
    )


def script(*lines: str) -> str:
    body = "".join(f"          {line}\n" for line in ("set -ex", *lines))
    return f"      - run: |\n{body}"


# -- the repositories that are kept


@pytest.fixture
def kept(tmp_path: Path) -> Repositories:
    (tmp_path / "home").mkdir()
    return Repositories(tmp_path / "home")


def request(server: Server, name: str = "o/n", ref: str = "", depth: int = 1) -> Request:
    access = Credentials("").access(server.folder, server.url)
    return Request(name, f"{server.url}/{name}", ref, depth, access=access)


def test_refs_are_found_as_the_server_has_them(server: Server, kept: Repositories) -> None:
    first = server.commit("o/n", {"a": "1"}, "v1")
    second = server.commit("o/n", {"a": "2"})
    for ref, full, commit in (
        ("", "refs/heads/main", second),
        ("main", "refs/heads/main", second),
        ("v1", "refs/tags/v1", first),
        ("refs/tags/v1", "refs/tags/v1", first),
        (first, "", first),
    ):
        for depth in (0, 1):
            found = kept.find(request(server, ref=ref, depth=depth)).target
            assert (found.ref, found.id) == (full, commit)


def test_a_branch_is_the_newest_and_without_a_server_the_last(
    server: Server, kept: Repositories
) -> None:
    first = server.commit("o/n", {"a": "1"})
    assert kept.find(request(server)).target.id == first
    second = server.commit("o/n", {"a": "2"})
    assert kept.find(request(server)).target.id == second
    offline = Repositories(kept.home, offline=True)
    assert "--offline" in offline.find(request(server)).note
    with pytest.raises(EnvironmentMissingError, match=r"`ref: v1` of `o/n`.* is not on this"):
        offline.find(request(server, ref="v1"))
    (server.folder / "o/n").rename(server.folder / "gone")
    stale = kept.find(request(server))
    assert stale.target.id == second
    assert "as it was fetched earlier" in stale.note
    assert kept.find(request(server, ref=second)).note == ""


def test_what_a_server_does_not_have_is_named(server: Server, kept: Repositories) -> None:
    server.commit("o/n", {"a": "1"})
    for ref in ("v9", "refs/pull/1/merge", "0" * 40):
        with pytest.raises(InvalidInputError, match=f"`ref: {ref}`: `o/n` has no such"):
            kept.find(request(server, ref=ref))
    with pytest.raises(InvalidInputError, match="`repository: o/missing`: there is no such"):
        kept.find(request(server, "o/missing"))


def test_each_depth_is_kept_for_itself(server: Server, kept: Repositories, tmp_path: Path) -> None:
    for text in "123":
        commit = server.commit("o/n", {"a": text})
    for depth, count in ((0, 3), (1, 1), (2, 2), (0, 3)):
        found = kept.find(request(server, depth=depth))
        assert git(tmp_path, f"--git-dir={found.url[7:]}", "rev-list", "--count", commit) == str(
            count
        )


# -- git itself


def test_git_runs_nothing_that_it_is_told_to(tmp_path: Path) -> None:
    work = Git(tmp_path)
    work.run("init", "-q")
    (tmp_path / ".git/hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    (tmp_path / ".git/hooks/post-checkout").chmod(0o755)
    work.run("config", "core.fsmonitor", f"touch {tmp_path}/monitored")
    (tmp_path / "a").write_text("a")
    work.run("add", "a")
    work.run("commit", "-qm", "a")
    work.run("checkout", "-q", "-b", "other")
    for url in (f"ext::sh -c touch% {tmp_path}/ran", "https://127.0.0.1:1/x"):
        with pytest.raises(GitError, match="not allowed"):
            work.run("ls-remote", "--", url)
    with pytest.raises(GitError, match="not allowed"):
        Git(tmp_path, access=Credentials("").access(tmp_path, "https://x")).run(
            "ls-remote", "--", f"file://{tmp_path}"
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == [".git", "a"]


def test_git_is_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Git(tmp_path, check=stop).run("-c", "alias.wait=!sleep 60", "wait")


def test_a_token_is_for_its_server_and_in_no_command(tmp_path: Path) -> None:
    found = Credentials("https://git.example.org:8443/sub", "s3cret")
    env = environment(found.access(tmp_path, "https://git.example.org:8443/sub/o/n"))
    header = base64.b64encode(b"x-access-token:s3cret").decode()
    number = next(key[15:] for key, value in env.items() if value.endswith("/.extraheader"))
    assert env[f"GIT_CONFIG_KEY_{number}"] == "http.https://git.example.org:8443/.extraheader"
    assert env[f"GIT_CONFIG_VALUE_{number}"] == f"AUTHORIZATION: basic {header}"
    assert env["GIT_ALLOW_PROTOCOL"] == ":".join(NETWORK)
    assert "s3cret" not in repr(found)


def test_a_key_is_private_and_hosts_are_checked(tmp_path: Path) -> None:
    found = Credentials("https://github.com", key="KEY", hosts="example.org ssh-rsa x")
    found.put(tmp_path)
    assert (tmp_path / "key").read_text() == "KEY\n"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert "example.org ssh-rsa x" in (tmp_path / "known_hosts").read_text()
    command = environment(found.access(tmp_path, "ssh://git@github.com/o/n"))["GIT_SSH_COMMAND"]
    assert "StrictHostKeyChecking=yes" in command
    (tmp_path / "kept").mkdir()
    found.keep(tmp_path / "kept", "/in/box")
    command = git(tmp_path, "config", "--file", "kept/config", "core.sshCommand")
    assert command.startswith('ssh -i "/in/box/key" ')


# -- in a run: this repository


@pytest.mark.docker
def test_another_commit_of_this_repository(here: Here) -> None:
    first = here.commit({"old": "old\n", "both": "1\n"})
    git(here.folder, "tag", "-a", "v1", "-m", "one")
    git(here.folder, "branch", "side")
    (here.folder / "old").unlink()
    here.commit({"both": "2\n"})
    git(here.folder, "update-ref", "refs/remotes/origin/theirs", first)
    (here.folder / "both").write_text("not committed\n")
    (here.folder / "untracked").write_text("x\n")
    same = (
        'test "$(cat both old)" = "$(printf "1\\nold")"',
        'test "$(ls -A | tr "\\n" " ")" = ".git both mine old pipe.yaml "',
        'test -z "$(git status --porcelain)"',
        f'test "$(git rev-parse HEAD)" = {first}',
        f'test "${{{{ steps.it.outputs.commit }}}}" = {first}',
    )
    steps: list[str] = []
    for ref, branch, shown in (
        ("side", "side", "side"),
        ("v1", "", "v1"),
        ("refs/tags/v1", "", "refs/tags/v1"),
        ("theirs", "theirs", "theirs"),
        (first, "", ""),
    ):
        steps += [
            checkout(ref=ref).replace("id: it", f"id: it{len(steps)}"),
            script(
                *(line.replace("steps.it.", f"steps.it{len(steps)}.") for line in same),
                f'test "$(git branch --show-current)" = "{branch}"',
                f'test "${{{{ steps.it{len(steps)}.outputs.ref }}}}" = "{shown}"',
                "git log --oneline main >/dev/null && git fsck --connectivity-only",
                "git -c user.name=x -c user.email=x@y commit -q --allow-empty -m more",
                "git fetch -q --tags . main",
            ),
        ]
    steps += [
        checkout().replace("id: it", "id: back"),
        script(
            'test "$(cat both untracked)" = "$(printf "not committed\\nx")"',
            'test ! -e old && test "$(git branch --show-current)" = main',
        ),
    ]
    passed(here.run("".join(steps)))


@pytest.mark.docker
def test_the_source_in_another_folder(here: Here) -> None:
    (here.folder / "mine").write_text("changed\n")
    ended = here.run(
        checkout(path="sub/copy")
        + script(
            'test "$(cat sub/copy/mine mine)" = "$(printf "changed\\nchanged")"',
            'test "$(git -C sub/copy status --porcelain)" = " M mine"',
            "git -C sub/copy log -1 --format=%s",
        )
    )
    assert "sub/copy is this repository as it is here" in passed(ended)


@pytest.mark.docker
def test_files_that_git_does_not_know_stay_without_clean(here: Here) -> None:
    here.commit({"folder/old": "old"})
    git(here.folder, "checkout", "-q", "-b", "side")
    git(here.folder, "rm", "-q", "folder/old")
    here.commit({"new": "new"})
    git(here.folder, "checkout", "-q", "main")
    (here.folder / "untracked").write_text("x")
    passed(
        here.run(
            script("touch made")
            + checkout(ref="side", clean="false")
            + script(
                'test "$(ls -A | tr "\\n" " ")" = ".git made mine new pipe.yaml untracked "',
                'test "$(git status --porcelain)" = "$(printf "?? made\\n?? untracked")"',
            )
        )
    )


@pytest.mark.docker
def test_a_ref_that_only_the_server_has(here: Here, server: Server) -> None:
    theirs = server.commit("me/this", {"theirs": "x"})
    git(server.folder / "me/this", "update-ref", "refs/pull/7/merge", theirs)
    git(here.folder, "remote", "add", "origin", "../server/me/this")
    said = passed(
        here.run(
            checkout(ref="refs/pull/7/merge")
            + script("test -e theirs && test ! -e mine", "git status | head -1")
        )
    )
    assert "HEAD detached at pull/7/merge" in said
    ended = here.run(checkout(ref="nowhere"))
    assert (ended.exit_code, "`ref: nowhere`" in ended.stdout) == (1, True)


@pytest.mark.docker
def test_without_git_there_is_no_other_commit(tmp_path: Path, run_pipe: RunPipe) -> None:
    steps = checkout(ref="v1")
    (tmp_path / "pipe.yaml").write_text(CONFIG)
    (tmp_path / "ci.yaml").write_text(
        f"on: push\njobs:\n  a:\n    runs-on: debian\n    steps:\n{steps}"
    )
    ended = run_pipe("run", "ci.yaml")
    assert ended.exit_code == 1
    assert "the source of this run is no git repository" in ended.stdout


# -- in a run: other repositories


@pytest.mark.docker
@pytest.mark.parametrize("on", ["debian", "busybox", "nonroot"])
def test_another_repository_takes_the_place_of_this_one(
    here: Here, server: Server, on: str
) -> None:
    server.commit("o/n", {"first": "1"})
    commit = server.commit("o/n", {"sub/tool.sh": "#!/bin/sh\necho a tool\n"})
    (server.folder / "o/n/link").symlink_to("/etc/passwd")
    commit = server.commit("o/n", {})
    ended = here.run(
        checkout(repository="o/n")
        + script(
            'test "$(echo .[a-z]* *)" = ".git first link sub"',
            'test "$(readlink link)" = /etc/passwd && sh sub/tool.sh && touch sub/more first',
            f'test "${{{{ steps.it.outputs.commit }}}}" = {commit}',
            'test "${{ steps.it.outputs.ref }}" = refs/heads/main',
            "command -v git >/dev/null || exit 0",
            'test "$(git log --format=%H)" = ' + commit,
            'test "$(git branch -vv | cut -c1-6)" = "* main"',
            "git rev-parse origin/main && rm sub/more && git status --porcelain",
            'test -z "$(git status --porcelain)" && git fsck',
        ),
        on=on,
    )
    assert "a tool" in passed(ended)


@pytest.mark.docker
def test_both_beside_each_other(here: Here, server: Server) -> None:
    for text in "123":
        server.commit("O/n", {"a": text}, f"v{text}")
    git(server.folder / "O/n", "branch", "side", "v1")
    steps = (
        checkout()
        + checkout(repository="O/n", path="all", fetch_depth="0", ref="side").replace(
            "id: it", "id: b"
        )
        + checkout(repository="O/n", path="two", fetch_depth="2", fetch_tags="true").replace(
            "id: it", "id: c"
        )
        + script(
            "test -e mine && test -d .git",
            'test "$(git -C all rev-list --all --count) $(cat all/a)" = "3 1"',
            'test "$(git -C all branch --show-current)" = side',
            'test "$(git -C all tag | tr "\\n" " ")" = "v1 v2 v3 "',
            'test "$(git -C two rev-list HEAD --count) $(cat two/a)" = "3 3"',
            'test "$(git -C two tag | tr "\\n" " ")" = "v1 v2 v3 "',
        )
    )
    passed(here.run(steps))
    shutil.move(server.folder, server.folder.with_name("gone"))
    said = passed(here.run(steps, "--offline"))
    assert "as it was fetched earlier" in said


@pytest.mark.docker
def test_a_folder_stands_for_a_repository(here: Here, server: Server) -> None:
    server.commit("o/n", {"a": "1"}, "v1")
    server.commit("o/n", {"a": "2"})
    (server.folder / "o/n/a").write_text("not committed")
    options = ("--action-source", f"O/n={server.folder / 'o/n'}", "--offline")
    steps = checkout(repository="o/N", ref="v1", path="a") + script('test "$(cat a/a)" = 1')
    steps += checkout(repository="o/n", path="a").replace("it", "again", 1)
    ended = here.run(steps + script('test "$(cat a/a)" = 2'), *options)
    assert "is the folder" in passed(ended)
    ended = here.run(checkout(repository="o/n", ref="v9"), *options)
    assert (ended.exit_code, "`ref: v9`: `o/n` has no such" in ended.stdout) == (1, True)


@pytest.mark.docker
def test_what_is_there_is_more_than_enough(here: Here, server: Server) -> None:
    """`sparse-checkout` of either, and `filter`."""
    server.commit("o/n", {"a/one": "1", "b/two": "2", "top": "3"})
    here.commit({"a/one": "1", "b/two": "2", "b/three": "3"})
    (here.folder / "a/one").write_text("changed")
    passed(
        here.run(
            checkout(sparse_checkout="a")
            + script(
                'test "$(cat a/one)" = changed && test ! -e b && test -e mine',
                'test "$(git status --porcelain)" = " M a/one"',
            )
            + checkout(repository="o/n", path="n", sparse_checkout="a", filter="blob:none").replace(
                "id: it", "id: n"
            )
            + script(
                'test "$(cd n && echo *)" = "a top" && test -z "$(git -C n status --porcelain)"',
                'test "$(git -C n config remote.origin.partialclonefilter)" = blob:none',
                'test "$(git -C n rev-list --objects --missing=print HEAD | grep -c "^?")" = 1',
            )
            + checkout(
                repository="o/n",
                path="m",
                sparse_checkout="/b/",
                sparse_checkout_cone_mode="false",
            ).replace("id: it", "id: m")
            + script('test "$(cd m && echo *)" = "b"')
        )
    )


def submodule(folder: Path, url: str, name: str) -> None:
    git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", url, name)


@pytest.mark.docker
def test_submodules_are_fetched(here: Here, server: Server) -> None:
    server.commit("o/deep", {"deep": "deep"})
    server.commit("o/sub", {"file": "sub"})
    submodule(server.folder / "o/sub", server.url + "/o/deep", "deep")
    server.commit("o/sub", {})
    server.commit("o/n", {"a": "1"})
    submodule(server.folder / "o/n", server.url + "/o/sub", "sub")
    git(server.folder / "o/n", "config", "-f", ".gitmodules", "submodule.sub.url", "../sub")
    server.commit("o/n", {})
    ended = here.run(
        checkout(repository="o/n", submodules="recursive")
        + script(
            'test "$(cat sub/file sub/deep/deep)" = subdeep',
            'test -z "$(git status --porcelain)" && git submodule status --recursive',
            "git -C sub log -1 && git -C sub/deep fsck",
        )
        + checkout(repository="o/n", submodules="true", path="x").replace("id: it", "id: x")
        + script('test "$(ls -A x/sub)" = "$(printf ".git\\n.gitmodules\\ndeep\\nfile")"')
        + script('test -z "$(ls -A x/sub/deep)"')
    )
    passed(ended)
    refused = here.run(checkout(repository="o/n", submodules="true"), "--offline")
    assert (refused.exit_code, "the submodules cannot be fetched" in refused.stdout) == (1, True)


@pytest.mark.docker
def test_submodules_that_are_not_here_are_fetched(here: Here, server: Server) -> None:
    server.commit("o/sub", {"file": "sub"})
    server.commit("o/other", {"file": "other"})
    submodule(here.folder, server.url + "/o/sub", "libs/sub")
    submodule(here.folder, server.url + "/o/other", "libs/other")
    git(here.folder, "config", "-f", ".gitmodules", "submodule.libs/sub.url", "../../o/sub")
    git(here.folder, "remote", "add", "origin", f"{server.folder}/me/this")
    here.commit({})
    git(here.folder, "submodule", "deinit", "-q", "-f", "libs/sub")
    (here.folder / "libs/other/more").write_text("not committed")
    steps = script('test -z "$(ls -A libs/sub)"') + checkout(submodules="true")
    ended = here.run(
        steps
        + script(
            'test "$(cat libs/sub/file libs/other/more)" = "subnot committed"',
            "git -C libs/sub log -1 && git submodule status libs/sub",
            f'test "$(git config remote.origin.url)" = {server.folder}/me/this',
        )
    )
    passed(ended)


@pytest.mark.docker
@pytest.mark.parametrize("url", ["ext::sh -c touch% TMP/ran", "--upload-pack=touch TMP/ran"])
def test_a_submodule_runs_nothing_here(
    here: Here, server: Server, tmp_path: Path, url: str
) -> None:
    server.commit("o/sub", {"file": "sub"})
    server.commit("o/n", {"a": "1"})
    submodule(server.folder / "o/n", server.url + "/o/sub", "sub")
    url = url.replace("TMP", str(tmp_path))
    git(server.folder / "o/n", "config", "-f", ".gitmodules", "submodule.sub.url", url)
    git(server.folder / "o/n", "config", "-f", ".gitmodules", "submodule.sub.update", "!touch ran")
    server.commit("o/n", {".gitattributes": "* filter=evil\n"})
    config = f'[filter "evil"]\n\tsmudge = touch {tmp_path}/ran; cat\n\trequired = true\n'
    with Path(os.environ["GIT_CONFIG_GLOBAL"]).open("a") as file:
        file.write(config)
    ended = here.run(checkout(repository="o/n", submodules="true"))
    assert (ended.exit_code, "the input `submodules`: not all" in ended.stdout) == (1, True)
    passed(here.run(checkout(repository="o/n") + script("test -e a")))
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.docker
@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"path": "../x"}, "`path: ../x` is not below the workspace"),
        ({"path": ".git/hooks"}, "is not below the workspace"),
        ({"repository": "x"}, "`repository: x` names no repository"),
        ({"repository": "o/.."}, "names no repository"),
        ({"ref": "--upload-pack=x"}, "names no ref"),
        ({"fetch_depth": "'-1'"}, "the input `fetch-depth` is `-1`"),
        ({"github_server_url": "ext::x"}, "`github-server-url: ext::x` names no server"),
        ({"repository": "o/missing"}, "`repository: o/missing`: there is no such repository"),
        ({"repository": "o/n", "lfs": "true"}, "needs git-lfs, which is not on this machine"),
        ({"repository": "o/n", "filter": "'x y'"}, "is no filter of git's"),
    ],
)
def test_what_makes_no_sense_is_told(
    here: Here, server: Server, inputs: dict[str, str], said: str
) -> None:
    server.commit("o/n", {"a": "1"})
    ended = here.run(checkout(**inputs))
    assert ended.exit_code == 1
    assert said in ended.stdout


@pytest.mark.docker
def test_a_checkout_that_is_worked_in_stays_as_it_is(here: Here, server: Server) -> None:
    server.commit("o/n", {"a": "1"})
    for inputs in ({"repository": "o/n"}, {"path": "x"}, {"sparse_checkout": "x"}):
        ended = here.run(checkout(**inputs), "--bind")
        assert (ended.exit_code, "would change your checkout" in ended.stdout) == (1, True)
    (here.folder / ".git/info/exclude").write_text("ci.yaml\nx\n")
    for code in (0, 1):
        ended = here.run(checkout(repository="o/n", path="x"), "--bind")
        assert ended.exit_code == code, ended.stdout
    passed(here.run(checkout(token="abc"), "--bind"))
    assert "include" not in (here.folder / ".git/config").read_text()


def test_it_works_without_a_container(here: Here, server: Server) -> None:
    commit = server.commit("o/n", {"a": "1"})
    here.commit({"more": "x"})
    steps = (
        checkout(ref="main")
        + checkout(repository="o/n", path="n").replace("id: it", "id: n")
        + script("git -C n log --oneline && test -e mine && git log --oneline")
        + script(f"git -C n fetch -q --tags && test $(git -C n rev-parse HEAD) = {commit}")
        + checkout(ref=git(here.folder, "rev-parse", "HEAD^")).replace("id: it", "id: old")
        + script('test ! -e more && git fsck && test -z "$(git status --porcelain)"')
        + checkout(path="again").replace("id: it", "id: again")
        + script("test -e again/more && git -C again log --oneline")
    )
    passed(here.run(steps, "--host", on="self-hosted"))


# -- servers that ask who it is

TOKEN = "s3cret-t0ken"
HEADER = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


class Gate(BaseHTTPRequestHandler):
    """git's own server program, for those who have the token."""

    root = Path()

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"basic {HEADER}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        variables = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        ended = subprocess.run(
            ["git", "http-backend"], env=variables, input=body, capture_output=True, check=True
        )
        headers, _, content = ended.stdout.partition(b"\r\n\r\n")
        self.wfile.write(b"HTTP/1.0 200 OK\r\n" + headers + b"\r\n\r\n" + content)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gate(server: Server) -> Iterator[str]:
    handler = type("Gate", (Gate,), {"root": server.folder})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.mark.docker
def test_a_token_opens_a_repository_and_stays_unseen(
    here: Here, server: Server, gate: str, pipe_home: Path
) -> None:
    server.commit("o/n", {"a": "1"})
    env = {"PIPE_ACTIONS_SERVER": gate}
    for inputs in ({}, {"token": "wrong-token"}):
        ended = here.run(checkout(repository="o/n", **inputs), env=env)
        assert (ended.exit_code, "`o/n` was refused by its server" in ended.stdout) == (1, True)
        assert "needs `token`" in ended.stdout
    ended = here.run(
        checkout(repository="o/n", token=TOKEN)
        + script(
            f"git config http.{gate}/.extraheader | tr a-zA-Z n-za-mN-ZA-M",
            "grep -q include .git/config && ! grep -q basic .git/config",
            "git config --show-origin --get-regexp extraheader; cat $(ls -d $RUNNER_TEMP/git-*)/*",
            'test "$(stat -c %a $RUNNER_TEMP/git-*/config)" = 600',
        )
        + checkout(repository="o/n", token=TOKEN, persist_credentials="false", path="p").replace(
            "id: it", "id: p"
        )
        + script("! grep include p/.git/config"),
        env=env,
    )
    shown = passed(ended)
    assert codecs.encode(HEADER, "rot13") in shown
    assert "Post Run actions/checkout@v4" in shown
    assert TOKEN not in shown + ended.stderr
    assert HEADER not in shown + ended.stderr
    kept = [file.read_bytes() for file in (pipe_home / "repositories").rglob("*") if file.is_file()]
    assert not any(TOKEN.encode() in each or HEADER.encode() in each for each in kept)


@pytest.mark.docker
def test_what_was_kept_of_credentials_is_removed_at_the_end(here: Here) -> None:
    """What is registered first ends last, so the action sees what the checkout left."""
    look = '#!/bin/sh\nls -d $RUNNER_TEMP/git-* && git config -l || echo "nothing is left"\n'
    here.commit(
        {
            "look/action.yml": f"runs: {{using: docker, image: 'docker://{DEBIAN}', "
            "entrypoint: /bin/true, post-entrypoint: /github/workspace/look.sh}\n",
            "look.sh": look,
        }
    )
    (here.folder / "look.sh").chmod(0o755)
    here.commit({})
    ended = here.run(
        "      - uses: ./look\n"
        + checkout(token="abcdef", github_server_url="https://git.example.org")
        + script('test -n "$(git config --get-regexp extraheader)"')
    )
    assert "nothing is left" in passed(ended)
