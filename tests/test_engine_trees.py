"""Whole trees in and out of a job's box, on each engine and in each way to reach it."""

import io
import os
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from runner.engines.box import Box, BoxSpec, EngineError, Image, Workspace
from runner.engines.docker import DockerEngine
from runner.engines.host import HostEngine
from runner.engines.script import run_script
from runner.engines.tar import BlockReader, joined, rewritten, tar_stream
from tests.test_engine_docker import BUSYBOX, DEBIAN, MODES, NONROOT, no_progress

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

PLACES = [
    *(pytest.param((mode, BUSYBOX), id=f"{mode}-busybox") for mode in MODES),
    *(pytest.param((mode, DEBIAN), id=f"{mode}-debian") for mode in MODES),
    pytest.param(("local", NONROOT), id="local-nonroot"),
    pytest.param(("remote", NONROOT), id="remote-nonroot"),
    pytest.param(("host", ""), id="host"),
]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a tree may hold."""
    folder = tmp_path_factory.mktemp("given")
    folder.chmod(0o755)
    (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file name").write_bytes(b"\0\xff")
    (folder / "link").symlink_to("deep/er")
    return folder


@pytest.fixture(scope="module", params=PLACES)
def box(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, given: Path
) -> Iterator[Box]:
    mode, image = request.param
    home, tree = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("tree")
    tree.chmod(0o777)
    with pytest.MonkeyPatch.context() as patch:
        if mode != "host":
            patch.setenv("PIPE_ENGINE_MODE", mode)
        engine = HostEngine(home) if mode == "host" else DockerEngine(home)
    spec = BoxSpec(
        1, "job", 1, "tests", Image(image, "never"), Workspace((tree,)), mounts={"a/b": given}
    )
    box = engine.open(spec, no_progress)
    yield box
    box.close("success")
    engine.finish()


def says(box: Box, script: str, *arguments: str) -> str:
    ended = run_script(box, f"cd {box.facts.workspace}\n{script}", arguments)
    assert ended.exit_code == 0, ended.complaint
    return ended.output.decode(errors="surrogateescape")


def archive(files: Mapping[str, bytes], *more: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(data), 0o640, 4711, 4711
            tar.addfile(entry, io.BytesIO(data))
        for entry in more:
            tar.addfile(entry)
    return stream.getvalue()


def names(blocks: Iterator[bytes]) -> dict[str, bytes | str]:
    """Name -> content of a file, target of a link, or nothing."""
    with tarfile.open(fileobj=BlockReader(blocks), mode="r|") as tar:
        return {
            entry.name: (tar.extractfile(entry) or io.BytesIO()).read()
            if entry.isreg()
            else entry.linkname
            for entry in tar
        }


def test_a_mounted_folder_is_there_and_stays_as_it_is(box: Box, given: Path) -> None:
    place = box.path_of("a/b")
    assert box.bring("a/b", given) == place
    assert says(box, '"$2/run.sh"; ls "$2/link"', place) == "ran\nfile name\n"
    run_script(box, 'echo changed >"$2/run.sh"', [place])
    assert (given / "run.sh").read_text() == "#!/bin/sh\necho ran\n"


def test_a_folder_is_brought_with_modes_and_links(box: Box, given: Path) -> None:
    place = box.bring("late/r", given)
    assert place == box.path_of("late/r") == box.bring("late/r", given)
    assert says(box, '"$2/run.sh"; readlink "$2/link"; wc -c <"$2/link/file name"', place) == (
        "ran\ndeep/er\n2\n"
    )


def test_a_tree_that_is_written_belongs_to_the_user_of_the_box(box: Box) -> None:
    link = tarfile.TarInfo("x/link")
    link.type, link.linkname = tarfile.SYMTYPE, "one"
    box.write_tree(
        f"{box.facts.workspace}/new/er", [archive({"x/one": b"1\n", "-two": b"2"}, link)]
    )
    shown = says(box, 'cd new/er && cat x/link ./-two; stat -c " %u %a" x/one; id -u')
    assert shown == f"1\n2 {says(box, 'id -u').strip()} 640\n{says(box, 'id -u')}"


def test_what_is_in_a_folder_stays_when_more_is_written(box: Box) -> None:
    folder = f"{box.facts.workspace}/grown"
    for name in ("a", "b"):
        box.write_tree(folder, iter([archive({name: b""})]))
    assert says(box, "ls grown").split() == ["a", "b"]


def test_what_gives_the_blocks_may_fail(box: Box) -> None:
    def blocks() -> Iterator[bytes]:
        yield archive({"a": b"a"})[:512]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        box.write_tree(f"{box.facts.workspace}/half", blocks())
    assert says(box, "echo still there") == "still there\n"


@pytest.mark.parametrize("path", ["/proc/nowhere", "{workspace}/file/below"])
def test_a_tree_that_cannot_be_written_is_an_error(box: Box, path: str) -> None:
    says(box, "echo >file")
    place = path.format(workspace=box.facts.workspace)
    with pytest.raises(EngineError, match="could not be written to") as caught:
        box.write_tree(place, [archive({"a": b"a"})])
    assert caught.value.reason == "tree"


def test_what_is_no_archive_is_an_error(box: Box) -> None:
    with pytest.raises(EngineError):
        box.write_tree(f"{box.facts.workspace}/none", [b"nothing of the kind " * 100])


def test_what_is_named_is_packed(box: Box) -> None:
    says(box, "mkdir -p p/q/r; echo 1 >p/q/r/one; echo 2 >'p/a b'; echo 3 >p/-c; ln -sf q p/l")
    packed = names(box.pack(f"{box.facts.workspace}/p", ["q", "a b", "-c", "l"]))
    found = {name.removeprefix("./").rstrip("/"): content for name, content in packed.items()}
    assert found["q/r/one"] == b"1\n"
    assert found["a b"] == b"2\n"
    assert found["-c"] == b"3\n"
    assert found["l"] == "q"


def test_many_are_packed_at_once(box: Box) -> None:
    says(box, "mkdir many; cd many; i=0; while [ $i -lt 3000 ]; do echo $i >f$i; i=$((i+1)); done")
    paths = [f"many/f{number}" for number in range(3000)]
    long = box.pack(box.facts.workspace, [f"./././././././././././././{path}" for path in paths])
    assert len(names(long)) == 3000
    assert set(names(box.pack(box.facts.workspace, paths))) == set(paths)


def test_what_is_not_there_cannot_be_packed(box: Box) -> None:
    with pytest.raises(EngineError, match=r"could not be packed: .*absent"):
        list(box.pack(box.facts.workspace, ["absent"]))


def test_who_stops_reading_hinders_nobody(box: Box) -> None:
    says(box, "dd if=/dev/zero of=large bs=1M count=8 2>/dev/null")
    blocks = box.pack(box.facts.workspace, ["large"])
    next(blocks)
    getattr(blocks, "close")()  # noqa: B009 - an iterator need not have it
    assert says(box, "echo on") == "on\n"


def test_a_tree_may_go_from_one_place_to_another_at_once(box: Box) -> None:
    says(box, "dd if=/dev/urandom of=random bs=1M count=4 2>/dev/null")
    box.write_tree(f"{box.facts.workspace}/copy", box.pack(box.facts.workspace, ["random"]))
    assert says(box, "cmp random copy/random && echo same") == "same\n"


def test_several_threads_write_and_pack(box: Box) -> None:
    failures: list[BaseException] = []

    def both(number: int) -> None:
        try:
            folder = f"{box.facts.workspace}/thread{number}"
            box.write_tree(folder, [archive({"f": str(number).encode() * 100_000})])
            assert names(box.pack(folder, ["f"])) == {"f": str(number).encode() * 100_000}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=both, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_large_tree_takes_little_memory(box: Box) -> None:
    size = 64 << 20

    def blocks() -> Iterator[bytes]:
        entry = tarfile.TarInfo("zeros")
        entry.size = size
        yield entry.tobuf()
        for _ in range(size >> 20):
            yield bytes(1 << 20)
        yield bytes(1024)

    tracemalloc.start()
    try:
        box.write_tree(f"{box.facts.workspace}/huge", blocks())
        read = sum(map(len, box.pack(f"{box.facts.workspace}/huge", ["zeros"])))
        assert read >= size
        assert tracemalloc.get_traced_memory()[1] < size / 2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_an_image_without_tar_gets_and_gives_archives(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPE_ENGINE_MODE", mode)
    engine = DockerEngine(tmp_path)
    tree = tmp_path / "tree"
    tree.mkdir()
    box = engine.open(
        BoxSpec(1, "j", 1, "tests", Image(DEBIAN, "never"), Workspace((tree,))), no_progress
    )
    try:
        says(box, 'rm "$(command -v tar)"; ! command -v tar')
        box.write_tree("/elsewhere/x", [archive({"a/b": b"b"})])
        assert says(box, "cat /elsewhere/x/a/b; stat -c %u /elsewhere/x/a/b") == "b0\n"
        packed = names(box.pack("/elsewhere", ["x/a", "x/a/b"]))
        assert packed == {"x/a": "", "x/a/b": b"b"}
        with pytest.raises(EngineError, match="`absent` does not exist"):
            list(box.pack("/elsewhere", ["absent"]))
    finally:
        box.close("success")
        engine.finish()


# -- streams by themselves


def test_a_stream_can_be_changed_on_its_way(given: Path) -> None:
    def shorter(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.name = entry.name.removeprefix("top/")
        return None if entry.name == "link" else entry

    changed = names(rewritten(tar_stream(given, "top"), shorter))
    assert set(changed) == {"top", "run.sh", "deep", "deep/er", "deep/er/file name"}
    assert changed["deep/er/file name"] == b"\0\xff"


def test_streams_are_joined() -> None:
    one, two = archive({"1": b"one"}), archive({"2": b"two"})
    assert names(joined([([one], lambda e: e), ([two], lambda e: e)])) == {"1": b"one", "2": b"two"}
    assert names(rewritten([one + two], several=True)) == {"1": b"one", "2": b"two"}


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with pytest.raises(tarfile.TarError):
        list(rewritten([archive({"1": os.urandom(4096)})[:2048]]))
