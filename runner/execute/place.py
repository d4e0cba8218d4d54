"""Where a job runs: `runs-on` labels and `container` as an engine, an image and its settings."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from runner.engines.box import Image
from runner.errors import EnvironmentMissingError, InvalidInputError
from runner.execute.task import Place, Policy
from runner.expressions import to_string

SELF_HOSTED = "self-hosted"


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
            return Place(host=False, image=Image(policy.images[label]))
    raise _unmapped(labels)


def labels_of(runs_on: Any) -> list[str]:
    """`runs-on` as labels, lower-case: a string, a list, or a map with `labels`."""
    if isinstance(runs_on, Mapping):
        runs_on = runs_on.get("labels") or []
    entries = runs_on if isinstance(runs_on, list) else [runs_on]
    return [to_string(entry).lower() for entry in entries if entry not in (None, "")]


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
    return Place(
        host=False,
        image=Image(name.removeprefix("docker://"), _pull(settings), _credentials(settings)),
        env={key: to_string(value) for key, value in (settings.get("env") or {}).items()},
        volumes=tuple(to_string(entry) for entry in settings.get("volumes") or ()),
        ports=tuple(to_string(entry) for entry in settings.get("ports") or ()),
        options=to_string(settings.get("options")),
    )


def _pull(settings: Mapping[str, Any]) -> Literal["missing", "always", "never"]:
    return cast(Literal["missing", "always", "never"], settings.get("pull") or "missing")


def _credentials(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    given = settings.get("credentials")
    if not given:
        return None
    return to_string(given.get("username")), to_string(given.get("password"))
