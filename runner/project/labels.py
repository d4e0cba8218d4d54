"""Which container image stands for a `runs-on` label."""

from collections.abc import Mapping
from types import MappingProxyType

#: What GitHub's Linux labels run in unless configuration says otherwise. These images carry bash,
#: git, curl, Python and Node, which most actions expect to find.
DEFAULT_IMAGES: Mapping[str, str] = MappingProxyType(
    {
        "ubuntu-latest": "ghcr.io/catthehacker/ubuntu:act-24.04",
        "ubuntu-24.04": "ghcr.io/catthehacker/ubuntu:act-24.04",
        "ubuntu-22.04": "ghcr.io/catthehacker/ubuntu:act-22.04",
    }
)


def label_images(*configured: Mapping[str, str]) -> dict[str, str]:
    """Label -> image: the defaults, overlaid by each of `configured` in turn (the last one wins).

    Labels ignore case, so the keys of the result are lower-case.
    """
    merged = dict(DEFAULT_IMAGES)
    for images in configured:
        merged.update((label.lower(), image) for label, image in images.items())
    return merged


def environment_images(images: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What an environment's `images` put over those of the project; a user's `own` stay on top."""
    kept = {label.lower() for label in own}
    return {label.lower(): each for label, each in images.items() if label.lower() not in kept}
