"""A graph as an SVG picture that stands for itself: no script, no font, light and dark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from runner.cli.layers import Layout, Spot, arrange
from runner.terminal.words import cells, shortened, visible

_MARGIN, _PADDING, _LINE = 24, 12, 17
_TITLE = 34
#: Pixels for a column of text in the fonts below.
_NAME_WIDTH, _NOTE_WIDTH = 7.7, 6.5
_LONGEST = 44
_NARROWEST = 72

_STYLE = """\
svg { color-scheme: light dark; font-family: ui-sans-serif, system-ui, "DejaVu Sans", sans-serif }
.paper { fill: #ffffff } .title { fill: #1f2328; font-size: 15px; font-weight: 600 }
.box { fill: #f6f8fa; stroke: #d1d9e0 } .name { fill: #1f2328; font-size: 13px; font-weight: 600 }
.note { fill: #59636e; font-size: 11px } .call { stroke-dasharray: 5 3 }
.way { fill: none; stroke: #818b98; stroke-width: 1.5 } .end { fill: #818b98 }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } .title, .name { fill: #f0f6fc } .box { fill: #151b23; stroke: #3d444d }
.note { fill: #9198a1 } .way { stroke: #656c76 } .end { fill: #656c76 }
}"""


@dataclass(frozen=True, slots=True)
class Box:
    """A job: its name, and lines about it; `calls` marks one that stands for a whole pipeline."""

    name: str
    notes: Sequence[str] = ()
    calls: bool = False


def draw(
    title: str,
    boxes: Mapping[str, Box],
    stages: Sequence[Sequence[str]],
    needs: Mapping[str, Sequence[str]],
) -> str:
    """The picture; the same graph always gives the same text."""
    layout = arrange(stages, needs, {key: _size(box) for key, box in boxes.items()})
    width = max(layout.width, round(cells(title) * _NAME_WIDTH * 1.15)) + 2 * _MARGIN
    height = layout.height + _TITLE + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{_text(title)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
            f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 12}">{_text(title)}</text>',
            f'<g transform="translate({_MARGIN} {_MARGIN + _TITLE})">',
            *_ways(layout),
            *(line for key, box in boxes.items() for line in _box(box, layout.boxes[key])),
            "</g>",
            "</svg>",
        ]
    )


def _size(box: Box) -> tuple[int, int]:
    columns = [cells(_cut(box.name)) * _NAME_WIDTH]
    columns += [cells(_cut(note)) * _NOTE_WIDTH for note in box.notes]
    width = max(round(max(columns)) + 2 * _PADDING, _NARROWEST)
    return width, _LINE * (1 + len(box.notes)) + _PADDING + 6


def _ways(layout: Layout) -> Iterator[str]:
    for way in layout.ways:
        last = way[-1]
        yield f'<path class="way" d="{_curve(way)}"/>'
        x, y = last.x, last.middle
        yield f'<path class="end" d="M{x} {y}l-8 -4v8z"/>'


def _curve(way: Sequence[Spot]) -> str:
    """From the right side of the first spot, straight through those between, to the last one."""
    first = way[0]
    parts = [f"M{first.x + first.width} {first.middle}"]
    for one, following in pairwise(way):
        start, end = one.x + one.width, following.x
        half = (start + end) // 2
        is_last = following is way[-1]
        target = end - 7 if is_last else end
        parts.append(f"C{half} {one.middle} {half} {following.middle} {target} {following.middle}")
        if not is_last:
            parts.append(f"H{end + following.width}")
    return "".join(parts)


def _box(box: Box, spot: Spot) -> Iterator[str]:
    kind = "box call" if box.calls else "box"
    whole = "\n".join(map(visible, (box.name, *box.notes)))
    yield f"<g><title>{escape(whole)}</title>"
    yield (
        f'<rect class="{kind}" x="{spot.x}" y="{spot.y}" width="{spot.width}" '
        f'height="{spot.height}" rx="6"/>'
    )
    x, y = spot.x + _PADDING, spot.y + _PADDING + 10
    yield f'<text class="name" x="{x}" y="{y}">{_text(_cut(box.name))}</text>'
    for number, note in enumerate(box.notes, 1):
        yield f'<text class="note" x="{x}" y="{y + number * _LINE}">{_text(_cut(note))}</text>'
    yield "</g>"


def _cut(text: str) -> str:
    return shortened(visible(text), _LONGEST)


def _text(text: str) -> str:
    return escape(visible(text))
