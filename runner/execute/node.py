"""The node that JavaScript actions run in: the box's own, or one that is brought into it."""

import re

from runner.engines.box import Image
from runner.engines.script import run_script
from runner.errors import InvalidInputError
from runner.execute.around import Surroundings

#: Older ones cannot run what is written for the oldest that GitHub still takes.
OLDEST = 16
#: What stands for a version that is not supported any more, as on GitHub.
REPLACED = {12: 20, 16: 20}

#: Where the images that bring it have it.
PROGRAM = "/usr/local/bin/node"

_LOOK = """\
command -v node && node --version
ls /lib/ld-musl-* >/dev/null 2>&1 && echo musl
:
"""
_NODE = re.compile(r"(?P<path>.+)\nv(?P<major>\d+)[^\n]*\n")


def find_node(around: Surroundings, version: int) -> str:
    """The program's path in the box, for an action written for that version.

    The image's own is taken when it is not ancient; else the one of a `node` image is brought.
    Raises EngineError when that image cannot be had.
    """
    if version < 12:
        raise InvalidInputError(f"`using: node{version}` is too old", hint="use node20 or node24")
    if version not in around.actions.nodes:
        around.actions.nodes[version] = _find(around, REPLACED.get(version, version))
    return around.actions.nodes[version]


def _find(around: Surroundings, version: int) -> str:
    printed = run_script(around.box, _LOOK).output.decode(errors="replace")
    found = _NODE.match(printed)
    if found and int(found["major"]) >= OLDEST:
        return found["path"]
    return around.box.bring_program(
        _image(around, version, is_musl="musl" in printed), PROGRAM, around.pulling
    )


def _image(around: Surroundings, version: int, *, is_musl: bool) -> Image:
    """`images` in the configuration may name another: `node20`, and `node20-alpine` for musl."""
    variant = "alpine" if is_musl else "slim"
    label = f"node{version}-alpine" if is_musl else f"node{version}"
    return Image(around.task.policy.images.get(label) or f"node:{version}-{variant}")
