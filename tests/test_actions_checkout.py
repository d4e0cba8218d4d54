"""`actions/checkout` of other commits and other repositories, which lie in folders."""

import base64
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
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
    body = "".join(f"          {line}\n" for line in ("set -e", *lines))
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
    steps = []
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
            'test "$(git -C two rev-list HEAD --count) $(cat two/a)" = "2 3"',
            'test "$(git -C two tag | tr "\\n" " ")" = "v1 v2 v3 "',
        )
    )
    passed(here.run(steps))
    shutil.move(server.folder, server.folder.with_name("gone"))
    said = passed(here.run(steps, "--offline"))
    assert "as it was fetched earlier" in said
