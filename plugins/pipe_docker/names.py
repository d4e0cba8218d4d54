"""What things are called in an engine: names that it takes, made of those that the user chose."""

import re
from urllib.parse import urlsplit

from runner.plugin import DeliveryCall, DeliveryError

#: A name that does not fit into a DNS label cannot be looked up by other containers.
LONGEST = 63


def slug(text: str) -> str:
    """Lower case letters, digits and single `-`: whatever else there is becomes a `-`.

    Raises DeliveryError when nothing is left.
    """
    found = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not found:
        raise DeliveryError(
            f"`{text}` has no letter or digit that a name in Docker could be made of"
        )
    return found


def stem(call: DeliveryCall) -> str:
    """What all names of an application and environment begin with."""
    return f"{slug(call.application)}-{slug(call.environment)}"


def container_name(call: DeliveryCall, place: str) -> str:
    return f"{stem(call)}-{place}"


def network_name(call: DeliveryCall) -> str:
    return f"pipe-{stem(call)}"


def repository(call: DeliveryCall) -> str:
    """Under this name the images of releases are kept, with the tag of `tag`."""
    return f"pipe/{stem(call)}"


def tag(release: int) -> str:
    return f"release-{release}"


def release_of(tagged: str) -> int:
    """The number in a tag of `tag`; 0 for other tags."""
    found = re.fullmatch(r"release-([0-9]{1,18})", tagged)
    return int(found[1]) if found else 0


def place_name(slot: str, number: int, host: str = "") -> str:
    """`host` is given where there are several."""
    return "-".join([slot, str(number), *([host_name(host)] if host else [])])


def host_name(host: str) -> str:
    """`ssh://deploy@web1.example.org:2222` is `web1-example-org-2222`."""
    return slug(host.partition("://")[2].rpartition("@")[2] or host)


def address_of(host: str) -> str:
    """Where this machine finds what is published on the host."""
    return urlsplit(host).hostname or "127.0.0.1"
