"""What a plugin's step does in a box: files, programs, findings."""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pipe_template
import pytest

from runner.engines.box import Box, BoxSpec, Image, NoStop, Workspace
from runner.engines.docker import DockerEngine
from runner.events import Level
from runner.execute.step_call import BoxStepCall, StepStoppedError
from runner.plugin import Completed, StepCall, StepFailedError
from runner.secrets import Masker

pytestmark = pytest.mark.docker

WORKSPACE = "/github/workspace"
IMAGES = ("pipe-test/busybox:1", "pipe-test/debian:12", "pipe-test/nonroot:1")


@dataclass
class Reported:
    """Keeps what a step reports."""

    outputs: dict[str, str] = field(default_factory=dict)
    masker: Masker = field(default_factory=Masker)
    findings: list[tuple[Level, str, Mapping[str, str]]] = field(default_factory=list)

    def annotate(
        self, level: Level, message: str, properties: Mapping[str, str] | None = None
    ) -> None:
        self.findings.append((level, message, properties or {}))


class Stopped:
    """Somebody cancelled the step."""

    def reason(self) -> Literal["", "cancelled", "timeout"]:
        return "cancelled"

    def immediately(self) -> bool:
        return True


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    engine = DockerEngine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.finish()


@pytest.fixture(scope="module", params=IMAGES)
def box(
    request: pytest.FixtureRequest, engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Box]:
    tree = tmp_path_factory.mktemp("tree")
    tree.chmod(0o777)
    (tree / "conf").mkdir(mode=0o777)
    (tree / "conf").chmod(0o777)
    (tree / "conf/a.txt").write_bytes(b"\0\xff\r\n")
    (tree / "conf/a.txt").chmod(0o666)
    (tree / "link").symlink_to("conf/a.txt")
    spec = BoxSpec(
        run=1,
        job="build",
        attempt=1,
        project="test",
        image=Image(str(request.param), "never"),
        workspace=Workspace(layers=(tree,), open_layers=lambda: (tree,)),
    )
    box = engine.open(spec, lambda *_: None)
    yield box
    box.close("success")


@pytest.fixture
def printed() -> list[bytes]:
    return []


@pytest.fixture
def reported() -> Reported:
    return Reported()


@pytest.fixture
def call(box: Box, printed: list[bytes], reported: Reported) -> StepCall:
    env = {"GREETING": "hello"}
    return BoxStepCall(box, {"to": "x"}, env, WORKSPACE, NoStop(), printed.append, reported)


@pytest.mark.parametrize("path", ["conf/a.txt", f"{WORKSPACE}/conf/a.txt", "link", "./conf/a.txt"])
def test_a_file_is_read_byte_by_byte(call: StepCall, path: str) -> None:
    assert call.read_file(path) == b"\0\xff\r\n"


@pytest.mark.parametrize(("path", "why"), [("nothing", "No such file"), ("conf", "it is a folder")])
def test_a_file_that_cannot_be_read_fails_the_step(call: StepCall, path: str, why: str) -> None:
    with pytest.raises(StepFailedError, match=f"cannot read `{path}`: .*{why}"):
        call.read_file(path)


@pytest.mark.parametrize("path", ["out.bin", "new/deep/out.bin", "with ' quote", "-n", "/tmp/x"])
def test_what_is_written_can_be_read(call: StepCall, path: str) -> None:
    data = bytes(range(256)) * 5000
    call.write_file(path, data)
    call.write_file(path, data[1:])
    assert call.read_file(path) == data[1:]


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600])
def test_a_file_gets_its_mode(call: StepCall, mode: int) -> None:
    call.write_file("script.sh", b"#!/bin/sh\n", mode)
    listed = call.run(["ls", "-l", "script.sh"]).stdout.decode()
    assert listed.startswith(stat.filemode(stat.S_IFREG | mode))


def test_a_file_of_somebody_else_is_replaced(call: StepCall) -> None:
    call.write_file("conf/a.txt", b"\0\xff\r\n", 0o640)
    assert call.run(["ls", "-l", "conf/a.txt"]).stdout.startswith(b"-rw-r-----")
    assert call.read_file("conf/a.txt") == b"\0\xff\r\n"


def test_a_file_that_cannot_be_written_fails_the_step(call: StepCall) -> None:
    with pytest.raises(StepFailedError, match="cannot write `conf`"):
        call.write_file("conf", b"")


def test_files_are_found(call: StepCall) -> None:
    for name in ("tree/b.j2", "tree/a/z.j2", "tree/a/y"):
        call.write_file(name, b"")
    assert call.glob("tree") == ["tree/a/y", "tree/a/z.j2", "tree/b.j2"]
    assert call.glob("tree/**/*.j2\n!tree/b*") == ["tree/a/z.j2"]
    assert call.glob("none*") == []


def test_a_wrong_pattern_fails_the_step(call: StepCall) -> None:
    with pytest.raises(StepFailedError, match=r"the pattern `\.\./x` is invalid"):
        call.glob("../x")


def test_a_program_gets_what_it_needs(call: StepCall) -> None:
    script = 'cat; echo "$GREETING $MORE $1"; pwd; exit 3'
    completed = call.run(
        ["sh", "-c", script, "sh", "it's"], env={"MORE": "world"}, cwd="conf", input=b"given\n"
    )
    assert completed == Completed(3, f"given\nhello world it's\n{WORKSPACE}/conf\n".encode())


def test_a_program_reads_nothing_unless_it_is_given(call: StepCall) -> None:
    assert call.run(["cat"]) == Completed(0, b"")


def test_a_program_that_does_not_exist_says_so(call: StepCall, printed: list[bytes]) -> None:
    assert call.run(["no-such-program"]).exit_code == 127
    assert b"no-such-program" in b"".join(printed)


def test_errors_go_to_the_log_and_output_does_not(call: StepCall, printed: list[bytes]) -> None:
    assert call.run(["sh", "-c", "echo out; echo err >&2"]).stdout == b"out\n"
    assert b"".join(printed) == b"err\n"


def test_a_secret_that_comes_in_pieces_is_masked(call: StepCall, printed: list[bytes]) -> None:
    call.mask("s3cret-value")
    call.run(["sh", "-c", "printf s3cret >&2; sleep 0.1; printf -- -value >&2"])
    assert b"".join(printed) == b"***"


def test_too_much_output_fails_the_step(call: StepCall) -> None:
    with pytest.raises(StepFailedError, match="the output of `head` was not read"):
        call.run(["head", "-c", str(33 << 20), "/dev/zero"])


def test_findings_are_logged_and_reported(
    call: StepCall, printed: list[bytes], reported: Reported
) -> None:
    call.log("working")
    call.warning("odd")
    call.error("wrong", file="a.txt", line=3)
    call.set_output("files", "a\nb")
    assert b"".join(printed) == b"working\n##[warning]odd\n##[error]a.txt:3: wrong\n"
    assert reported.findings == [
        ("warning", "odd", {"file": "", "line": "0"}),
        ("error", "wrong", {"file": "a.txt", "line": "3"}),
    ]
    assert reported.outputs == {"files": "a\nb"}


def test_a_cancelled_step_ends(box: Box, reported: Reported) -> None:
    call = BoxStepCall(box, {}, {}, WORKSPACE, Stopped(), lambda _: None, reported)
    with pytest.raises(StepStoppedError) as stopped:
        call.run(["sleep", "60"])
    assert stopped.value.reason == "cancelled"


def test_what_goes_on_outside_of_the_box_hears_of_the_end(
    box: Box, call: StepCall, reported: Reported
) -> None:
    call.go_on()
    with pytest.raises(StepStoppedError, match="cancelled"):
        BoxStepCall(box, {}, {}, WORKSPACE, Stopped(), lambda _: None, reported).go_on()


def test_a_template_is_rendered_in_a_box(
    box: Box, printed: list[bytes], reported: Reported
) -> None:
    with_ = {"src": "t/**/*.j2", "dest": "out", "vars": {"name": "x"}, "mode": "0600"}
    call = BoxStepCall(box, with_, {}, WORKSPACE, NoStop(), printed.append, reported)
    call.write_file("t/a/b.conf.j2", b"name={{ name }}\r\n")
    pipe_template.run(call)
    assert call.read_file("out/a/b.conf") == b"name=x\r\n"
    assert reported.outputs == {"files": "out/a/b.conf"}
    assert b"".join(printed) == b"t/a/b.conf.j2 -> out/a/b.conf\n"
