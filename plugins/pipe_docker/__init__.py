"""Docker: the target `docker`, which runs releases as containers, and the step `uses: image`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipe_docker.schema import IMAGE, target_schema
from runner.plugin import PluginStep, StepCall, hookimpl

if TYPE_CHECKING:
    from runner.plugin import PluginTarget, Target

SLOTS = ("blue", "green")


@hookimpl
def steps() -> list[PluginStep]:
    return [PluginStep("image", IMAGE, _build)]


@hookimpl
def targets() -> "list[PluginTarget]":
    from runner.plugin import DURATION, PluginTarget

    return [PluginTarget("docker", target_schema(DURATION), _open, SLOTS)]


def _build(call: StepCall) -> None:
    from pipe_docker.building import build

    build(call)


def _open(settings: Mapping[str, Any]) -> "Target":
    from pipe_docker.target import DockerTarget

    return DockerTarget(settings)
