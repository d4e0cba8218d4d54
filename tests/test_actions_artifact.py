"""`upload-artifact` and `download-artifact`: what is taken, what is refused, and where it goes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.actions.artifact import DOWNLOAD, UPLOAD, matches
from runner.actions.inputs import complete, unknown
from runner.actions.native import ActionFailedError, ActionStoppedError
from runner.errors import InvalidInputError, PipeError
from runner.storage import CorruptBlobError, NameTakenError
from runner.storage.tar_read import BadArchiveError, Member, members
from runner.storage.tar_write import END, header, padding
from tests.native_calls import Bench, HostileBox, Told, open_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench:
        yield bench


def stored(bench: Bench, run: int = 7) -> dict[str, dict[str, str]]:
    """The files of each artifact with their contents."""
    return {
        artifact.name: {
            member.name: b"".join(pieces).decode()
            for member, pieces in members(bench.storage.artifacts.read(artifact))
        }
        for artifact in bench.storage.artifacts.of_run(run)
    }


FILES = (
    *("a.txt", "b.log", "out/one.txt", "out/two.log", "out/sub/three.txt"),
    *("out/.hidden", "out/.dir/four.txt", ".top/five.txt"),
)


@pytest.mark.parametrize(
    ("path", "hidden", "names"),
    [
        ("out", "false", {"one.txt", "two.log", "sub/three.txt"}),
        ("out/", "false", {"one.txt", "two.log", "sub/three.txt"}),
        ("./out/**", "false", {"one.txt", "two.log", "sub/three.txt"}),
        ("out/one.txt", "false", {"one.txt"}),
        ("out/*.txt", "false", {"one.txt"}),
        ("out/sub", "false", {"three.txt"}),
        ("**/*.txt", "false", {"a.txt", "out/one.txt", "out/sub/three.txt"}),
        ("out/sub\nout/two.log", "false", {"sub/three.txt", "two.log"}),
        ("a.txt\nout/sub", "false", {"a.txt", "out/sub/three.txt"}),
        ("out\n!out/**/*.txt", "false", {"two.log"}),
        ("out\n!out/sub", "false", {"one.txt", "two.log"}),
        ("out/{one,two}.txt", "false", set()),
        ("# a comment\n\n  b.log  ", "false", {"b.log"}),
        ("b.log\nno/such/file", "false", {"b.log"}),
        ("out", "true", {"one.txt", "two.log", "sub/three.txt", ".hidden", ".dir/four.txt"}),
        (".top", "false", set()),
        (".top", "true", {"five.txt"}),
        (".top/five.txt", "false", {"five.txt"}),
        ("~/in-home", "false", {"x"}),
        ("~/in-home/x\n~/in-home/y", "false", {"x"}),
        (".", "false", {"a.txt", "b.log", "out/one.txt", "out/two.log", "out/sub/three.txt"}),
    ],
)
def test_what_a_path_selects(bench: Bench, path: str, hidden: str, names: set[str]) -> None:
    bench.write(*FILES)
    home = Path.home() / "in-home"
    home.mkdir()
    (home / "x").write_text("x")
    (bench.tree / "out" / "empty").mkdir()
    bench.call(UPLOAD, {"path": path, "include-hidden-files": hidden})
    assert {name for files in stored(bench).values() for name in files} == names


def test_links_are_what_they_lead_to(bench: Bench) -> None:
    bench.write("real/file")
    out = bench.tree / "out"
    out.mkdir()
    (out / "file").symlink_to("../real/file")
    (out / "folder").symlink_to("../real")
    (out / "broken").symlink_to("nowhere")
    (out / "loop").symlink_to(".")
    call = bench.call(UPLOAD, {"path": "out"})
    [files] = stored(bench).values()
    assert {"file", "folder/file"} <= set(files)
    assert "broken" not in files
    assert call.outputs["artifact-id"] == "1"


def test_outputs_and_record(bench: Bench) -> None:
    bench.write("a.txt")
    call = bench.call(UPLOAD, {"path": "a.txt", "name": "it", "retention-days": "3"})
    [artifact] = bench.storage.artifacts.of_run(7)
    assert call.outputs == {
        "artifact-id": str(artifact.id),
        "artifact-digest": artifact.digest,
        "artifact-url": bench.storage.blobs.path(artifact.digest).as_uri(),
    }
    assert (artifact.name, artifact.files, artifact.size) == ("it", 1, 5)
    assert round((artifact.expires - artifact.created) / 86400) == 3
    assert "artifact `it` is stored: 1 file, 5 bytes" in call.logged[0]


def test_nothing_is_kept_longer_than_on_github(bench: Bench) -> None:
    bench.write("a.txt")
    call = bench.call(UPLOAD, {"path": "a.txt", "retention-days": "365"})
    [artifact] = bench.storage.artifacts.of_run(7)
    assert round((artifact.expires - artifact.created) / 86400) == 90
    assert call.warnings == ["an artifact is kept for 90 days at most, not for 365"]


@pytest.mark.parametrize("name", ["a.txt", "  odd ' $(x) \\n name  ", "n\xe4me", "-rf"])
def test_names_of_files(bench: Bench, name: str) -> None:
    (bench.tree / "out").mkdir()
    (bench.tree / "out" / name).write_text("x")
    bench.call(UPLOAD, {"path": "out"})
    bench.call(DOWNLOAD, {"name": "artifact", "path": "got"})
    assert [path.name for path in (bench.tree / "got").iterdir()] == [name]


@pytest.mark.parametrize(
    ("with_", "why"),
    [
        ({"path": "a.txt", "name": "a/b"}, "cannot be the name of an artifact"),
        ({"path": "a.txt", "name": "a:b"}, "cannot be the name of an artifact"),
        ({"path": "a.txt", "name": ".."}, "cannot be the name of an artifact"),
        ({"path": "a.txt", "name": ""}, "cannot be the name of an artifact"),
        ({"path": "a.txt", "if-no-files-found": "maybe"}, "`if-no-files-found` is `maybe`"),
        ({"path": "a.txt", "retention-days": "-1"}, "`retention-days` is `-1`"),
        ({"path": "a.txt", "compression-level": "10"}, "`compression-level` is `10`"),
        ({"path": "a.txt", "overwrite": "perhaps"}, "`overwrite` is `perhaps`"),
        ({"path": "../a.txt"}, "`.` and `..` cannot be parts of it"),
        ({"path": "odd"}, "some systems have no such names"),
        ({"path": "none", "if-no-files-found": "error"}, "no files were found"),
        ({"path": "a.txt\nb.txt", "archive": "false"}, "is one file, and these are 2"),
        ({}, "needs the input `path`"),
    ],
)
def test_what_is_refused(bench: Bench, with_: dict[str, str], why: str) -> None:
    bench.write("a.txt", "b.txt", "odd/a:b")
    with pytest.raises(PipeError, match=why) as caught:
        bench.call(UPLOAD, with_)
    assert isinstance(caught.value, (InvalidInputError, ActionFailedError))
    assert stored(bench) == {}


@pytest.mark.parametrize(("how", "warned"), [("warn", 1), ("ignore", 0)])
def test_no_files_need_not_be_an_error(bench: Bench, how: str, warned: int) -> None:
    call = bench.call(UPLOAD, {"path": "none", "if-no-files-found": how})
    assert len(call.warnings) == warned
    assert call.outputs == {}


def test_without_an_archive_the_file_gives_the_name(bench: Bench) -> None:
    bench.write("out/app.bin")
    bench.call(UPLOAD, {"path": "out/*", "archive": "false", "name": "ignored"})
    assert stored(bench) == {"app.bin": {"app.bin": "out/app.bin"}}


def test_a_name_is_taken_unless_it_is_overwritten(bench: Bench) -> None:
    bench.write("a", "b")
    bench.call(UPLOAD, {"path": "a"})
    with pytest.raises(NameTakenError):
        bench.call(UPLOAD, {"path": "b"})
    bench.call(UPLOAD, {"path": "b", "overwrite": "true"})
    assert stored(bench) == {"artifact": {"b": "b"}}


def test_names_of_inputs_ignore_case_and_unknown_ones_are_told() -> None:
    values = complete(UPLOAD, {"PATH": " x ", "Name": "n", "nmae": "y"})
    assert (values["path"], values["name"], values["overwrite"]) == ("x", "n", "false")
    assert unknown(UPLOAD, ["PATH", "nmae"]) == [
        "`actions/upload-artifact` has no input `nmae`: did you mean `name`?"
    ]


# -- hostile boxes


def file(name: str, content: bytes = b"x") -> bytes:
    return header(Member(name, "file", len(content))) + content + padding(len(content))


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (file("../../etc/cron.d/x") + END, "leads out of the archive"),
        (file("/etc/passwd") + END, "leads out of the archive"),
        (file("other") + END, "which nobody asked for"),
        (header(Member("a", "link", target="/etc/shadow")) + END, "is a symbolic link"),
        (header(Member("a", "file", 1 << 60)) + b"x" * 512, "does not fit"),
        (file("a")[:600], "ends in the middle"),
        (END, "1 files were to be stored and 0 came out"),
        (file("a") + file("a") + END, "1 files were to be stored and 2 came out"),
        (b"no archive at all" * 100, "no tar archive"),
    ],
)
def test_a_box_that_sends_what_it_likes(
    bench: Bench, tmp_path: Path, sent: bytes, why: str
) -> None:
    bench.write("a")
    with pytest.raises(PipeError, match=why) as caught:
        bench.call(UPLOAD, {"path": "a"}, box=HostileBox(bench.box, [sent]))
    assert isinstance(caught.value, (BadArchiveError, ActionFailedError))
    assert stored(bench) == {}
    assert list((tmp_path / "home" / "blobs").glob("??/*")) == []
    assert list((tmp_path / "home" / "blobs" / "parts").iterdir()) == []


def test_a_step_that_has_to_end_ends_and_stores_nothing(bench: Bench) -> None:
    (bench.tree / "large").write_bytes(bytes(30_000_000))
    whole = bench.call(UPLOAD, {"path": "large", "name": "whole"}, stop=Told(1 << 30))
    assert whole.outputs["artifact-id"]
    for left in (0, 20):
        with pytest.raises(ActionStoppedError):
            bench.call(UPLOAD, {"path": "large"}, stop=Told(left))
    assert list(stored(bench)) == ["whole"]


# -- download


@pytest.fixture
def filled(bench: Bench) -> Bench:
    """Artifacts `app-x`, `app-y` and `docs` of run 7, and `old` of run 3."""
    for name in ("app-x", "app-y", "docs"):
        bench.write(f"made/{name}/{name}.txt")
        bench.call(UPLOAD, {"name": name, "path": f"made/{name}"})
    bench.call(UPLOAD, {"name": "old", "path": "made/docs"}, run_number=3)
    shutil.rmtree(bench.tree / "made")
    return bench


@pytest.mark.parametrize(
    ("with_", "files"),
    [
        ({"name": "docs"}, {"docs.txt"}),
        ({"name": "docs", "path": "a/b"}, {"a/b/docs.txt"}),
        ({}, {"app-x/app-x.txt", "app-y/app-y.txt", "docs/docs.txt"}),
        ({"pattern": "app-*"}, {"app-x/app-x.txt", "app-y/app-y.txt"}),
        ({"pattern": "docs"}, {"docs/docs.txt"}),
        ({"pattern": "app-*", "merge-multiple": "true"}, {"app-x.txt", "app-y.txt"}),
        ({"pattern": "nothing"}, set()),
        ({"artifact-ids": "1"}, {"app-x.txt"}),
        ({"artifact-ids": " 1, 3 "}, {"app-x/app-x.txt", "docs/docs.txt"}),
        ({"artifact-ids": "1,99"}, {"app-x.txt"}),
        ({"run-id": "3"}, {"old/docs.txt"}),
        ({"run-id": "3", "name": "old", "repository": "Octo/App"}, {"docs.txt"}),
    ],
)
def test_what_is_downloaded_and_where(
    filled: Bench, with_: dict[str, str], files: set[str]
) -> None:
    call = filled.call(DOWNLOAD, with_)
    found = {str(path.relative_to(filled.tree)) for path in filled.tree.rglob("*.txt")}
    assert found == files
    assert call.outputs == {"download-path": str(filled.tree / with_.get("path", ""))}


@pytest.mark.parametrize(
    ("with_", "why"),
    [
        ({"name": "nothing"}, "run 7 has no artifact `nothing`"),
        ({"name": "docs", "run-id": "99"}, "run 99 has no artifact `docs`"),
        ({"name": "docs", "artifact-ids": "1"}, "not both"),
        ({"artifact-ids": "99"}, "no artifact with the id 99"),
        ({"artifact-ids": "x"}, "is not a number"),
        ({"repository": "other/app"}, "are not on this machine"),
        ({"run-id": "x"}, "`run-id` is `x`"),
        ({"pattern": "!(a|b)"}, "is not supported"),
    ],
)
def test_what_cannot_be_downloaded(filled: Bench, with_: dict[str, str], why: str) -> None:
    with pytest.raises(PipeError, match=why):
        filled.call(DOWNLOAD, with_)


def test_artifacts_of_another_project_are_not_there(filled: Bench) -> None:
    with pytest.raises(ActionFailedError, match="has no artifact `docs`"):
        filled.call(DOWNLOAD, {"name": "docs"}, project="/other")


def test_a_damaged_artifact_fails_the_step(filled: Bench) -> None:
    [artifact] = [each for each in filled.storage.artifacts.of_run(7) if each.name == "docs"]
    blob = filled.storage.blobs.path(artifact.digest)
    blob.write_bytes(blob.read_bytes().replace(b"made/docs", b"made/DOCS"))
    with pytest.raises(CorruptBlobError, match="is damaged"):
        filled.call(DOWNLOAD, {"name": "docs"})


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "a", True),
        ("*", ".a", False),
        (".*", ".a", True),
        ("a?c", "abc", True),
        ("a[bd]c", "acc", False),
        ("{a,b{c,d}}-*", "bd-1", True),
        ("{a,b}", "c", False),
        ("!a*", "b", True),
        ("!a*", "ab", False),
        ("A", "a", False),
    ],
)
def test_patterns_of_names(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) == fits
