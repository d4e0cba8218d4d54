"""Where the boxes of a graph lie when it is drawn from left to right, and the ways between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: Space between two layers, which the curves need, and between what lies in one.
BETWEEN_LAYERS, BETWEEN_BOXES = 56, 18
#: A way that passes through a layer needs as much height as this.
_WAY = 8
#: Rounds in which each layer is put into the order of its neighbours.
_ROUNDS = 4

#: A box by its name, or where the way from one box to another passes through a layer.
Item = str | tuple[str, str, int]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Spot:
    """A rectangle: its upper left corner, and its size."""

    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> int:
        return self.y + self.height // 2


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each box lies, and the rectangles that each way passes through, its ends included."""

    boxes: Mapping[str, Spot]
    ways: Sequence[Sequence[Spot]]
    width: int
    height: int


def arrange(
    stages: Sequence[Sequence[str]], needs: Mapping[str, Sequence[str]], sizes: Mapping[str, Size]
) -> Layout:
    """Lays boxes out: a column a stage, each box near those that it is connected to."""
    stage_of = {box: number for number, stage in enumerate(stages) for box in stage}
    chains = [_chain(need, box, stage_of) for box in needs for need in needs[box]]
    layers: list[list[Item]] = [list(stage) for stage in stages]
    for chain in chains:
        for item in chain:
            if not isinstance(item, str):
                layers[item[2]].append(item)
    _order(layers, chains)
    spots, width, height = _place(layers, sizes)
    boxes = {box: spots[box] for box in stage_of}
    return Layout(boxes, [[spots[item] for item in chain] for chain in chains], width, height)


def _chain(start: str, end: str, stage_of: Mapping[str, int]) -> list[Item]:
    """A way from box to box with an item in every layer between them."""
    between = range(stage_of[start] + 1, stage_of[end])
    return [start, *((start, end, stage) for stage in between), end]


def _order(layers: Sequence[list[Item]], chains: Sequence[Sequence[Item]]) -> None:
    """Sorts each layer by where its neighbours lie, forwards and backwards, so that few ways cross."""
    before: dict[Item, list[Item]] = {}
    after: dict[Item, list[Item]] = {}
    for chain in chains:
        for one, next_ in pairwise(chain):
            before.setdefault(next_, []).append(one)
            after.setdefault(one, []).append(next_)
    for number in range(_ROUNDS):
        forwards = number % 2 == 0
        for layer in layers if forwards else reversed(layers):
            _sort(layer, before if forwards else after, _heights(layers))


def _heights(layers: Sequence[Sequence[Item]]) -> dict[Item, float]:
    """How far down in its layer each item is, from 0 to 1."""
    return {
        item: (number + 0.5) / len(layer) for layer in layers for number, item in enumerate(layer)
    }


def _sort(
    layer: list[Item], neighbours: Mapping[Item, Sequence[Item]], heights: Mapping[Item, float]
) -> None:
    def wanted(item: Item) -> float:
        near = [heights[each] for each in neighbours.get(item, ())]
        return sum(near) / len(near) if near else heights[item]

    layer.sort(key=wanted)


def _place(
    layers: Sequence[Sequence[Item]], sizes: Mapping[str, Size]
) -> tuple[dict[Item, Spot], int, int]:
    """The spot of every item, and the size of it all; layers are centred."""
    tall = [_height(layer, sizes) for layer in layers]
    height, x = max(tall), 0
    spots: dict[Item, Spot] = {}
    for layer, needed in zip(layers, tall, strict=True):
        width = max(sizes[item][0] for item in layer if isinstance(item, str))
        y = (height - needed) // 2
        for item in layer:
            own = sizes[item][1] if isinstance(item, str) else _WAY
            spots[item] = Spot(x, y, width, own)
            y += own + BETWEEN_BOXES
        x += width + BETWEEN_LAYERS
    return spots, x - BETWEEN_LAYERS, height


def _height(layer: Sequence[Item], sizes: Mapping[str, Size]) -> int:
    own = sum(sizes[item][1] if isinstance(item, str) else _WAY for item in layer)
    return own + BETWEEN_BOXES * (len(layer) - 1)
