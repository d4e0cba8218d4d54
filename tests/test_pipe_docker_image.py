"""The step `uses: image`: what it sends, what it builds, pushes and says of mistakes."""

import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pipe_docker
import pytest
from jsonschema import Draft7Validator
from pipe_docker.building import build

from runner.plugin import StepFailedError
from tests.docker_application import FolderCall, built, waiting_image
from tests.registry import registry


@pytest.fixture
def api() -> Iterator[Any]:
    with closing(docker.from_env().api) as client:
        yield client


FROM = "FROM pipe-test/busybox:1\n"


def test_every_input_is_described() -> None:
    [step] = pipe_docker.steps()
    for name, each in step.schema["properties"].items():
        assert each["description"].endswith("."), name
        for example in each["examples"]:
            Draft7Validator(each).validate(example)


@pytest.mark.docker
def test_what_is_ignored_is_not_sent(tmp_path: Path, api: Any) -> None:
    files = {
        "app/Dockerfile": f"{FROM}COPY . /app/\nARG NONCE\nRUN cd /app && find . | sort\n",
        "app/.dockerignore": "# all but\n**/*.tmp\n.git\ndocs/*\n!docs/index.md\n\nDockerfile\n",
        "app/main.py": "",
        "app/deep/a.tmp": "",
        "app/.git/HEAD": "",
        "app/docs/index.md": "",
        "app/docs/other.md": "",
        "outside.txt": "",
    }
    # what was built before would print nothing
    nonce = {"NONCE": secrets.token_hex(4)}
    labels = {"test": "ignored", "flag": True}
    call = built(tmp_path, files, context="app", args=nonce, labels=labels)
    found = [line for text in call.printed for line in text.split("\n") if line.startswith("./")]
    assert found == ["./.dockerignore", "./deep", "./docs", "./docs/index.md", "./main.py"]
    image = api.inspect_image(call.outputs["id"])
    assert image["Config"]["Labels"] == {
        **image["Config"]["Labels"],
        "test": "ignored",
        "flag": "true",
    }
    api.remove_image(call.outputs["id"])


@pytest.mark.docker
@pytest.mark.parametrize(
    ("files", "with_", "problem"),
    [
        ({}, {}, "there is no `Dockerfile` in `.`"),
        ({}, {"context": "nowhere"}, "no `nowhere`"),
        ({"Dockerfile": FROM}, {"context": ".."}, "`context: ..` is not in the workspace"),
        ({"Dockerfile": FROM}, {"context": "/etc"}, "`context: /etc` is not in the workspace"),
        ({"Dockerfile": FROM}, {"file": "/Dockerfile"}, "is not in the workspace"),
        ({"Dockerfile": FROM}, {"file": "a/../../Dockerfile"}, "is not in the workspace"),
        ({"a/x": ""}, {"context": "a", "file": "Dockerfile"}, "is not in the context `a`"),
        ({"Dockerfile": FROM}, {"tags": ["Capital"]}, "`Capital` in `tags` is not the name"),
        ({"Dockerfile": FROM}, {"tags": "a\nb"}, "`tags` is 'a\\\\nb' and not a list"),
        ({"Dockerfile": FROM}, {"push": True}, "`push` needs a name in `tags`"),
        ({"Dockerfile": "FRO x"}, {}, "unknown instruction: FRO"),
        ({"Dockerfile": FROM}, {"target": "other"}, "other"),
        (
            {"Dockerfile": FROM + "RUN exit 3"},
            {},
            r"could not be built at `RUN exit 3` \(step 2/2\): .* returned a non-zero code: 3",
        ),
        ({"Dockerfile": FROM + "COPY gone /"}, {}, r"at `COPY gone /` \(step 2/2\)"),
    ],
)
def test_a_mistake_fails_the_step(
    tmp_path: Path, files: dict[str, str], with_: dict[str, Any], problem: str
) -> None:
    with pytest.raises(StepFailedError, match=problem):
        built(tmp_path, files, **with_)


@pytest.mark.docker
def test_a_build_that_is_cancelled_ends_at_the_engine(tmp_path: Path) -> None:
    call = FolderCall(tmp_path, ends="about to wait")
    call.write_file("Dockerfile", f"{FROM}RUN echo about to wait; sleep 120\n".encode())
    began = time.monotonic()
    with pytest.raises(StepFailedError, match="cancelled"):
        build(call)
    assert time.monotonic() - began < 60


def test_an_engine_that_is_down_fails_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(StepFailedError, match="the Docker engine of this machine does not answer"):
        built(tmp_path, {"Dockerfile": FROM})


@pytest.mark.docker
def test_what_is_pushed_has_the_digest_of_its_registry(tmp_path: Path, api: Any) -> None:
    credentials = {"username": "ci", "password": "a password"}
    with registry("ci:a password") as there:
        names = [f"{there.address}/shop:{tag}" for tag in ("one", "two")]
        call = waiting_image(tmp_path, "push", tags=names, push=True, credentials=credentials)
        assert there.tags == {f"shop:{tag}": call.outputs["digest"] for tag in ("one", "two")}
        for name in names:
            api.remove_image(name)
    assert call.outputs["image"] == names[0]
    assert call.outputs["id"] != call.outputs["digest"]
    assert call.masked == ["a password"]
    assert "a password" not in "\n".join(call.printed)


@pytest.mark.docker
def test_a_push_that_is_refused_fails_the_step(tmp_path: Path, api: Any) -> None:
    with registry("ci:a password") as there:
        name = f"{there.address}/shop:refused"
        credentials = {"username": "ci", "password": "wrong words"}
        with pytest.raises(StepFailedError, match=f"`{name}` could not be pushed") as raised:
            waiting_image(tmp_path, "push", tags=[name], push=True, credentials=credentials)
        api.remove_image(name)
    assert "wrong words" not in f"{raised.value}"
