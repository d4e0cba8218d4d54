"""Small folders are copied without a program: what comes out is the same."""

import os
import subprocess
from pathlib import Path

import pytest

from runner.engines import small
from runner.engines.layers import copy_layers
from runner.engines.small import NotSmallError, copy_small


def listing(folder: Path) -> list[bytes]:
    """All that `find` knows of what is in it, but for where it is and when it changed last."""
    form = r"%P %M %U:%G %T@ %l\n"
    found = subprocess.run(
        ["find", folder, "-printf", form], stdout=subprocess.PIPE, check=True
    ).stdout
    return sorted(found.split(b"\n"))


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    (upper / ".git" / "empty").mkdir(parents=True)
    (upper / ".git" / "config").write_text("a\n")
    (lower / "src" / "closed").mkdir(parents=True)
    (lower / "src" / "run.sh").write_bytes(b"#!/bin/sh\n" * 1000)
    (lower / "src" / "run.sh").chmod(0o755)
    (lower / "src" / "closed" / "secret").write_text("x")
    (lower / "src" / "closed" / "secret").chmod(0o400)
    (lower / "src" / "closed").chmod(0o555)
    (lower / os.fsdecode(b"\xff \n")).write_text("")
    (lower / "link").symlink_to("src/nothing")
    (lower / "to-folder").symlink_to("src")
    for each in (*upper.rglob("*"), *lower.rglob("*"), upper, lower):
        os.utime(each, ns=(1_000_000_007, 2_000_000_009), follow_symlinks=False)
    return [upper, lower]


def test_what_is_small_is_copied_as_a_program_does(layers: list[Path], tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for target in (theirs, ours):
        target.mkdir()
    for layer in reversed(layers):
        subprocess.run(["cp", "-a", f"{layer}/.", theirs], check=True)
    copy_small(layers[::-1], ours)
    assert listing(ours) == listing(theirs)
    assert (ours / "src" / "run.sh").read_bytes() == b"#!/bin/sh\n" * 1000


@pytest.mark.parametrize("strange", ["many", "large", "pipe", "linked"])
def test_what_is_not_small_or_not_plain_is_left_to_a_program(
    strange: str, layers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match strange:
        case "many":
            monkeypatch.setattr(small, "MOST_ENTRIES", 10)
        case "large":
            monkeypatch.setattr(small, "MOST_BYTES", 10_000)
        case "pipe":
            os.mkfifo(layers[1] / "pipe")
        case "linked":
            (layers[1] / "other").hardlink_to(layers[1] / "src" / "run.sh")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotSmallError):
        copy_small(layers[::-1], empty)
    assert not list(empty.iterdir())
    copy_layers(layers, tmp_path / "copy")
    assert (tmp_path / "copy" / ".git" / "config").read_text() == "a\n"
    assert (tmp_path / "copy" / "src" / "run.sh").stat().st_size == 10_000
