"""A Docker action: an image, pulled or built, run once over the job's workspace."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from runner.actions.definition import Docker
from runner.engines.box import EngineError, Image
from runner.errors import InvalidInputError
from runner.execute.around import StepEnd
from runner.execute.job_actions import Loaded
from runner.execute.process import carry_out, make_process
from runner.execute.trying import Try
from runner.execute.waiting import wait_for
from runner.expressions import resolve, to_string

_PULLED = "docker://"


def run_container(
    trying: Try, loaded: Loaded, entrypoint: str, inputs: Mapping[str, str], env: Mapping[str, str]
) -> StepEnd:
    """Run the action's image with that entrypoint, or else its own."""
    runs, box = loaded.action.runs, trying.around.box
    assert isinstance(runs, Docker)
    image = _image(trying, loaded, runs)
    contexts = {**trying.scope.contexts, "inputs": dict(inputs)}
    own = {name: to_string(resolve(value, contexts)) for name, value in runs.env.items()}
    process = make_process(
        trying,
        box,
        box.new_folder(),
        argv=_arguments(runs, inputs, contexts),
        cwd=box.facts.workspace,
        env={**env, "HOME": box.facts.temp},
        beneath=own,
        with_path=False,
    )
    return carry_out(
        trying,
        process,
        lambda process, write, stop, end: box.run_image(
            image,
            process,
            write,
            stop,
            entrypoint=entrypoint,
            progress=trying.around.pulling,
            end=end,
        ),
    )


def _arguments(
    runs: Docker, inputs: Mapping[str, str], contexts: Mapping[str, Any]
) -> Sequence[str]:
    if runs.args:
        return [to_string(resolve(each, contexts)) for each in runs.args]
    try:
        return shlex.split(inputs.get("args", ""))
    except ValueError as error:
        raise InvalidInputError(f"`args`: {error}", hint="close the quotes") from error


def _image(trying: Try, loaded: Loaded, runs: Docker) -> Image:
    around = trying.around
    if runs.image.startswith(_PULLED):
        return Image(runs.image.removeprefix(_PULLED))
    built = around.actions.built.get(loaded.inside)
    if built is None:
        built = wait_for(partial(_build, trying, loaded, runs), "building the image", trying.stop())
        around.actions.built[loaded.inside] = built
    return built


def _build(trying: Try, loaded: Loaded, runs: Docker) -> Image:
    around, stop = trying.around, trying.stop()

    def write(data: bytes) -> None:
        # Nobody waits any more: the log is the next step's, and this ends the build.
        if reason := stop.reason():
            raise EngineError(reason, "the build is not wanted any more")
        around.log.write(trying.number, around.masker.mask(data))

    return around.box.build_image(loaded.folder or loaded.inside, runs.image, write)
