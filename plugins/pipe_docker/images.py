"""The images of releases on one engine: found, pulled, and held by a tag so that nobody prunes them."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipe_docker.engine import Engine, described
from pipe_docker.engine import engine as opened
from pipe_docker.following import follow
from pipe_docker.names import release_of, repository, tag
from pipe_docker.records import Kept, Records
from pipe_docker.sending import send
from pipe_docker.settings import LOCAL, Settings
from runner.plugin import DeliveryCall, DeliveryError, Release

_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")


def is_id(image: str) -> bool:
    return bool(_ID.fullmatch(image))


def _short(digest: str) -> str:
    """As people compare them."""
    return digest.rpartition(":")[2][:12]


def found(engine: Engine, image: str) -> Mapping[str, Any] | None:
    """What the engine says of an image; None when it has none of that name."""
    from docker.errors import ImageNotFound

    try:
        facts: Mapping[str, Any] = engine.api.inspect_image(image)
    except ImageNotFound:
        return None
    return facts


def prepare(
    engine: Engine, call: DeliveryCall, release: Release, settings: Settings, kept: Kept
) -> Kept:
    """Bring a release's image once and for all: a name may mean another image later."""
    id_ = kept.ids.get(engine.host, "")
    if not id_ or not found(engine, id_):
        kept = _brought(engine, call, settings, kept)
        id_ = kept.ids[engine.host]
        digest = _short(kept.digest or id_)
        where = "" if engine.host == LOCAL else f" on {engine.host}"
        named = f"{settings.image} is " if not is_id(settings.image) else ""
        call.log(f"{named}image {digest}{where}")
    engine.api.tag(id_, repository(call), tag(release.id))
    return kept


def _brought(engine: Engine, call: DeliveryCall, settings: Settings, kept: Kept) -> Kept:
    """Got if the settings say so; a second host gets what the first one got."""
    image = kept.digest or settings.image
    there = found(engine, image)
    if there is None or (_wants_newest(settings) and not kept.digest):
        _get(engine, call, settings, image)
    facts = found(engine, image)
    if facts is None:
        raise DeliveryError(f"{described(engine.host)} lost the image `{image}` at once")
    known = kept.digest or digest(facts, image)
    _refuse_others(engine, kept, str(facts["Id"]), known)
    pulled = [*kept.pulled, *([] if there else [engine.host])]
    return Kept(kept.image, {**kept.ids, engine.host: str(facts["Id"])}, known, pulled)


def _refuse_others(engine: Engine, kept: Kept, id_: str, digest: str) -> None:
    """What no registry knows can only be told by its id."""
    for host, other in kept.ids.items():
        if not digest and other != id_:
            raise DeliveryError(
                f"`{kept.image}` is another image at {engine.host} than at {host}: push it, so that "
                "all hosts get the same"
            )


def of_release(engine: Engine, call: DeliveryCall, release: Release) -> str:
    """The id that was remembered, or that the release's tag has; "" when the image is gone."""
    kept = Records(call.folder).read(release.id)
    name = f"{repository(call)}:{tag(release.id)}"
    facts = found(engine, (kept.ids.get(engine.host) if kept else "") or name)
    return str(facts["Id"]) if facts else ""


def missing(engine: Engine, call: DeliveryCall, settings: Settings) -> str:
    """Why the image could not be got, as far as that can be told without doing it."""
    from docker.errors import APIError

    if not _wants_newest(settings) and found(engine, settings.image):
        return ""
    if _is_only_here(engine, call, settings.image):
        return ""
    try:
        _refuse_pull(engine, settings, settings.image)
        engine.api.inspect_distribution(settings.image, settings.credentials or None)
    except DeliveryError as error:
        return f"{error}"
    except APIError as error:
        why = str(error.explanation or error).strip()
        return f"{described(engine.host)} cannot pull the image `{settings.image}`: {why}"
    return ""


def _wants_newest(settings: Settings) -> bool:
    return settings.pull == "always" and not is_id(settings.image)


def _is_only_here(engine: Engine, call: DeliveryCall, image: str) -> bool:
    """Whether another engine asks for an image of this machine's that no registry knows."""
    if engine.host == LOCAL:
        return False
    try:
        with opened(LOCAL, call) as source:
            facts = found(source, image)
    except DeliveryError:
        # this machine needs no engine of its own
        return False
    return facts is not None and not digest(facts, image)


def _get(engine: Engine, call: DeliveryCall, settings: Settings, image: str) -> None:
    if _is_only_here(engine, call, image):
        call.log(f"{engine.host}: taking {image} there")
        with opened(LOCAL, call) as source:
            send(source, engine, image, lambda: _go_on(engine, call))
        return
    _refuse_pull(engine, settings, image)
    _pull(engine, call, settings, image)


def _refuse_pull(engine: Engine, settings: Settings, image: str) -> None:
    who = described(engine.host)
    if is_id(image):
        raise DeliveryError(
            f"{who} has no image {image}, and an id cannot be pulled: push the image and name it"
        )
    if settings.pull == "never":
        raise DeliveryError(f"{who} has no image `{image}`, and `pull: never` forbids to get it")


def _pull(engine: Engine, call: DeliveryCall, settings: Settings, image: str) -> None:
    from docker.errors import APIError
    from docker.utils import parse_repository_tag

    name, version = parse_repository_tag(image)
    call.log(f"{engine.host}: pulling {image}")
    try:
        lines = follow(
            engine.api,
            lambda: engine.api.pull(
                name,
                tag=version or "latest",
                stream=True,
                decode=True,
                auth_config=settings.credentials or None,
            ),
            lambda: _go_on(engine, call),
        )
        for line in lines:
            if error := line.get("error"):
                raise DeliveryError(f"the image `{image}` could not be pulled: {error}")
    except APIError as error:
        why = str(error.explanation or error).strip()
        raise DeliveryError(f"the image `{image}` could not be pulled: {why}") from error


def _go_on(engine: Engine, call: DeliveryCall) -> None:
    if call.cancelled():
        raise DeliveryError("it was cancelled before an image was there")
    if not call.remaining():
        raise DeliveryError(f"the time is over before {described(engine.host)} had the image")


def digest(facts: Mapping[str, Any], image: str) -> str:
    """The image's name with the digest that its registry knows; "" when there is none."""
    from docker.utils import parse_repository_tag

    name = parse_repository_tag(image)[0]
    names: list[str] = facts.get("RepoDigests") or []
    return next((each for each in names if each.startswith(f"{name}@")), "")


def _held(engine: Engine, call: DeliveryCall) -> Iterator[tuple[int, str]]:
    """The releases whose images this engine holds, with their full names."""
    name = repository(call)
    for image in engine.api.images(name):
        for full in image.get("RepoTags") or ():
            if release := release_of(full.removeprefix(f"{name}:")):
                yield release, full


def _let_go(engine: Engine, name: str) -> bool:
    """Remove a name, and the image with it if it was the last; False when it is in use."""
    from docker.errors import APIError, ImageNotFound

    try:
        engine.api.remove_image(name)
    except ImageNotFound:
        return True
    except APIError as error:
        if error.status_code != 409:
            raise
        return False
    return True


def forget(engine: Engine, call: DeliveryCall, keep: Collection[int]) -> Iterator[str]:
    """Let go of the images of other releases, also by the name under which they were pulled."""
    for release, name in list(_held(engine, call)):
        if release in keep or not _let_go(engine, name):
            continue
        yield f"image {name}"
        kept = Records(call.folder).read(release)
        if kept and engine.host in kept.pulled:
            yield from _forget_pulled(engine, call, kept)


def _forget_pulled(engine: Engine, call: DeliveryCall, kept: Kept) -> Iterator[str]:
    """Nobody had it before us; unless the name means another one now, or a release still has it."""
    id_ = kept.ids[engine.host]
    held = [found(engine, name) for _, name in _held(engine, call)]
    if any(facts and facts["Id"] == id_ for facts in held):
        return
    for name in (kept.image, kept.digest):
        facts = found(engine, name) if name else None
        if facts and facts["Id"] == id_ and _let_go(engine, name):
            yield f"image {name}"
