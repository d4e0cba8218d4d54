"""Figures as a table: for a terminal, and in a page between two markers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Bound, Figure

HEAD = ("name", "ours", "baseline", "ratio", "min to max", "bound", "met", "against")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    """A row of texts for each figure, in the order of HEAD."""
    return [
        (
            figure.name,
            f"{number(figure.ours)} {figure.unit}",
            "" if figure.baseline is None else f"{number(figure.baseline)} {figure.unit}",
            "" if figure.ratio is None else number(figure.ratio),
            " to ".join(number(value) for value in figure.spread),
            _bound(figure.bound, figure.unit) if figure.bound else "",
            figure.verdict,
            figure.against,
        )
        for figure in figures
    ]


def number(value: float) -> str:
    """Three digits are all that a measurement is good for."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plain_table(figures: Sequence[Figure]) -> str:
    """The table for a terminal, its columns under each other."""
    lines = [HEAD, *rows(figures)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "".join(f"{line.rstrip()}\n" for line in padded)


def markdown(facts: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """The machine as a list and the figures as a table."""
    lines = [HEAD, ("---",) * len(HEAD), *rows(figures)]
    described = "".join(f"- {name}: {value}\n" for name, value in facts.items())
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{described}\n{table}"


def write_between_markers(page: Path, text: str) -> None:
    """Replace what `page` has between BEGIN and END. Raises ValueError when it lacks them."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no `{BEGIN}` followed by `{END}`")
    page.write_text(f"{before}{begin}\n{text}{end}{after}", "utf-8")


def _bound(bound: Bound, unit: str) -> str:
    suffix = "" if bound.of == "ratio" else f" {unit}"
    goal = "" if bound.goal is None else f" (goal {number(bound.goal)})"
    return f"{number(bound.limit)}{suffix}{goal}"
