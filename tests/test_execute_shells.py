"""Which command runs a script, in every shell that a pipeline may name."""

import subprocess
from pathlib import Path

import pytest

from runner.errors import InvalidInputError
from runner.execute.shells import argv_for, script_name, script_text

BOTH = frozenset({"bash", "sh"})


@pytest.mark.parametrize(
    ("shell", "argv"),
    [
        (None, ("bash", "-e", "S")),
        ("", ("bash", "-e", "S")),
        ("bash", ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "S")),
        ("sh", ("sh", "-e", "S")),
        ("python", ("python", "S")),
        ("pwsh", ("pwsh", "-command", ". 'S'")),
        ("powershell", ("powershell", "-command", ". 'S'")),
        ("cmd", ("cmd", "/D", "/E:ON", "/V:OFF", "/S", "/C", 'CALL "S"')),
        (" sh ", ("sh", "-e", "S")),
        ("bash {0}", ("bash", "S")),
        ("perl  -w\t{0} x", ("perl", "-w", "S", "x")),
        ("/opt/my/sh --script={0}", ("/opt/my/sh", "--script=S")),
        ('bash -c "source {0}"', ("bash", "-c", "source S")),
        ("bash -c 'source {0}'", ("bash", "-c", "'source", "S'")),
        ('x "" {0}', ("x", "", "S")),
        ('x "a""b" {0}', ("x", 'a"b', "S")),
        ('x """a" {0}', ("x", '"a', "S")),
        (r"x a\"b {0}", ("x", 'a"b', "S")),
        (r'x "a\\" {0}', ("x", "a\\", "S")),
        (r'x "a\\\" b" {0}', ("x", 'a\\" b', "S")),
        (r"x a\\b {0}", ("x", r"a\\b", "S")),
        ("x {{{0}}} {{0}}", ("x", "{S}", "{0}")),
        ("x {0} {1} { }", ("x", "S", "{1}", "{", "}")),
    ],
)
def test_argv(shell: str | None, argv: tuple[str, ...]) -> None:
    assert argv_for(shell, "S", BOTH) == argv


def test_a_script_with_blanks_in_its_path_is_one_argument() -> None:
    assert argv_for("x -a {0}", "/a b/c", BOTH) == ("x", "-a", "/a b/c")


def test_an_image_without_bash_uses_sh() -> None:
    assert argv_for(None, "S", frozenset({"sh"})) == ("sh", "-e", "S")


@pytest.mark.parametrize(
    ("shell", "message", "hint"),
    [
        ("fish", "`fish` is not known", "bash, sh, python, pwsh, powershell, cmd"),
        ("Bash", "`Bash` is not known", "bash"),
        ("{0}", "`{0}` is not known", "bash"),
        ("bash -x", "does not say where", "write `bash -x {0}`"),
        ("{0} -x", "does not say where", "{0}"),
        (" ", "is not known", "bash"),
    ],
)
def test_shells_that_nothing_can_start(shell: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidInputError, match=message.replace("{", r"\{")) as caught:
        argv_for(shell, "S", BOTH)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("shell", "name"),
    [
        (None, "script.sh"),
        ("bash", "script.sh"),
        ("sh", "script.sh"),
        ("python", "script.py"),
        ("python -u {0}", "script.py"),
        ("pwsh", "script.ps1"),
        ("powershell", "script.ps1"),
        ("cmd", "script.cmd"),
        ("perl {0}", "script"),
    ],
)
def test_script_names(shell: str | None, name: str) -> None:
    assert script_name(shell) == name


POWERSHELL = (
    b"$ErrorActionPreference = 'stop'\n"
    b"echo {0}\n"
    b"if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }"
)


@pytest.mark.parametrize(
    ("shell", "content"),
    [
        (None, b"echo {0}"),
        ("bash", b"echo {0}"),
        ("perl {0}", b"echo {0}"),
        ("pwsh", POWERSHELL),
        ("pwsh -File {0}", POWERSHELL),
        ("powershell", POWERSHELL),
        ("cmd", b"@echo off\necho {0}"),
    ],
)
def test_script_texts(shell: str | None, content: bytes) -> None:
    assert script_text(shell, "echo {0}") == content


def test_script_texts_are_utf8_and_otherwise_as_written() -> None:
    assert script_text("bash", "ä\r\n\n") == b"\xc3\xa4\r\n\n"


@pytest.mark.parametrize(
    ("shell", "exit_code"),
    [(None, 0), ("bash", 1), ("sh", 0), ("bash {0}", 0), ('bash -c "false; . {0}"', 0)],
)
def test_real_shells_differ_in_pipefail(shell: str | None, exit_code: int, tmp_path: Path) -> None:
    script = tmp_path / script_name(shell)
    script.write_bytes(script_text(shell, "false | true"))
    assert subprocess.run(argv_for(shell, str(script), BOTH), check=False).returncode == exit_code
