"""What places, units and folders are called, made of names that the user chose."""

import re
from urllib.parse import urlsplit

from runner.plugin import DeliveryCall, DeliveryError


def slug(text: str) -> str:
    """Lower case letters, digits and single `-`. Raises DeliveryError when nothing is left."""
    found = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not found:
        raise DeliveryError(f"`{text}` has no letter or digit that a name could be made of")
    return found


def stem(call: DeliveryCall) -> str:
    """What the names of an application and environment begin with."""
    return f"{slug(call.application)}-{slug(call.environment)}"


def label(host: str) -> str:
    """`ssh://deploy@web1.example.org:2222` is `web1-example-org-2222`."""
    return slug(host.partition("://")[2].rpartition("@")[2] or host)


def address(host: str) -> str:
    """Where this machine finds what listens there."""
    found = urlsplit(host).hostname or "127.0.0.1"
    return f"[{found}]" if ":" in found else found


def unit(call: DeliveryCall, slot: str) -> str:
    return f"{stem(call)}-{slot}.service"
