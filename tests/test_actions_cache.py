"""`actions/cache`: what is saved and restored, when there is a hit, and what a box cannot do."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.actions.cache import CACHE, RESTORE, SAVE
from runner.actions.native import ActionFailedError, ActionStoppedError
from runner.engines.box import BOX_LOST, EngineError
from runner.errors import InvalidInputError
from runner.storage.caches import CacheStore
from runner.storage.tar_read import Member
from runner.storage.tar_write import END, header, padding
from tests.conftest import RunPipe
from tests.native_calls import GITHUB, Bench, Call, HostileBox, Told, open_bench
from tests.test_cases import make_project


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench:
        yield bench


def on_branch(ref: str, base: str = "") -> dict[str, Any]:
    return {**GITHUB, "ref": ref, "base_ref": base}


def save(bench: Bench, key: str, path: str = "deps", **changes: Any) -> Call:
    return bench.call(SAVE, {"key": key, "path": path}, **changes)


def restore(bench: Bench, key: str, path: str = "deps", others: str = "", **changes: Any) -> Call:
    return bench.call(RESTORE, {"key": key, "path": path, "restore-keys": others}, **changes)


def test_a_whole_job_and_the_next_one(bench: Bench) -> None:
    with_ = {"key": "k-1", "path": "deps", "restore-keys": "k-"}
    first = bench.call(CACHE, with_)
    assert first.outputs == {"cache-primary-key": "k-1"}
    bench.write("deps/a")
    assert CACHE.post
    CACHE.post(first)
    assert "the cache `k-1` is saved" in first.logged[-1]
    shutil.rmtree(bench.tree / "deps")
    second = bench.call(CACHE, with_)
    assert (bench.tree / "deps" / "a").read_text() == "deps/a"
    assert second.outputs == {
        "cache-primary-key": "k-1",
        "cache-hit": "true",
        "cache-matched-key": "k-1",
    }
    CACHE.post(second)
    assert "was restored, so it is not saved again" in second.logged[-1]
    third = bench.call(CACHE, {**with_, "key": "k-2"})
    assert (third.outputs["cache-hit"], third.outputs["cache-matched-key"]) == ("false", "k-1")
    CACHE.post(third)
    assert "the cache `k-2` is saved" in third.logged[-1]
    assert CACHE.post_if == "success()"


def test_a_key_that_is_there_is_not_saved_again(bench: Bench) -> None:
    bench.write("deps/a")
    save(bench, "key")
    bench.write("deps/b")
    assert "a cache is never changed" in save(bench, "key").logged[-1]
    shutil.rmtree(bench.tree / "deps")
    restore(bench, "key")
    assert [path.name for path in (bench.tree / "deps").iterdir()] == ["a"]


def test_modes_links_empty_folders_and_times_are_kept(bench: Bench) -> None:
    deps = bench.tree / "deps"
    bench.write("deps/tool", "deps/plain")
    (deps / "tool").chmod(0o755)
    (deps / "empty").mkdir()
    (deps / "python").symlink_to("/usr/bin/python3")
    (deps / "again").hardlink_to(deps / "plain")
    os.utime(deps / "plain", (1_000_000_000, 1_000_000_000))
    save(bench, "key")
    shutil.rmtree(deps)
    restore(bench, "key")
    assert (deps / "tool").stat().st_mode & 0o777 == 0o755
    assert (deps / "empty").is_dir()
    assert (deps / "python").readlink() == Path("/usr/bin/python3")
    assert (deps / "again").samefile(deps / "plain")
    assert (deps / "plain").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("deps", {"deps/a", "deps/sub/b", "deps/.hidden"}),
        ("deps/a\ndeps/sub", {"deps/a", "deps/sub/b"}),
        ("deps\ndeps/a", {"deps/a", "deps/sub/b", "deps/.hidden"}),
        ("*/sub", {"deps/sub/b", "other/sub/c"}),
        ("**/sub\n!other/**", {"deps/sub/b"}),
        ("deps/*\n!deps/a", {"deps/sub/b", "deps/.hidden"}),
        ("no/such\ndeps/a", {"deps/a"}),
        (".", {"deps/a", "deps/sub/b", "deps/.hidden", "other/sub/c"}),
    ],
)
def test_what_a_path_means(bench: Bench, path: str, names: set[str]) -> None:
    bench.write("deps/a", "deps/sub/b", "deps/.hidden", "other/sub/c")
    save(bench, "key", path)
    for each in bench.tree.iterdir():
        shutil.rmtree(each)
    restore(bench, "key", path)
    found = {str(each.relative_to(bench.tree)) for each in bench.tree.rglob("*") if each.is_file()}
    assert found == names


def test_paths_outside_of_the_workspace_have_their_places_again(
    bench: Bench, tmp_path: Path
) -> None:
    homes = [tmp_path / "home-a", tmp_path / "home-b"]
    kit = tmp_path / "kit"
    for folder in (*homes, kit):
        folder.mkdir()
        (folder / "x").write_text(folder.name)
    bench.write("deps/a")
    path = f"deps\n~/x\n{kit}"
    save(bench, "key", path, env={"HOME": str(homes[0])})
    shutil.rmtree(kit)
    shutil.rmtree(bench.tree / "deps")
    # The home folder of another job is another one.
    restore(bench, "key", path, env={"HOME": str(homes[1])})
    assert (homes[1] / "x").read_text() == "home-a"
    assert (kit / "x").read_text() == "kit"
    assert (bench.tree / "deps" / "a").exists()


def test_the_same_key_with_other_paths_is_another_cache(bench: Bench) -> None:
    bench.write("deps/a", "other/b")
    save(bench, "key")
    assert "cache-hit" not in restore(bench, "key", "other").outputs
    save(bench, "key", "other")
    assert restore(bench, "key", "other").outputs["cache-hit"] == "true"
    assert restore(bench, "key").outputs["cache-hit"] == "true"


@pytest.mark.parametrize(
    ("github", "seen"),
    [
        (on_branch("refs/heads/topic"), True),
        (on_branch("refs/heads/other"), False),
        (on_branch("refs/heads/main"), False),
        (on_branch("refs/pull/1/merge", "topic"), True),
        (on_branch("refs/pull/1/merge", "main"), False),
        ({}, False),
    ],
)
def test_branches(bench: Bench, github: dict[str, Any], seen: bool) -> None:
    bench.write("deps/a")
    save(bench, "key", github=on_branch("refs/heads/topic"))
    assert ("cache-hit" in restore(bench, "key", github=github).outputs) == seen


def test_every_branch_sees_what_the_default_branch_saved(bench: Bench) -> None:
    bench.write("deps/a")
    save(bench, "key")
    assert restore(bench, "key", github=on_branch("refs/heads/x")).outputs["cache-hit"] == "true"
    assert "cache-hit" not in restore(bench, "key", project="/other").outputs


def test_looking_up_restores_nothing(bench: Bench) -> None:
    bench.write("deps/a")
    save(bench, "key")
    shutil.rmtree(bench.tree / "deps")
    call = bench.call(RESTORE, {"key": "key", "path": "deps", "lookup-only": "true"})
    assert call.outputs["cache-hit"] == "true"
    assert not (bench.tree / "deps").exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": "x" * 513}, "has 513 characters"),
        ({"key": "a,b"}, "has a comma"),
        ({"restore-keys": "a\nb,c"}, "has a comma"),
        ({"restore-keys": "a\n" * 10}, "there are 10 `restore-keys`"),
        ({"key": ""}, "needs the input `key`"),
        ({"path": " \n "}, "needs the input `path`"),
        ({"lookup-only": "x"}, "`lookup-only` is `x`"),
        ({"enableCrossOsArchive": "x"}, "`enableCrossOsArchive` is `x`"),
        ({"upload-chunk-size": "x"}, "`upload-chunk-size` is `x`"),
    ],
)
def test_what_is_refused(bench: Bench, changes: dict[str, str], why: str) -> None:
    bench.write("deps/a")
    save(bench, "key")
    with pytest.raises(InvalidInputError, match=why):
        bench.call(CACHE, {"key": "key", "path": "deps", **changes})


def test_a_miss_fails_only_when_it_should(bench: Bench) -> None:
    with pytest.raises(ActionFailedError, match="there is no cache for the key `key`"):
        bench.call(RESTORE, {"key": "key", "path": "deps", "fail-on-cache-miss": "true"})


def test_a_damaged_cache_is_a_miss_that_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.write("deps/a")
    save(bench, "key")
    [blob] = (tmp_path / "home" / "blobs").glob("??/*")
    blob.write_bytes(blob.read_bytes().replace(b"deps/a", b"deps/A"))
    shutil.rmtree(bench.tree / "deps")
    call = restore(bench, "key")
    assert "cache-hit" not in call.outputs
    assert "the cache `key` cannot be used" in call.warnings[0]
    assert not (bench.tree / "deps").exists()
    bench.write("deps/a")
    assert "is saved" in save(bench, "key").logged[-1]


# -- what keeps a cache from being saved is no reason to fail


@pytest.mark.parametrize("path", ["deps", "deps/*", "deps\n!deps"])
def test_nothing_to_save(bench: Bench, path: str) -> None:
    warnings = save(bench, "key", path).warnings
    assert warnings == ["the cache is not saved: none of the paths exists"]


def test_too_much_to_save(bench: Bench, tmp_path: Path) -> None:
    bench.storage.caches = CacheStore(tmp_path / "caches", bench.storage.blobs, most_bytes=1000)
    (bench.tree / "deps").write_bytes(bytes(2000))
    assert "a project may keep 1000" in save(bench, "key").warnings[0]


def file(name: str) -> bytes:
    return header(Member(name, "file", 1)) + b"x" + padding(1)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (file("deps/../../x") + END, "leads out of the archive"),
        (file(".bashrc") + END, "which nobody asked for"),
        (file("depsx") + END, "which nobody asked for"),
        (header(Member("deps/l", "link", target="/etc")) + file("deps/l/x") + END, "through a"),
        (header(Member("deps/h", "hardlink", target="/etc/shadow")) + END, "leads out"),
        (b"x" * 2000, "no tar archive"),
    ],
)
def test_a_box_that_sends_what_it_likes(bench: Bench, sent: bytes, why: str) -> None:
    bench.write("deps/a")
    call = save(bench, "key", box=HostileBox(bench.box, [sent]))
    assert why in call.warnings[0]
    assert "cache-hit" not in restore(bench, "key").outputs


class LostBox(HostileBox):
    """A box that is gone."""

    def pack(self, cwd: str, paths: Any, *, follow: bool = False) -> Iterator[bytes]:
        raise EngineError(BOX_LOST, "the box is gone")


def test_a_box_that_is_lost_or_a_step_that_has_to_end_is_told(bench: Bench) -> None:
    bench.write("deps/a")
    with pytest.raises(EngineError):
        save(bench, "key", box=LostBox(bench.box, []))
    with pytest.raises(ActionStoppedError):
        save(bench, "key", stop=Told(0))
    with pytest.raises(InvalidInputError, match="the whole file system"):
        save(bench, "key", "/")


# -- in runs

PIPELINE = """\
on: workflow_dispatch
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - id: deps
        uses: actions/cache@v4
        with: { path: deps, key: one }
      - run: mkdir -p deps && date +%s%N >> deps/made && cat deps/made
      - run: ${{ vars.END }}
"""


@pytest.mark.docker
def test_a_run_uses_what_an_earlier_one_saved(tmp_path: Path, run_pipe: RunPipe) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "pipeline.yaml").write_text(PIPELINE)
    project = tmp_path / "project"
    make_project(source, project)
    # A failed job saves nothing.
    failed = run_pipe("run", "pipeline.yaml", "--var", "END=false", cwd=project)
    assert (failed.exit_code, "is saved" in failed.stdout) == (1, False)
    first = run_pipe("run", "pipeline.yaml", "--var", "END=true", cwd=project)
    assert "the cache `one` is saved" in first.stdout
    second = run_pipe("run", "pipeline.yaml", "--var", "END=true", cwd=project)
    assert "the cache `one` (" in second.stdout
    assert "was restored, so it is not saved again" in second.stdout
