"""An image that no registry knows, taken from this machine's engine to another one."""

from collections.abc import Callable, Iterator

from pipe_docker.engine import Engine
from pipe_docker.following import follow
from runner.plugin import DeliveryError


def send(source: Engine, engine: Engine, image: str, go_on: Callable[[], None]) -> None:
    """Returns when the other engine has it. What `go_on` raises ends it."""

    def blocks() -> Iterator[bytes]:
        for block in source.api.get_image(image):
            go_on()
            yield block

    for line in follow(engine.api, lambda: engine.api.load_image(blocks()), go_on):
        if error := line.get("error"):
            raise DeliveryError(f"{engine.host} did not take the image {image}: {error}")
