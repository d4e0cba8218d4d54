"""Images that run as they are beside a job's box, and images that are built for it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.engines.box import Deadline, EngineError, Finished, Image, NoStop, Process, Stop
from runner.engines.docker import DockerEngine
from runner.engines.docker.box import DockerBox
from runner.engines.host import HostEngine
from runner.engines.script import run_script
from tests.leftovers import wait_until
from tests.test_engine_docker import (
    BUSYBOX,
    MODES,
    NONROOT,
    Once,
    Printed,
    docker,
    no_progress,
    spec,
)

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

NOSHELL, ENTRYPOINT = "pipe-test/noshell:1", "pipe-test/entrypoint:1"


@pytest.fixture(scope="module", params=MODES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPE_ENGINE_MODE", request.param)
        engine = DockerEngine(tmp_path_factory.mktemp("home"))
    yield engine
    engine.finish()


@pytest.fixture(scope="module")
def box(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerBox]:
    tree = tmp_path_factory.mktemp("tree")
    tree.chmod(0o777)
    (tree / "a.txt").write_text("a\n")
    mounted = tmp_path_factory.mktemp("mounted")
    mounted.chmod(0o755)
    (mounted / "m.txt").write_text("m\n")
    box = engine.open(spec(BUSYBOX, tree, mounts={"given/one": mounted}), no_progress)
    yield box
    box.close("success")


def run(
    box: DockerBox,
    image: str,
    *argv: str,
    printed: Printed | None = None,
    stop: Stop | None = None,
    entrypoint: str = "",
    env: dict[str, str] | None = None,
) -> Finished:
    folder = box.new_folder()
    process = Process(
        id="step",
        folder=folder,
        argv=argv,
        cwd=box.facts.workspace,
        env={**(env or {}), "FILES": folder},
        files={"output": b"", "given": b"from outside\n"},
        collect=("output",),
    )
    return box.run_image(
        Image(image, "never"),
        process,
        printed or Printed(),
        stop or NoStop(),
        entrypoint=entrypoint,
        progress=no_progress,
    )


def test_an_image_runs_over_the_workspace_and_the_files_of_the_step(box: DockerBox) -> None:
    printed = Printed()
    script = (
        'pwd; cat a.txt /github/given/one/m.txt $FILES/given; echo "$A"; echo new >b.txt;'
        " echo o=1 >$FILES/output; exit 3"
    )
    finished = run(box, BUSYBOX, "sh", "-c", script, printed=printed, env={"A": "b 'c\nd"})
    assert printed.text == "/github/workspace\na\nm\nfrom outside\nb 'c\nd\n"
    assert (finished.exit_code, finished.files, finished.reason) == (3, {"output": b"o=1\n"}, "")
    assert run_script(box, "cat /github/workspace/b.txt").output == b"new\n"


def test_it_is_on_the_network_of_the_job(box: DockerBox) -> None:
    listen = "httpd -p 127.0.0.1:7777 -h /github/workspace"
    assert run_script(box, listen).exit_code == 0
    printed = Printed()
    finished = run(
        box, BUSYBOX, "wget", "-q", "-O", "-", "http://127.0.0.1:7777/a.txt", printed=printed
    )
    assert (finished.exit_code, printed.text) == (0, "a\n")


@pytest.mark.parametrize(
    ("image", "entrypoint", "argv", "code", "text"),
    [
        (ENTRYPOINT, "", [], 64, "the entrypoint of the image ran\n"),
        (ENTRYPOINT, "echo", ["a", "b c"], 0, "a b c\n"),
        (NOSHELL, "", ["busybox", "echo", "no shell"], 0, "no shell\n"),
        (BUSYBOX, "/bin/true", [], 0, ""),
    ],
)
def test_entry_points_and_arguments(
    box: DockerBox, image: str, entrypoint: str, argv: list[str], code: int, text: str
) -> None:
    printed = Printed()
    finished = run(box, image, *argv, printed=printed, entrypoint=entrypoint)
    assert (finished.exit_code, printed.text) == (code, text)


def test_the_user_is_that_of_the_image(box: DockerBox) -> None:
    printed = Printed()
    finished = run(box, NONROOT, "sh", "-c", "id -u; echo x=1 >$FILES/output", printed=printed)
    assert (printed.text, finished.files["output"]) == ("1000\n", b"x=1\n")


def test_a_program_that_is_not_there_fails_the_step_alone(box: DockerBox) -> None:
    printed = Printed()
    assert run(box, BUSYBOX, "nothing-of-that-name", printed=printed).exit_code == 127
    assert "##[error]the image could not be started" in printed.text


def test_output_comes_as_it_is_printed_and_a_stop_is_a_signal(box: DockerBox) -> None:
    printed = Printed()
    script = "trap 'echo interrupted; exit 9' INT; echo begun; while :; do sleep 0.1; done"
    finished = run(box, BUSYBOX, "sh", "-c", script, printed=printed, stop=Once(printed, b"begun"))
    assert printed.text == "begun\ninterrupted\n"
    assert (finished.exit_code, finished.reason) == (9, "cancelled")


def test_who_wants_its_end_at_once_gets_it(box: DockerBox) -> None:
    printed = Printed()
    stop = Once(printed, b"begun", now=True)
    script = "trap '' INT TERM; echo begun; while :; do sleep 0.1; done"
    finished = run(box, BUSYBOX, "sh", "-c", script, printed=printed, stop=stop)
    assert (finished.exit_code, finished.reason) == (137, "cancelled")


def test_a_hostile_file_is_refused(box: DockerBox) -> None:
    script = "ln -sf /etc/passwd $FILES/output"
    finished = run(box, BUSYBOX, "sh", "-c", script)
    assert "regular file" in finished.refused["output"]


def test_nothing_is_left_of_a_run(box: DockerBox) -> None:
    run(box, BUSYBOX, "true")
    mine = docker().inspect_container(box.facts.id)["Config"]["Labels"]["pipe.box"]

    def others() -> list[Any]:
        found = docker().containers(all=True, filters={"label": f"pipe.box={mine}"})
        return [each for each in found if each["Id"] != box.facts.id]

    wait_until(lambda: not others(), "the container is still there")


# -- building


def context(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".").lstrip("0")).write_text(text)
    return folder


def test_an_image_is_built_from_a_folder_of_the_host(box: DockerBox, tmp_path: Path) -> None:
    text = (
        f"FROM {BUSYBOX} AS first\nARG V\nCOPY . /c\nRUN echo built $V; ls -A /c >/list\n"
        "FROM first\nRUN exit 1\n"
    )
    folder = context(tmp_path / "c", Dockerfile=text, _dockerignore="left-out\n# a\n", a_txt="")
    (folder / "left-out").mkdir()
    (folder / "left-out" / "x").write_text("")
    printed = Printed()
    image = box.build_image(
        folder, "Dockerfile", printed, build_args={"V": "seven"}, target="first"
    )
    assert "RUN echo built $V" in printed.text
    listed = Printed()
    assert run(box, image.name, "cat", "/list", printed=listed).exit_code == 0
    assert sorted(listed.text.split()) == [".dockerignore", "Dockerfile", "a.txt"]
    labels = docker().inspect_image(image.name)["Config"]["Labels"]
    assert Path(labels["pipe.home"]).is_dir()
    again = Printed()
    build_args = {"V": "seven"}
    assert image == box.build_image(
        folder, "Dockerfile", again, build_args=build_args, target="first"
    )
    assert "Using cache" in again.text


def test_an_image_is_built_from_a_folder_of_the_box(box: DockerBox) -> None:
    script = f"""\
mkdir -p /github/workspace/ctx/sub && cd /github/workspace/ctx
echo 'FROM {BUSYBOX}
COPY . /c
ENTRYPOINT ["ls", "-A", "/c"]' >sub/Containerfile
touch kept gone; echo gone >.dockerignore; ln -s kept link
"""
    assert run_script(box, script).exit_code == 0
    image = box.build_image("/github/workspace/ctx", "sub/Containerfile", Printed())
    printed = Printed()
    run(box, image.name, printed=printed)
    assert sorted(printed.text.split()) == [".dockerignore", "kept", "link", "sub"]


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        (f"FROM {BUSYBOX}\nRUN echo no; exit 5\n", r"at `RUN echo no; exit 5` \(step 2/3\)"),
        (f"FROM {BUSYBOX}\nCOPY absent /x\n", r"at `COPY absent /x` \(step 2/3\)"),
        (f"FRM {BUSYBOX}\n", "unknown instruction: FRM"),
    ],
)
def test_the_instruction_that_failed_is_named(
    box: DockerBox, tmp_path: Path, dockerfile: str, message: str
) -> None:
    folder = context(tmp_path / "c", Dockerfile=dockerfile)
    with pytest.raises(EngineError, match=message) as caught:
        box.build_image(folder, "Dockerfile", Printed())
    assert caught.value.reason == "build"


def test_without_a_dockerfile_nothing_is_built(box: DockerBox, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Dockerfile") as caught:
        box.build_image(context(tmp_path / "c"), "Dockerfile", Printed())
    assert caught.value.reason == "build"
    with pytest.raises(EngineError, match="there is no folder"):
        box.build_image(tmp_path / "absent", "Dockerfile", Printed())


def test_the_host_has_no_images(tmp_path: Path) -> None:
    engine = HostEngine(tmp_path)
    tree = tmp_path / "tree"
    tree.mkdir()
    box = engine.open(spec("", tree), no_progress)
    try:
        process = Process("s", box.new_folder(), (), "/", {}, {})
        stop = Deadline(time.monotonic())
        with pytest.raises(EngineError, match="needs a container"):
            box.run_image(Image(BUSYBOX), process, Printed(), stop, progress=no_progress)
        with pytest.raises(EngineError, match="needs a container"):
            box.build_image(tmp_path, "Dockerfile", Printed())
    finally:
        box.close("success")
        engine.finish()
