"""`python -m benchmarks`: measures, and prints one table. Slow is not an error: it exits with 0."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.figures import Figure
from benchmarks.machine import describe_machine
from benchmarks.subjects import NAMES, measure
from benchmarks.table import markdown, plain_table, write_between_markers

QUICK = Effort(runs=1, scale=0.2)


def main() -> None:
    """Measure what was asked for, and show it."""
    options = _options()
    effort = QUICK if options.quick else Effort(options.runs, options.scale)
    facts = describe_machine() | {"pairs": effort.describe()}
    print("".join(f"{name}: {value}\n" for name, value in facts.items()), flush=True)
    measured = dict(measure(options.names or NAMES, effort))
    figures = [figure for each in measured.values() for figure in each]
    failed = [name for name, each in measured.items() if not each]
    _show(figures, failed, effort)
    if options.json:
        shown = [figure.to_json() for figure in figures]
        found = {"machine": facts, "scale": effort.scale, "failed": failed, "figures": shown}
        options.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    if options.write and not failed:
        write_between_markers(options.write, markdown(facts, figures))


def _show(figures: Sequence[Figure], failed: Sequence[str], effort: Effort) -> None:
    print(plain_table(figures), end="")
    if failed:
        print(f"\nNo figures, see above: {', '.join(failed)}")
    if effort.scale != 1:
        print(f"\nSizes are {effort.scale:g} of the full ones, which the bounds are meant for.")


def _options() -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args()
    if unknown := sorted({*options.names} - {*NAMES}):
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    if options.write and (options.names or options.quick or options.scale != 1):
        parser.error("--write needs a full run: no names, no --quick, no --scale")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--runs", type=int, metavar="N", help="pairs of each benchmark")
    parser.add_argument("--scale", type=float, default=1.0, metavar="S", help="share of all sizes")
    parser.add_argument("--quick", action="store_true", help="one pair each, a fifth of the size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values to FILE")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the table in PAGE")
    return parser


if __name__ == "__main__":
    main()
