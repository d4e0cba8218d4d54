"""A process that deploys a shop, and dies where it is told: `python -m tests.shipping`.

Arguments: the shop as `shops.written` has it, a version, its fault or "", keys of the step as JSON,
how many lines of the journal it lives for, as in `deploying` (0 is to the end), and the number of
the signal that it gives itself then.
"""

import json
import sys

from tests.deploying import die_at
from tests.shops import read


def main(shop: str, version: str, fault: str, changes: str, lines: str, how: str) -> None:
    die_at(int(lines), int(how))
    read(shop).deploy(version, fault, **json.loads(changes))


if __name__ == "__main__":
    main(*sys.argv[1:])
