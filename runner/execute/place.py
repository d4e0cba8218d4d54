"""Where a job runs: `runs-on` labels and `container` as an engine, an image and its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from runner.engines.box import Image, Service
from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.execute.labels import SELF_HOSTED, labels_of
from runner.execute.policy import Policy
from runner.execute.settings import Pull, credentials, image_named, text_list, texts
from runner.expressions import to_string


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job runs: on this host, or in a box of an image."""

    host: bool
    image: Image
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    options: str = ""
    services: tuple[Service, ...] = ()
    #: chosen by a label: the job names no container of its own
    is_machine: bool = False


class UnmappedLabelError(EnvironmentMissingError):
    """No label of a job stands for a place that this machine has."""


def choose(runs_on: Any, container: Any, policy: Policy) -> Place:
    """The place for a job; both values are evaluated already.

    Raises EnvironmentMissingError when this machine has no place for the labels, and of those an
    UnmappedLabelError when they are unknown here.
    """
    if container not in (None, "", {}):
        return _container(container)
    labels = labels_of(runs_on)
    if SELF_HOSTED in labels:
        return _host(policy)
    for label in labels:
        if label in policy.images:
            return Place(host=False, image=Image(policy.images[label]), is_machine=True)
    raise _unmapped(labels)


def _host(policy: Policy) -> Place:
    if policy.allow_host:
        return Place(host=True, image=Image(""))
    raise EnvironmentMissingError(
        "`runs-on: self-hosted` runs steps on this machine without a container, which nobody allowed",
        hint="allow it for this run with `--host`, with PIPE_ALLOW_HOST=1, or for good with "
        "`allow-host: true` in your own configuration",
    )


def _unmapped(labels: Sequence[str]) -> UnmappedLabelError:
    names = ", ".join(f"`{label}`" for label in labels) or "nothing"
    if any(label.startswith(("windows", "macos")) for label in labels):
        return UnmappedLabelError(
            f"`runs-on` asks for {names}, which needs an engine that this machine does not have",
            hint="run the pipeline's other jobs with `--skip-unmapped` or `-j JOB`",
        )
    return UnmappedLabelError(
        f"no image is known for `runs-on` {names}",
        hint="map the label to an image in pipe.yaml: `images: {LABEL: IMAGE}`, or leave such jobs "
        "out with `--skip-unmapped`",
    )


def _container(container: Any) -> Place:
    settings = container if isinstance(container, Mapping) else {"image": container}
    name = to_string(settings.get("image"))
    if not name:
        raise InvalidInputError(
            "`container.image` is empty", hint="name an image, or remove `container`"
        )
    pull = cast(Pull, settings.get("pull") or "missing")
    return Place(
        host=False,
        image=image_named(name, pull, credentials(settings, "container")),
        env=texts(settings, "env", "container"),
        volumes=text_list(settings, "volumes", "container"),
        ports=text_list(settings, "ports", "container"),
        options=to_string(settings.get("options")),
    )
